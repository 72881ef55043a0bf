"""For tests: a DiffusersPipeline in this process, on the CPU, and a gate that keeps what could be resumed."""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Iterator, Mapping

from sluice_diffusers.with_library.pipeline import DiffusersPipeline
from sluice_runner.checkpoint import Checkpoint, read_checkpoint, write_checkpoint
from sluice_runner.generation import Reference, parse_generation
from sluice_runner.model_weights import ModelWeights, parse_models
from sluice_runner.pipeline import Capture, Job, Phase, Place, Rendered, Stopped
from tests.tiny_models import write_model

# Written once for all tests of a process.
MODELS = Path(os.environ.get("SLUICE_TINY_MODELS") or tempfile.mkdtemp(prefix="tiny-models-"))
STEPS = 5


def makes(modes: list[str], temporal: int = 4, spatial: int = 8, **changes: Any) -> dict[str, Any]:
    return {
        "modes": modes,
        "frames": {"multiple": temporal, "remainder": 1, "min": 1, "max": 121},
        "sides": {"multiple": 16, "pixels_max": 921_600},
        "steps": {"min": 1, "max": 100},
        "tokens": {"temporal": temporal, "spatial": spatial, "patch": [1, 2, 2]},
        "fps": 24,
        "sound": False,
        **changes,
    }


def model_of(name: str, pipelines: Mapping[str, str], **more: Any) -> dict[str, Any]:
    """An entry of a load, called as the tiny model."""
    described = makes(list(pipelines))
    folder = write_model(MODELS, name)
    return {"id": name, "folder": folder, "pipelines": pipelines, "makes": described, **more}


def request(**changes: Any) -> dict[str, Any]:
    return {
        "model": "wan-2.2-5b",
        "mode": "t2v",
        "prompt": "a paper boat in the rain",
        "negative_prompt": "",
        "width": 64,
        "height": 32,
        "num_frames": 9,
        "fps": 24,
        "num_steps": STEPS,
        "guidance": 5,
        "seed": 42,
        **changes,
    }


class Gate:
    """Keeps a checkpoint of each boundary; `stop_at`: raises Stopped there."""

    def __init__(self, folder: str, stop_at: int | None = None) -> None:
        self._folder = folder
        self._stop_at = stop_at
        self.boundaries: list[int] = []
        self.phases: list[tuple[Phase, int]] = []
        self.checkpoints: dict[int, str] = {}

    def boundary(self, step: int, capture: Capture) -> None:
        self.boundaries.append(step)
        captured = capture() if step > 0 else None
        if captured is not None:
            folder = os.path.join(self._folder, f"step-{step}")
            os.makedirs(folder, exist_ok=True)
            self.checkpoints[step] = write_checkpoint(folder, "parameters", Checkpoint(step, captured))
        if step == self._stop_at:
            raise Stopped("yield", step)

    def alive(self, phase: Phase, step: int = 0, steps: int = 1) -> None:
        self.phases.append((phase, step))


class Pipelines:
    """One DiffusersPipeline, and a new folder for each job."""

    def __init__(self, models: list[dict[str, Any]], **settings: str) -> None:
        self.folder = tempfile.mkdtemp(prefix="diffusers-jobs-")
        self.models: tuple[ModelWeights, ...] = parse_models(models)
        with environment(SLUICE_DIFFUSERS_DEVICE="cpu", **settings):
            self.pipeline = DiffusersPipeline(Place(0, 1, offload="SLUICE_DIFFUSERS_OFFLOAD" in settings))
            self.loaded = self.pipeline.load(self.models[0].id, self.models)
        self._jobs = 0

    def close(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)

    def job(
        self, asked: dict[str, Any], images: Mapping[str, str] | None = None, resume: str | None = None
    ) -> Job:
        self._jobs += 1
        workdir = os.path.join(self.folder, str(self._jobs))
        os.mkdir(workdir)
        return Job(
            generation=parse_generation(asked),
            references=tuple(Reference(place, path) for place, path in (images or {}).items()),
            workdir=workdir,
            frames_path=os.path.join(workdir, "frames.rgb"),
            sound_path=os.path.join(workdir, "sound.pcm"),
            resume=None if resume is None else read_checkpoint(resume, "parameters", int(asked["num_steps"])),
        )

    def make(self, job: Job, stop_at: int | None = None) -> tuple[bytes, Gate, Rendered]:
        """Returns frames and sound in one, and what the gate saw."""
        gate = Gate(job.workdir, stop_at)
        self.pipeline.use(job.generation.model, lambda *_: None)
        rendered = self.pipeline.generate(job, gate)
        made = Path(job.frames_path).read_bytes()
        if rendered.sound is not None:
            made += Path(job.sound_path).read_bytes()
        return made, gate, rendered


@contextmanager
def environment(**settings: str) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in settings}
    os.environ.update(settings)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
