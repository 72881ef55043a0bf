"""One rank: the process that has a device and a pipeline. Started by rank_group.py, never by hand.

It ends with its control socket: a runner process that is killed, alone or with its group, leaves no rank.
"""

from __future__ import annotations

import argparse
import os
import queue
import socket
import threading
import time
import traceback
from typing import Any

from .checkpoint import read_checkpoint
from .failure import RunnerFailure, classify, classify_load
from .generation import Reference, parse_generation
from .messages import MessageSocket
from .model_weights import parse_models
from .pipeline import Job, Pipeline, Place, Stopped, load_pipeline
from .rank_agreement import Follower, Leader
from .rank_gate import RankGate, RankOrder, Wishes


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
        # The model whose weights are in; None during a switch, and after one that did not end.
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
                    self._wishes.set(message["id"], message["wish"])
                else:
                    self._work.put(message)
        # The main thread may be inside a collective operation for ever: only this surely ends the process.
        os._exit(0)

    def _say(self, message: dict[str, Any]) -> None:
        try:
            self._control.send(message)
        except OSError:
            os._exit(0)

    def _fail(self, video: str | None, failure: RunnerFailure) -> None:
        named = {} if video is None else {"id": video}
        fields = {"code": failure.code, "message": failure.message, "retryable": failure.retryable}
        self._say({"type": "failed", **named, **fields})

    def _load(self, model: str, models: list[dict[str, Any]]) -> None:
        try:
            pipeline = load_pipeline(self._pipeline_spec)(self._place)
            loaded = pipeline.load(model, parse_models(models) if models else ())
        except Exception as error:
            traceback.print_exc()
            self._fail(None, classify_load(error))
            return
        self._pipeline = pipeline
        self._model = model
        said = {"readiness": vars(loaded.readiness), "identities": dict(loaded.identities)}
        self._say({"type": "ready", **said, "settled": dict(loaded.settled)})

    def _generate(self, message: dict[str, Any]) -> None:
        video = message["id"]
        try:
            if self._pipeline is None:
                raise RunnerFailure("model_missing", "no model is loaded")
            order = _order_of(message)
            gate = RankGate(order, self._wishes, self._agreement, self._say)
            switch = self._use(self._pipeline, order.job.generation.model, gate)
            rendered = self._pipeline.generate(order.job, gate)
            timings, peak = {**switch, **rendered.timings}, rendered.peak_vram_bytes
            more = {} if rendered.sound is None else {"sound": vars(rendered.sound)}
            more |= {"uses": dict(rendered.uses)} if rendered.uses else {}
            self._say({"type": "rendered", "id": video, "timings": timings, "peak_vram_bytes": peak, **more})
        except Stopped as stopped:
            where = {"how": stopped.how, "step": stopped.step, "path": stopped.path}
            self._say({"type": "stopped", "id": video, **where})
        except Exception as error:
            if not isinstance(error, RunnerFailure):
                traceback.print_exc()
            failure = classify(error)
            # Its frames hold tensors of the video that ran out of memory.
            traceback.clear_frames(error.__traceback__)
            self._fail(video, failure)
        finally:
            self._wishes.forget(video)

    def _use(self, pipeline: Pipeline, model: str, gate: RankGate) -> dict[str, float]:
        """Switches to `model`. Returns what that adds to the timings: nothing when it is in use."""
        if model == self._model:
            return {}
        started_at = time.monotonic()
        self._model = None
        pipeline.use(model, gate.between_weights)
        self._model = model
        return {"load": time.monotonic() - started_at}


def _order_of(message: dict[str, Any]) -> RankOrder:
    """Raises RunnerFailure for a checkpoint that cannot be read; the runner process checked the rest."""
    generation, parameters, resume = (
        parse_generation(message["request"]),
        message["parameters"],
        message["resume"],
    )
    job = Job(
        generation=generation,
        references=tuple(Reference(**reference) for reference in message["references"]),
        workdir=message["workdir"],
        frames_path=message["frames_path"],
        sound_path=message["sound_path"],
        resume=None if resume is None else read_checkpoint(resume, parameters, generation.num_steps),
    )
    return RankOrder(message["id"], job, parameters, message["checkpoint_ms"] / 1000)


def main() -> None:
    parser = argparse.ArgumentParser(prog="sluice_runner.rank")
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
