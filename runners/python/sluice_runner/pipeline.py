"""What a pipeline is: the part that knows a model. There is one in each rank process; rank.py drives it."""

from __future__ import annotations

import importlib
import importlib.util
from dataclasses import dataclass, field
from typing import Callable, Literal, Mapping, Protocol

from .checkpoint import Checkpoint, Tensor
from .generation import Generation, Reference
from .model_weights import ModelWeights

Phase = Literal["load", "encode", "denoise", "decode", "mux"]


@dataclass(frozen=True)
class Place:
    """Where a pipeline runs. Rank 0 leads: it alone writes files."""

    rank: int
    ranks: int
    # Keep on the device only what is in use.
    offload: bool


@dataclass(frozen=True)
class Readiness:
    """What a loaded pipeline can do. `vram_bytes`: of all devices together; the bounds are one video's."""

    device: str
    devices: int
    vram_bytes: int
    models: tuple[str, ...]
    modes: tuple[str, ...]
    frames_max: int
    pixels_max: int
    # Devices a latent sequence is split over: (512 + video tokens) must be a multiple.
    sequence_ranks: int = 1
    # What it computes with, by name: {"attention": "sdpa-cudnn"}.
    uses: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Loaded:
    """`identities`: by model id, what its latents depend on beside the request, the same on every host; a
    checkpoint belongs to it. `settled`: settings that ranks which start later get, so that what was decided
    by measuring is decided once."""

    readiness: Readiness
    identities: Mapping[str, str] = field(default_factory=dict)
    settled: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Job:
    generation: Generation
    references: tuple[Reference, ...]
    # Belongs to this attempt alone.
    workdir: str
    # Where rank 0 puts the finished clip: raw RGB24 frames, width * height * 3 bytes each.
    frames_path: str
    # Where it puts the sound of a model that makes sound: interleaved 16-bit little-endian samples.
    sound_path: str
    resume: Checkpoint | None

    @property
    def start_step(self) -> int:
        return 0 if self.resume is None else self.resume.step


@dataclass(frozen=True)
class Sound:
    """What lies at a job's sound_path. `rate`: samples per second and channel."""

    rate: int
    channels: int


@dataclass(frozen=True)
class Rendered:
    """Seconds by phase (encode, denoise, decode), and the peak of memory reserved on this rank's device.

    `uses`: what this clip was computed with, as of Readiness."""

    timings: Mapping[str, float] = field(default_factory=dict)
    peak_vram_bytes: int = 0
    sound: Sound | None = None
    uses: Mapping[str, str] = field(default_factory=dict)


class Stopped(Exception):
    """Raised by `boundary` on every rank when the video is to stop there. A pipeline lets it pass."""

    def __init__(self, how: Literal["cancel", "yield"], step: int, path: str | None = None) -> None:
        super().__init__(f"{how} at step {step}")
        self.how = how
        self.step = step
        self.path = path


# Returns what goes into a checkpoint; None = this video cannot be resumed to the same bytes.
Capture = Callable[[], Mapping[str, Tensor] | None]


class StepGate(Protocol):
    def boundary(self, step: int, capture: Capture, captured_step: int | None = None) -> None:
        """`step` steps are done, on the device too. Every rank calls it at the same steps, the last included.

        `capture` is called on rank 0 when a checkpoint is due. `captured_step`: the step of what it returns,
        where that is an earlier one. Raises Stopped."""

    def alive(self, phase: Phase, step: int = 0, steps: int = 1) -> None:
        """Says that the phase still goes on. Cheap: most calls send nothing."""

    def heed_cancel(self, step: int) -> None:
        """Called between two boundaries, after `step` finished steps, as often as a few milliseconds apart.

        Raises Stopped for a cancel where no other rank would be left waiting."""


class Pipeline(Protocol):
    def load(self, model: str, models: tuple[ModelWeights, ...]) -> Loaded:
        """Loads `model`, and checks the files of all `models`, of which it is one.

        No `models`: `model` alone, with the pipeline's own weights. Raises RunnerFailure `model_missing`, or
        what the libraries raise."""

    def use(self, model: str, between: Callable[[int, int], None]) -> None:
        """Switches to another of the models it loaded with; several ranks start again instead.

        It must call `between(done, tensors)`, which may raise Stopped, at least every few seconds. Whatever
        this raises, the next `use` must work. A model's clips must be the same bits whichever models were
        used before."""

    def generate(self, job: Job, gate: StepGate) -> Rendered:
        """Makes the clip. After an exception other than a lost device the pipeline can make the next one."""


def load_pipeline(spec: str) -> Callable[[Place], Pipeline]:
    """`module:name` or `/path/to/file.py:name`. Raises ImportError or AttributeError."""
    place, _, name = spec.rpartition(":")
    if place.endswith(".py"):
        module_spec = importlib.util.spec_from_file_location("sluice_pipeline", place)
        if module_spec is None or module_spec.loader is None:
            raise ImportError(f"no pipeline at {place}")
        module = importlib.util.module_from_spec(module_spec)
        module_spec.loader.exec_module(module)
    else:
        module = importlib.import_module(place)
    return getattr(module, name)
