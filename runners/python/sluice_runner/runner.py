"""The runner protocol (packages/shared/src/runner-protocol.ts): hands each request to the part it is about.

This process has no device and imports nothing but the standard library; the ranks do the work (rank.py). So
it answers whatever a device does: a cancel during a long step, a rank that dies, memory that runs out.
"""

from __future__ import annotations

import time
from typing import Any

from .check_request import check_request
from .checkpoint import read_checkpoint
from .current_video import CurrentVideo
from .failure import RunnerFailure
from .finishing import Finishing
from .generation import parameter_hash
from .log import log
from .loop import Loop
from .models import Models
from .replies import Replies
from .requests import Cancel, Generate, Load, Request, Shutdown, Yield, id_of, parse_json, parse_request
from .settings import RunnerSettings
from .video import Video


class Runner:
    """One video on the device at a time, finished ones encoded beside it. Every request gets a reply, and
    nothing a request says makes the runner unusable."""

    def __init__(self, settings: RunnerSettings, pipeline_spec: str, loop: Loop, replies: Replies) -> None:
        self._loop = loop
        self._replies = replies
        self._models = Models(settings, pipeline_spec, loop, replies)
        self._finishing = Finishing(settings.encoder, loop, replies)
        self._current = CurrentVideo(settings, self._models, self._finishing, replies)

    def receive(self, line: bytes) -> None:
        """Takes one line of JSON."""
        value: Any = None
        try:
            value = parse_json(line)
            request = parse_request(value)
        except RunnerFailure as failure:
            log(f"a request was not understood: {failure.message}")
            self._refuse(value, failure)
            return
        self._take(request)

    def tick(self) -> None:
        """Called a few times a second: signs of life, and the bounds of what may take long."""
        now = time.monotonic()
        self._finishing.tick()
        self._models.tick(now)
        self._current.tick(now)
        if self._models.must_end_runner and self._finishing.is_idle:
            self._loop.stop(1)

    def close(self) -> None:
        """Ends ranks and encoders now."""
        self._models.close()
        self._finishing.close()

    def shut_down(self) -> None:
        self._loop.stop(0)

    def _take(self, request: Request) -> None:
        if isinstance(request, Load):
            self._models.load(request)
        elif isinstance(request, Generate):
            self._generate(request)
        elif isinstance(request, Cancel):
            self._current.wish(request.id, "cancel")
        elif isinstance(request, Yield):
            self._current.wish(request.id, "yield")
        elif isinstance(request, Shutdown):
            self.shut_down()

    def _refuse(self, value: Any, failure: RunnerFailure) -> None:
        video_id = id_of(value)
        if isinstance(value, dict) and value.get("type") == "load":
            self._replies.load_failed(failure)
        # A broken line about a video in work must not end that video.
        elif video_id is not None and not self._is_in_work(video_id):
            self._replies.failed(video_id, failure)

    def _generate(self, order: Generate) -> None:
        if self._is_in_work(order.id):
            log(f"generate was repeated for {order.id}, which is in work: ignored")
            return
        try:
            video = self._admit(order)
        except RunnerFailure as failure:
            self._replies.failed(order.id, failure)
            return
        self._current.start(video)

    def _admit(self, order: Generate) -> Video:
        """Raises RunnerFailure for what this runner cannot make, before a device sees it."""
        present = self._current.id
        if present is not None:
            message = f"{present} is being generated; send the next video after its released"
            raise RunnerFailure("bad_input", message)
        served = self._models.served()
        makes = served.makes_of(order.request.model)
        check_request(order, served.readiness, makes)
        try:
            weights = served.identities.get(order.request.model, "")
            parameters = parameter_hash(order.request, order.references, weights)
        except OSError as error:
            raise RunnerFailure("bad_input", f"references cannot be read: {error}") from None
        if order.resume is None or order.resume.step == 0:
            return Video(order, makes, parameters, start_step=0, step=0, resume_path=None)
        step = read_checkpoint(order.resume.path, parameters, order.request.num_steps).step
        if step != order.resume.step:
            log(f"{order.id} resumes from step {step}; {order.resume.step} was announced")
        return Video(order, makes, parameters, start_step=step, step=step, resume_path=order.resume.path)

    def _is_in_work(self, video_id: str) -> bool:
        return self._current.id == video_id or self._finishing.has(video_id)
