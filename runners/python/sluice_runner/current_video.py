"""The video that has the device, from its `generate` to `released` or to the reply that ends it."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import Any, Literal

from .failure import Code, RunnerFailure
from .finishing import Finishing
from .generation import request_of
from .log import log
from .models import Models
from .pipeline import Phase
from .replies import Replies
from .settings import RunnerSettings
from .video import Video

# A video that waits, for ranks that load or for room among the encodes, says so this often, in seconds.
NEWS_S = 1.0


class CurrentVideo:
    """At most one at a time."""

    def __init__(
        self, settings: RunnerSettings, models: Models, finishing: Finishing, replies: Replies
    ) -> None:
        self._settings = settings
        self._models = models
        self._finishing = finishing
        self._replies = replies
        self._video: Video | None = None
        models.listen(self)

    @property
    def id(self) -> str | None:
        return None if self._video is None else self._video.id

    def start(self, video: Video) -> None:
        assert self._video is None
        self._video = video
        model = video.generation.model
        must_restart = self._models.must_restart_for(model)
        self._replies.started(video.id)
        is_loaded = model == self._models.weights and not must_restart
        self._say_progress(video, "encode" if is_loaded else "load", 0, 1)
        if must_restart:
            video.load_asked_at = time.monotonic()
        if self._models.turn_to(model):
            self._send(video)

    def wish(self, video_id: str, wish: Literal["cancel", "yield"]) -> None:
        """The worker wants the video stopped. The first wish stands, but a cancel overrules a yield."""
        video = self._video
        if video is None or video.id != video_id or video.wish == "cancel":
            return
        video.wish = wish
        if video.stage == "sent":
            self._models.send_leader({"type": "wish", "id": video.id, "wish": wish})
        elif wish == "cancel":
            self._video = None
            video.remove_frames()
            self._replies.cancelled(video.id, video.step)
        elif video.stage == "waiting":
            self._video = None
            step, path = video.checkpoint or (video.start_step, None)
            self._replies.yielded(video.id, step, path)
        # A rendered video has nothing left to hand back.

    def tick(self, now: float) -> None:
        video = self._video
        if video is None or video.stage == "sent":
            return
        self._break_silence(video, now)
        if video.stage == "rendered":
            self._release_when_room(video)

    # ModelEvents

    def on_loaded(self) -> None:
        if self._video is not None:
            self._send(self._video)

    def on_video_message(self, rank: int, message: dict[str, Any]) -> None:
        video, kind = self._video, message["type"]
        if video is None or video.id != message["id"]:
            return
        if kind == "failed":
            self._on_failure(video, RunnerFailure(message["code"], message["message"], message["retryable"]))
            return
        if kind == "rendered" or (kind == "progress" and message["phase"] != "load"):
            self._models.on_weights_in_use(video.generation.model)
        if kind == "progress":
            if message["phase"] == "denoise":
                video.step = max(video.step, message["step"])
            self._say_progress(video, message["phase"], message["step"], message["steps"])
        elif kind == "checkpoint":
            video.checkpoint = (message["step"], message["path"])
            self._replies.checkpoint(video.id, *video.checkpoint)
        else:
            video.done[rank] = message
            if len(video.done) == self._models.ranks:
                self._on_all_done(video)

    def on_switch_failed(self, failure: RunnerFailure) -> None:
        video, self._video = self._video, None
        offloaded = video is not None and video.offloaded
        if (
            self._models.can_go_back
            and not offloaded
            and failure.code not in ("out_of_memory", "device_lost")
        ):
            # Only the other model's weights cannot be used: what worked before is loaded again.
            if video is not None:
                self._replies.failed(video.id, failure)
            self._models.go_back()
            return
        self._models.lose(failure.message, reported=video is not None)
        if video is not None:
            # With offload it is the memory that was short, whatever kept the second start from working.
            short = offloaded or failure.code == "out_of_memory"
            code: Code = "out_of_memory" if short else "device_lost"
            self._replies.failed(video.id, RunnerFailure(code, failure.message, retryable=True))

    def on_ranks_died(self, how: str) -> None:
        video, self._video = self._video, None
        if video is None:
            self._models.lose(how, reported=False)
        elif video.stage == "rendered":
            # Its frames are complete; only the device is gone.
            self._models.lose(how, reported=False)
            self._finishing.take(video)
        else:
            self._models.lose(how, reported=True)
            video.remove_frames()
            self._replies.failed(video.id, RunnerFailure("device_lost", how, retryable=True))

    # Parts

    def _send(self, video: Video) -> None:
        video.stage = "sent"
        video.done = {}
        if video.load_asked_at is not None:
            video.load_s = time.monotonic() - video.load_asked_at
        self._models.send_video(
            video.generation.model,
            {
                "type": "generate",
                "id": video.id,
                "request": request_of(video.generation),
                "references": [asdict(reference) for reference in video.order.references],
                "workdir": video.order.workdir,
                "frames_path": video.frames_path,
                "sound_path": video.sound_path,
                "parameters": video.parameters,
                "resume": video.resume_path,
                "checkpoint_ms": self._settings.checkpoint_ms,
            },
        )

    def _on_all_done(self, video: Video) -> None:
        leading = video.done[0]
        if leading["type"] == "rendered":
            video.stage = "rendered"
            self._release_when_room(video)
            return
        self._video = None
        if leading["how"] == "cancel":
            self._replies.cancelled(video.id, leading["step"])
        else:
            self._replies.yielded(video.id, leading["step"], leading["path"])

    def _on_failure(self, video: Video, failure: RunnerFailure) -> None:
        if failure.code == "out_of_memory":
            self._on_out_of_memory(video, failure)
            return
        self._video = None
        video.remove_frames()
        if failure.code == "device_lost":
            self._models.lose(failure.message, reported=True)
        elif self._models.ranks > 1:
            # The others may wait for the failed one inside a collective operation: only new ranks work.
            self._models.restart()
        self._replies.failed(video.id, failure)

    def _on_out_of_memory(self, video: Video, failure: RunnerFailure) -> None:
        # Several ranks never use offload (Open-Sora's pipeline).
        may_retry = self._settings.offload == "retry" and self._models.ranks == 1
        if may_retry and not self._models.is_offloaded and video.wish is None:
            log(
                f"{video.id} ran out of memory at step {video.step}; "
                f"trying again with offload: {failure.message}"
            )
            video.offloaded = True
            video.stage = "waiting"
            if video.checkpoint is not None:
                video.resume_path = video.checkpoint[1]
            self._models.restart_with_offload(video.generation.model)
            return
        self._video = None
        self._models.lose(failure.message, reported=True)
        self._replies.failed(video.id, failure)

    def _release_when_room(self, video: Video) -> None:
        if self._finishing.has_room:
            self._video = None
            self._finishing.take(video)

    def _say_progress(self, video: Video, phase: Phase, step: int, steps: int) -> None:
        video.news_at = time.monotonic()
        self._replies.progress(video.id, phase, step, steps)

    def _break_silence(self, video: Video, now: float) -> None:
        if now - video.news_at < NEWS_S:
            return
        if video.load_asked_at is not None and video.stage == "waiting":
            self._say_progress(video, "load", 0, 1)
        else:
            self._say_progress(video, "denoise", video.step, video.generation.num_steps)
