"""One rank: the process that holds a device and a pipeline. Started by rank_group.py, never by hand.

It ends with its control socket: whoever kills the runner process, alone or with its group, leaves no rank behind.
"""

from __future__ import annotations

import argparse
import os
import queue
import socket
import threading
import time
import traceback
from typing import Any, Callable, Mapping

from .checkpoint import Tensor, read_checkpoint, write_checkpoint
from .checkpoint import Checkpoint
from .failure import RunnerFailure, classify, classify_load
from .generation import Reference, parse_generation
from .messages import MessageSocket
from .model_weights import parse_models
from .pipeline import Job, Phase, Pipeline, Place, Stopped, load_pipeline
from .rank_agreement import Decision, Follower, Leader
from .served_model import open_models

# Signs of life need not come oftener than this, in seconds.
ALIVE_S = 0.5


class Wishes:
    """What the worker wants of a video, set from the reading thread. The runner sends no yield after a cancel."""

    def __init__(self) -> None:
        self._wishes: dict[str, Decision] = {}

    def wish(self, video: str, decision: Decision) -> None:
        self._wishes[video] = decision

    def of(self, video: str) -> Decision:
        return self._wishes.get(video, "go")

    def forget(self, video: str) -> None:
        self._wishes.pop(video, None)


class RankGate:
    """The StepGate of one job on this rank."""

    def __init__(
        self,
        video: str,
        job: Job,
        parameters: str,
        checkpoint_ms: int,
        wishes: Wishes,
        agreement: Leader | Follower,
        report: Callable[[dict[str, Any]], None],
    ) -> None:
        self._video = video
        self._job = job
        self._parameters = parameters
        self._checkpoint_s = checkpoint_ms / 1000
        self._wishes = wishes
        self._agreement = agreement
        self._report = report
        self._leads = isinstance(agreement, Leader)
        self._checkpoint_at = time.monotonic()
        self._reported_step = job.start_step
        self._alive_at = 0.0

    def boundary(self, step: int, capture: Callable[[], Mapping[str, Tensor]]) -> None:
        steps = self._job.generation.num_steps
        if self._leads and step > self._reported_step:
            self._reported_step = step
            self._say("denoise", step, steps)
        wanted = self._wishes.of(self._video)
        # After the last step a clip that has only to be decoded is finished rather than handed back.
        decision = self._agreement.agree(step, "go" if wanted == "yield" and step == steps else wanted)
        if decision == "cancel":
            raise Stopped("cancel", step)
        if decision == "yield":
            path = self._checkpoint(step, capture) if self._leads and step > 0 else None
            # A cancel may have come while the checkpoint was written.
            raise Stopped("cancel" if self._wishes.of(self._video) == "cancel" else "yield", step, path)
        if (
            self._leads
            and self._job.start_step < step < steps
            and time.monotonic() - self._checkpoint_at >= self._checkpoint_s
        ):
            self._report(
                {
                    "type": "checkpoint",
                    "id": self._video,
                    "step": step,
                    "path": self._checkpoint(step, capture),
                }
            )
            self._checkpoint_at = time.monotonic()

    def alive(self, phase: Phase, step: int = 0, steps: int = 1) -> None:
        if self._leads and time.monotonic() - self._alive_at >= ALIVE_S:
            self._say(phase, step, steps)

    def between_weights(self, done: int, tensors: int) -> None:
        """Another model's weights go in, `done` of `tensors` so far. Raises Stopped: the next switch can start from half a one."""
        self.alive("load", done, max(1, tensors))
        wanted = self._wishes.of(self._video)
        if wanted != "go":
            raise Stopped(wanted, self._job.start_step)

    def _say(self, phase: Phase, step: int, steps: int) -> None:
        self._alive_at = time.monotonic()
        self._report({"type": "progress", "id": self._video, "phase": phase, "step": step, "steps": steps})

    def _checkpoint(self, step: int, capture: Callable[[], Mapping[str, Tensor]]) -> str:
        return write_checkpoint(self._job.workdir, self._parameters, Checkpoint(step, capture()))


class Rank:
    def __init__(
        self, place: Place, pipeline_spec: str, control: MessageSocket, agreement: Leader | Follower
    ) -> None:
        self._place = place
        self._pipeline_spec = pipeline_spec
        self._control = control
        self._agreement = agreement
        self._wishes = Wishes()
        self._work: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self._pipeline: Pipeline | None = None
        # The model whose weights are in; None while or after a switch that did not end.
        self._model: str | None = None

    def run(self) -> None:
        threading.Thread(target=self._read, daemon=True).start()
        while True:
            message = self._work.get()
            if message["type"] == "load":
                self._load(message["model"], message["models"])
            else:
                self._generate(message)

    def _read(self) -> None:
        while (messages := self._control.receive()) is not None:
            for message in messages:
                if message["type"] == "wish":
                    self._wishes.wish(message["id"], message["wish"])
                else:
                    self._work.put(message)
        # The main thread may stand inside a collective operation for ever: only leaving at once surely ends this process.
        os._exit(0)

    def _say(self, message: dict[str, Any]) -> None:
        try:
            self._control.send(message)
        except OSError:
            os._exit(0)

    def _fail(self, video: str | None, failure: RunnerFailure) -> None:
        named = {} if video is None else {"id": video}
        self._say(
            {
                "type": "failed",
                **named,
                "code": failure.code,
                "message": failure.message,
                "retryable": failure.retryable,
            }
        )

    def _load(self, model: str, models: list[dict[str, Any]]) -> None:
        try:
            served = open_models(parse_models(models)) if models else ()
            pipeline = load_pipeline(self._pipeline_spec)(self._place)
            ready = pipeline.load(model, served)
        except Exception as error:
            traceback.print_exc()
            self._fail(None, classify_load(error))
            return
        self._pipeline = pipeline
        self._model = model
        self._say(
            {
                "type": "ready",
                "readiness": vars(ready),
                "identities": {one.id: one.identity for one in served},
            }
        )

    def _use(self, pipeline: Pipeline, model: str, gate: RankGate) -> dict[str, float]:
        """Turns to `model`; answers what that adds to the timings: its seconds, or nothing when it is the one in use."""
        if model == self._model:
            return {}
        started_at = time.monotonic()
        self._model = None
        pipeline.use(model, gate.between_weights)
        self._model = model
        return {"load": time.monotonic() - started_at}

    def _generate(self, message: dict[str, Any]) -> None:
        video = message["id"]
        try:
            if self._pipeline is None:
                raise RunnerFailure("model_missing", "no model is loaded")
            generation = parse_generation(message["request"])
            resume = message["resume"]
            job = Job(
                generation=generation,
                references=tuple(Reference(**reference) for reference in message["references"]),
                workdir=message["workdir"],
                frames_path=message["frames_path"],
                resume=None
                if resume is None
                else read_checkpoint(resume, message["parameters"], generation.num_steps),
            )
            gate = RankGate(
                video,
                job,
                message["parameters"],
                message["checkpoint_ms"],
                self._wishes,
                self._agreement,
                self._say,
            )
            switch = self._use(self._pipeline, generation.model, gate)
            rendered = self._pipeline.generate(job, gate)
            timings = {**switch, **rendered.timings}
            self._say(
                {
                    "type": "rendered",
                    "id": video,
                    "timings": timings,
                    "peak_vram_bytes": rendered.peak_vram_bytes,
                }
            )
        except Stopped as stopped:
            self._say(
                {
                    "type": "stopped",
                    "id": video,
                    "how": stopped.how,
                    "step": stopped.step,
                    "path": stopped.path,
                }
            )
        except Exception as error:
            if not isinstance(error, RunnerFailure):
                traceback.print_exc()
            failure = classify(error)
            # Its frames hold tensors of the video that ran out of memory.
            traceback.clear_frames(error.__traceback__)
            self._fail(video, failure)
        finally:
            self._wishes.forget(video)


def main() -> None:
    parser = argparse.ArgumentParser(prog="sluice_open_sora.rank")
    parser.add_argument("--pipeline", required=True)
    parser.add_argument("--rank", type=int, required=True)
    parser.add_argument("--ranks", type=int, required=True)
    parser.add_argument("--control-fd", type=int, required=True)
    parser.add_argument(
        "--link-fds", required=True, help="rank 0: one per follower; a follower: the one to rank 0"
    )
    parser.add_argument("--offload", action="store_true")
    given = parser.parse_args()
    links = [socket.socket(fileno=int(fd)) for fd in given.link_fds.split(",") if fd != ""]
    agreement = Leader(links) if given.rank == 0 else Follower(links[0])
    control = MessageSocket(socket.socket(fileno=given.control_fd))
    Rank(Place(given.rank, given.ranks, given.offload), given.pipeline, control, agreement).run()


if __name__ == "__main__":
    main()
