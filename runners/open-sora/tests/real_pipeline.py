"""For tests: Open-Sora's real code in this process, on a CPU, tiny, with random weights. Imports torch."""

from __future__ import annotations

import os
import struct
import tempfile
import zlib
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Iterator

from sluice_runner.checkpoint import Checkpoint, read_checkpoint, write_checkpoint
from sluice_runner.generation import Generation, Reference, parse_generation
from sluice_runner.model_weights import ModelWeights
from sluice_runner.pipeline import Capture, Job, Phase, Place
from runner_tests.spawned_runner import some_request

TESTS = Path(__file__).resolve().parent


@dataclass
class RecordingGate:
    """Goes on at every boundary. Keeps a checkpoint of each as the file it would be, when it is to."""

    folder: str | None = None
    signs: list[tuple[Phase, int]] = field(default_factory=list)
    checkpoints: dict[int, str] = field(default_factory=dict)
    latent: bytes = b""

    def boundary(self, step: int, capture: Capture, captured_step: int | None = None) -> None:
        captured = capture()
        if not captured:
            return
        self.latent = captured["latent"].data
        kept = step if captured_step is None else captured_step
        if self.folder is not None and kept > 0:
            folder = tempfile.mkdtemp(dir=self.folder)
            self.checkpoints[step] = write_checkpoint(folder, "parameters", Checkpoint(kept, captured))

    def alive(self, phase: Phase, step: int = 0, steps: int = 1) -> None:
        self.signs.append((phase, step))

    def heed_cancel(self, step: int) -> None:
        pass


class RealPipeline:
    """`branches`: OPENSORA_GUIDANCE_BRANCHES. `models`: of `load`; the first is loaded."""

    # parameters: each is a choice of its own, and most tests make one of them.
    def __init__(
        self,
        folder: str,
        config: str = "tiny_config.py",
        branches: str = "needed",
        models: tuple[ModelWeights, ...] = (),
        place: Place = Place(0, 1, False),
    ) -> None:
        os.environ["OPENSORA_CONFIG"] = str(TESTS / config)
        os.environ["OPENSORA_DEVICE"] = "cpu"
        os.environ["OPENSORA_GUIDANCE_BRANCHES"] = branches
        from sluice_open_sora.open_sora.pipeline import OpenSoraPipeline

        self.folder = folder
        self.pipeline = OpenSoraPipeline(place)
        self.loaded = self.pipeline.load(models[0].id if models else "open-sora-2", models)
        # Rows that the network itself got: what counts, not what the runner says.
        self.branch_forwards = 0
        self.model.register_forward_pre_hook(self._count, with_kwargs=True)

    @property
    def model(self) -> Any:
        return self.pipeline._model

    def make(self, generation: Generation, gate: Any = None, **more: Any) -> bytes:
        """The clip's bytes. `resume`: the path of a checkpoint."""
        resume, references = more.get("resume"), more.get("references", ())
        workdir = tempfile.mkdtemp(dir=self.folder)
        frames = os.path.join(workdir, "frames.rgb")
        stored = None if resume is None else read_checkpoint(resume, "parameters", generation.num_steps)
        job = Job(generation, references, workdir, frames, os.path.join(workdir, "sound.pcm"), stored)
        self.pipeline.generate(job, RecordingGate() if gate is None else gate)
        return Path(frames).read_bytes()

    @contextmanager
    def one_row_at_a_time(self) -> Iterator[None]:
        """Meanwhile the network gets each row of a batch for itself: the same sums, of other shapes."""
        import torch

        network = self.model

        class RowByRow:
            parameters = network.parameters

            def __call__(self, **inputs: Any) -> Any:
                rows = {name: value for name, value in inputs.items() if isinstance(value, torch.Tensor)}
                results = [
                    network(**{**inputs, **{name: value[row : row + 1] for name, value in rows.items()}})
                    for row in range(len(inputs["img"]))
                ]
                return torch.cat(results)

        self.pipeline._model = RowByRow()
        try:
            yield
        finally:
            self.pipeline._model = network

    def _count(self, _module: Any, _inputs: Any, named: dict[str, Any]) -> None:
        self.branch_forwards += len(named["img"])


def generation(**changes: Any) -> Generation:
    small = parse_generation(some_request(width=48, height=32, num_frames=9))
    return replace(small, **changes)


def write_png(path: Path, width: int, height: int, colour: tuple[int, int, int]) -> str:
    """A PNG of one colour fading to black, by the standard library."""
    rows = b"".join(
        b"\0" + b"".join(bytes(c * x // width for c in colour) for x in range(width)) for _ in range(height)
    )

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )
    return str(path)


def images(folder: str) -> dict[str, tuple[Reference, ...]]:
    """Input images by the end of Open-Sora's cond_type: head, tail and loop."""
    head, tail = (
        Reference(position, write_png(Path(folder) / f"{position}.png", 80, 60, colour))
        for position, colour in (("head", (255, 0, 0)), ("tail", (0, 0, 255)))
    )
    return {"head": (head,), "tail": (tail,), "loop": (head, tail)}
