"""Test scaffolding: a pipeline whose device runs out of memory at step 3 while the whole model is on it."""

from __future__ import annotations

from typing import Any

import torch

from sluice_diffusers.with_library.pipeline import DiffusersPipeline
from sluice_runner.pipeline import Capture, Job, Phase, Rendered, StepGate

SHORT_AT = 3


class ShortGate:
    def __init__(self, gate: StepGate) -> None:
        self._gate = gate

    def boundary(self, step: int, capture: Capture) -> None:
        self._gate.boundary(step, capture)
        if step == SHORT_AT:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB")

    def alive(self, phase: Phase, step: int = 0, steps: int = 1) -> None:
        self._gate.alive(phase, step, steps)


class ShortOfMemory(DiffusersPipeline):
    def generate(self, job: Job, gate: StepGate) -> Rendered:
        short: Any = gate if self._offload else ShortGate(gate)
        return super().generate(job, short)
