"""What a rank does at every step boundary: report it, agree with the others, write a checkpoint."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, Callable

from .checkpoint import Checkpoint, write_checkpoint
from .pipeline import Capture, Job, Phase, Stopped
from .rank_agreement import Decision, Follower, Leader

# Signs of life come no more often than this, in seconds.
ALIVE_S = 0.5


@dataclass(frozen=True)
class RankOrder:
    """A video as the runner process sent it. `parameters`: parameter_hash(). `checkpoint_s`: a checkpoint is
    written at the first boundary after this many seconds."""

    video: str
    job: Job
    parameters: str
    checkpoint_s: float


class Wishes:
    """What the worker wants of each video. The reading thread sets it; no yield comes after a cancel."""

    def __init__(self) -> None:
        self._wishes: dict[str, Decision] = {}

    def set(self, video: str, decision: Decision) -> None:
        self._wishes[video] = decision

    def of(self, video: str) -> Decision:
        return self._wishes.get(video, "go")

    def forget(self, video: str) -> None:
        self._wishes.pop(video, None)


class RankGate:
    """The StepGate of one video on this rank. `report` sends a message to the runner process."""

    def __init__(
        self,
        order: RankOrder,
        wishes: Wishes,
        agreement: Leader | Follower,
        report: Callable[[dict[str, Any]], None],
    ) -> None:
        self._order = order
        self._job = order.job
        self._wishes = wishes
        self._agreement = agreement
        self._report = report
        self._leads = isinstance(agreement, Leader)
        self._is_alone = isinstance(agreement, Leader) and agreement.is_alone
        self._checkpoint_at = time.monotonic()
        self._checkpoint_step = order.job.start_step
        self._reported_step = order.job.start_step
        self._alive_at = 0.0

    def boundary(self, step: int, capture: Capture, captured_step: int | None = None) -> None:
        steps = self._job.generation.num_steps
        kept = step if captured_step is None else captured_step
        if self._leads and step > self._reported_step:
            self._reported_step = step
            self._say("denoise", step, steps)
        wanted = self._wishes.of(self._order.video)
        # After the last step a clip that has only to be decoded is finished rather than handed back.
        decision = self._agreement.agree(step, "go" if wanted == "yield" and step == steps else wanted)
        if decision == "cancel":
            raise Stopped("cancel", step)
        if decision == "yield":
            path = self._checkpoint(kept, capture) if self._leads and kept > 0 else None
            # A cancel may have come while the checkpoint was written.
            if self._wishes.of(self._order.video) == "cancel":
                raise Stopped("cancel", step)
            raise Stopped("yield", kept, path)
        is_due = time.monotonic() - self._checkpoint_at >= self._order.checkpoint_s
        if self._leads and is_due and self._checkpoint_step < kept and step < steps:
            path = self._checkpoint(kept, capture)
            if path is not None:
                self._report({"type": "checkpoint", "id": self._order.video, "step": kept, "path": path})
            self._checkpoint_at, self._checkpoint_step = time.monotonic(), kept

    def alive(self, phase: Phase, step: int = 0, steps: int = 1) -> None:
        if self._leads and time.monotonic() - self._alive_at >= ALIVE_S:
            self._say(phase, step, steps)

    def heed_cancel(self, step: int) -> None:
        if self._is_alone and self._wishes.of(self._order.video) == "cancel":
            raise Stopped("cancel", step)

    def between_weights(self, done: int, tensors: int) -> None:
        """Called while another model's weights go in, `done` of `tensors` so far.

        Raises Stopped: the next switch may start from half a one."""
        self.alive("load", done, max(1, tensors))
        wanted = self._wishes.of(self._order.video)
        if wanted != "go":
            raise Stopped(wanted, self._job.start_step)

    def _say(self, phase: Phase, step: int, steps: int) -> None:
        self._alive_at = time.monotonic()
        said = {"type": "progress", "id": self._order.video, "phase": phase, "step": step, "steps": steps}
        self._report(said)

    def _checkpoint(self, step: int, capture: Capture) -> str | None:
        captured = capture()
        if captured is None:
            return None
        return write_checkpoint(self._job.workdir, self._order.parameters, Checkpoint(step, captured))
