"""A clip that is made while the model loads, to see whether it fits: nobody waits for it or stops it."""

from __future__ import annotations

import os

from sluice_runner.generation import Generation
from sluice_runner.pipeline import Capture, Job, Phase

from ..sold_sizes import SoldSize


def job_of_one_step(model: str, size: SoldSize, folder: str) -> Job:
    generation = Generation(
        model=model,
        mode="t2v",
        prompt="a paper boat",
        negative_prompt="",
        width=size.width,
        height=size.height,
        num_frames=size.frames,
        fps=24,
        num_steps=1,
        guidance=7.5,
        guidance_img=3.0,
        motion_score=4,
        seed=0,
    )
    return Job(generation, (), folder, os.path.join(folder, "frames"), os.path.join(folder, "sound"), None)


class SilentGate:
    def boundary(self, step: int, capture: Capture, captured_step: int | None = None) -> None:
        pass

    def alive(self, phase: Phase, step: int = 0, steps: int = 1) -> None:
        pass

    def heed_cancel(self, step: int) -> None:
        pass
