"""The runner protocol (packages/shared/src/runner-protocol.ts): one video on the device at a time, finished ones encoded beside it.

This process holds no device and imports nothing but the standard library; the ranks do the work (rank.py). So it answers whatever a
device does: a cancel during a long step, a rank that dies, memory that runs out.
"""

from __future__ import annotations

import os
import time
from dataclasses import asdict, dataclass, field
from typing import Any, Callable, Literal

from .checkpoint import read_checkpoint
from .encode_queue import EncodeQueue, Files
from .failure import Code, RunnerFailure
from .generation import MODES, TEXT_TOKENS, Generation, parameter_hash, request_of, video_tokens
from .loop import Loop
from .pipeline import Readiness
from .rank_group import RankGroup
from .requests import Cancel, Generate, Load, Request, Shutdown, Yield, id_of, parse_json, parse_request
from .settings import Settings

Send = Callable[[dict[str, Any]], None]
Log = Callable[[str], None]

FRAMES_FILE = "frames.rgb"
# Silence is broken this often while a model loads or a finished clip waits for an encoder.
NEWS_S = 1.0
# The id of the progress that says a model is still loading; no video has it.
LOAD_ID = "load"


@dataclass
class Video:
    """The video that has the device."""

    order: Generate
    parameters: str
    # Finished steps this attempt began with, and those done by now.
    start_step: int
    step: int
    # What a new rank group goes on from; None = the beginning.
    resume_path: str | None
    phase: Literal["encode", "denoise", "decode", "mux"] = "encode"
    wish: Literal["cancel", "yield"] | None = None
    # The last checkpoint this attempt wrote: step and path.
    checkpoint: tuple[int, str] | None = None
    # Whether the ranks have it; not while they load.
    sent: bool = False
    # Whether it was started again with offload after memory ran out.
    offloaded: bool = False
    # Ranks that are done with it, each with its last message.
    done: dict[int, dict[str, Any]] = field(default_factory=dict)
    news_at: float = field(default_factory=time.monotonic)

    @property
    def id(self) -> str:
        return self.order.id

    @property
    def generation(self) -> Generation:
        return self.order.request

    @property
    def frames_path(self) -> str:
        return os.path.join(self.order.workdir, FRAMES_FILE)


class Runner:
    """Every request is answered; nothing a request holds makes the runner unusable."""

    def __init__(self, settings: Settings, pipeline_spec: str, loop: Loop, send: Send, log: Log) -> None:
        self._settings = settings
        self._pipeline_spec = pipeline_spec
        self._loop = loop
        self._send = send
        self._log = log
        self._encodes = EncodeQueue(settings.encoder, loop, self)
        self._group: RankGroup | None = None
        # Ranks of the present group that have loaded, and what they said.
        self._loaded: dict[int, Readiness] = {}
        self._load_news_at = self._load_started_at = 0.0
        # The model asked for by `load`; `_readiness` once `ready` was said.
        self._model: str | None = None
        self._readiness: Readiness | None = None
        self._video: Video | None = None
        # What `finished` will say of videos that are being encoded.
        self._finishing: dict[str, dict[str, Any]] = {}
        # Why there is no rank group any more; the worker starts a new runner then.
        self._lost: str | None = None
        # It was lost with no video to fail: nobody would ask for a new runner, so this one ends once its encodes are out.
        self._lost_idle = False

    def receive(self, line: bytes) -> None:
        """Takes one line of JSON."""
        value: Any = None
        try:
            value = parse_json(line)
            request = parse_request(value)
        except RunnerFailure as failure:
            self._log(f"a request was not understood: {failure.message}")
            video = id_of(value)
            # A broken line about a video in work must not end that video.
            if video is not None and not self._is_in_work(video):
                self._fail(video, failure)
            return
        self._take(request)

    def tick(self) -> None:
        """Called a few times a second: signs of life, and the bounds of what may take long."""
        now = time.monotonic()
        self._encodes.tick()
        if self._group is not None and not self._is_loaded:
            if now - self._load_started_at > self._settings.load_ms_max / 1000:
                self._load_failed(RunnerFailure("internal", f"the model has not loaded within {self._settings.load_ms_max} ms", True))
            elif self._video is not None:
                self._break_silence(self._video, now)
            elif self._readiness is None and now - self._load_news_at >= NEWS_S:
                self._load_news_at = now
                self._send({"type": "progress", "id": LOAD_ID, "phase": "encode", "step": 0, "steps": 1})
        video = self._video
        if video is not None and len(video.done) == self._ranks:
            # Rendered, and waiting for room among the encodes.
            self._break_silence(video, now)
            self._release_when_room()
        if self._lost_idle and self._video is None and self._encodes.is_idle:
            self._loop.stop(1)

    def close(self) -> None:
        """Ends ranks and encoders now."""
        self._end_group()
        self._encodes.close()

    def shut_down(self) -> None:
        self._loop.stop(0)

    # Requests

    def _take(self, request: Request) -> None:
        if isinstance(request, Load):
            self._load(request.model)
        elif isinstance(request, Generate):
            self._generate(request)
        elif isinstance(request, Cancel):
            self._wish(request.id, "cancel")
        elif isinstance(request, Yield):
            self._wish(request.id, "yield")
        elif isinstance(request, Shutdown):
            self.shut_down()

    def _load(self, model: str) -> None:
        if self._group is not None:
            if model == self._model and self._readiness is not None:
                self._say_ready(self._readiness)
            elif model != self._model:
                message = f"model {model!r} cannot be loaded beside {self._model!r}: this runner holds one"
                self._send({"type": "failed", "code": "model_missing", "message": message, "retryable": False})
            return
        self._model = model
        self._lost = None
        self._start_group(self._settings.offload == "always")

    def _generate(self, order: Generate) -> None:
        if self._is_in_work(order.id):
            self._log(f"generate was repeated for {order.id}, which is in work: ignored")
            return
        try:
            self._video = self._admit(order)
        except RunnerFailure as failure:
            self._fail(order.id, failure)
            return
        self._send({"type": "started", "id": order.id})
        self._say_progress(self._video, "encode", 0, 1)
        if self._is_loaded:
            self._send_video(self._video)

    def _admit(self, order: Generate) -> Video:
        """Refuses what this runner cannot make before a device sees it."""
        if self._video is not None:
            raise RunnerFailure("bad_input", f"{self._video.id} is being generated; send the next video after its released")
        if self._lost is not None:
            raise RunnerFailure("device_lost", f"{self._lost}; this runner must be started again", retryable=True)
        if self._readiness is None:
            raise RunnerFailure("model_missing", "no model is loaded; send load first")
        judge(order, self._readiness)
        try:
            parameters = parameter_hash(order.request, order.references)
        except OSError as error:
            raise RunnerFailure("bad_input", f"references cannot be read: {error}") from None
        step, path = 0, None
        if order.resume is not None and order.resume.step > 0:
            path = order.resume.path
            step = read_checkpoint(path, parameters, order.request.num_steps).step
            if step != order.resume.step:
                self._log(f"{order.id} resumes from step {step}; {order.resume.step} was announced")
        return Video(order, parameters, step, step, path)

    def _wish(self, video_id: str, wish: Literal["cancel", "yield"]) -> None:
        video = self._video
        if video is None or video.id != video_id or video.wish == "cancel":
            return
        video.wish = wish
        if len(video.done) == self._ranks:
            # Only waits for room among the encodes: nothing is left to hand back, but it can be thrown away.
            if wish == "cancel":
                self._remove_frames(video)
                self._end_video({"type": "cancelled", "id": video.id, "step": video.step})
        elif video.sent:
            assert self._group is not None
            self._group.send_leader({"type": "wish", "id": video.id, "wish": wish})
        elif wish == "cancel":
            self._end_video({"type": "cancelled", "id": video.id, "step": video.step})
        else:
            step, path = video.checkpoint or (video.start_step, None)
            self._end_video({"type": "yielded", "id": video.id, "step": step, **({} if path is None else {"path": path})})

    # Ranks

    @property
    def _ranks(self) -> int:
        return self._settings.ranks

    @property
    def _is_loaded(self) -> bool:
        return self._group is not None and len(self._loaded) == self._ranks

    def _start_group(self, offload: bool) -> None:
        assert self._model is not None
        self._loaded = {}
        self._load_started_at = time.monotonic()
        group = RankGroup(self._pipeline_spec, self._ranks, offload, self._loop, self._on_rank_message, self._on_rank_death)
        self._group = group
        self._log(f"{self._ranks} rank(s) load {self._model}{' with offload' if offload else ''}: {' '.join(map(str, group.pids))}")
        group.send_all({"type": "load", "model": self._model})

    def _end_group(self) -> None:
        if self._group is not None:
            self._group.kill()
        self._group = None
        self._loaded = {}

    def _send_video(self, video: Video) -> None:
        assert self._group is not None
        video.sent = True
        video.done = {}
        self._group.send_all(
            {
                "type": "generate",
                "id": video.id,
                "request": request_of(video.generation),
                "references": [asdict(reference) for reference in video.order.references],
                "workdir": video.order.workdir,
                "frames_path": video.frames_path,
                "parameters": video.parameters,
                "resume": video.resume_path,
                "checkpoint_ms": self._settings.checkpoint_ms,
            }
        )

    def _on_rank_message(self, rank: int, message: dict[str, Any]) -> None:
        kind = message["type"]
        if kind == "ready":
            # What vars() took apart on the other side; JSON has no tuples.
            said: dict[str, Any] = {
                key: tuple(value) if isinstance(value, list) else value for key, value in message.items() if key != "type"
            }
            self._on_loaded(rank, Readiness(**said))
            return
        video = self._video
        if kind == "failed":
            failure = RunnerFailure(message["code"], message["message"], message["retryable"])
            if "id" not in message:
                self._load_failed(failure)
            elif video is not None and video.id == message["id"]:
                self._on_rank_failure(video, failure)
            return
        if video is None or video.id != message["id"]:
            return
        if kind == "progress":
            video.step = max(video.step, message["step"] if message["phase"] == "denoise" else 0)
            self._say_progress(video, message["phase"], message["step"], message["steps"])
        elif kind == "checkpoint":
            video.checkpoint = (message["step"], message["path"])
            self._send({"type": "checkpoint", "id": video.id, "step": message["step"], "path": message["path"]})
        else:
            video.done[rank] = message
            if len(video.done) == self._ranks:
                self._on_all_done(video)

    def _on_loaded(self, rank: int, readiness: Readiness) -> None:
        self._loaded[rank] = readiness
        if not self._is_loaded:
            return
        self._log(f"loaded in {time.monotonic() - self._load_started_at:.1f} s")
        leading = self._loaded[0]
        if self._readiness is None:
            self._readiness = leading
            self._say_ready(leading)
        if self._video is not None:
            self._send_video(self._video)

    def _on_all_done(self, video: Video) -> None:
        leading = video.done[0]
        if leading["type"] == "rendered":
            self._release_when_room()
            return
        reply: dict[str, Any] = {"type": "cancelled" if leading["how"] == "cancel" else "yielded", "id": video.id, "step": leading["step"]}
        if leading["how"] == "yield" and leading["path"] is not None:
            reply["path"] = leading["path"]
        self._end_video(reply)

    def _on_rank_failure(self, video: Video, failure: RunnerFailure) -> None:
        if failure.code == "out_of_memory":
            self._on_out_of_memory(video, failure)
            return
        self._remove_frames(video)
        if failure.code == "device_lost":
            self._end_group()
            self._lost = failure.message
        elif self._ranks > 1:
            # The other ranks may wait for the failed one inside a collective operation: only a new group is sure to work.
            self._end_group()
            self._start_group(self._settings.offload == "always")
        self._video = None
        self._fail(video.id, failure)

    def _on_out_of_memory(self, video: Video, failure: RunnerFailure) -> None:
        assert self._group is not None
        offloaded = self._group.offload
        self._end_group()
        # Offload is for one device: over several, the weights are already split or the group's own.
        if self._settings.offload == "retry" and self._ranks == 1 and not offloaded and video.wish is None:
            self._log(f"{video.id} ran out of memory at step {video.step}; it is tried once more with offload: {failure.message}")
            video.offloaded = True
            video.sent = False
            if video.checkpoint is not None:
                video.resume_path = video.checkpoint[1]
            self._start_group(True)
            return
        self._lost = failure.message
        self._video = None
        self._fail(video.id, failure)

    def _on_rank_death(self, how: str) -> None:
        self._log(how)
        was_loading = not self._is_loaded
        self._group = None
        self._loaded = {}
        failure = RunnerFailure("device_lost", how, retryable=True)
        if was_loading and self._readiness is None:
            self._send_load_failure(failure)
            return
        self._lost = how
        video, self._video = self._video, None
        if video is not None:
            if len(video.done) == self._ranks:
                # Its frames are complete; only the device is gone.
                self._lost_idle = True
                self._release(video)
            else:
                self._remove_frames(video)
                self._fail(video.id, failure)
        else:
            self._lost_idle = True

    def _load_failed(self, failure: RunnerFailure) -> None:
        self._end_group()
        video, self._video = self._video, None
        if self._readiness is None:
            self._send_load_failure(failure)
            return
        self._lost = failure.message
        if video is not None:
            # Retried with offload: it is the memory that was short, whatever kept the second start from working.
            code: Code = "out_of_memory" if video.offloaded else "device_lost"
            self._fail(video.id, RunnerFailure(code, failure.message, retryable=True))
        else:
            self._lost_idle = True

    def _send_load_failure(self, failure: RunnerFailure) -> None:
        self._send({"type": "failed", "code": failure.code, "message": failure.message, "retryable": failure.retryable})

    # Encodes

    def _release_when_room(self) -> None:
        if self._video is not None and self._encodes.has_room:
            self._release(self._video)

    def _release(self, video: Video) -> None:
        leading = video.done[0]
        self._video = None
        self._finishing[video.id] = {
            "timings": leading["timings"],
            "tokens": video_tokens(video.generation) * (video.generation.num_steps - video.start_step),
            "peak_vram_bytes": max(message["peak_vram_bytes"] for message in video.done.values()),
            "seed": video.generation.seed,
        }
        self._send({"type": "released", "id": video.id})
        self._encodes.add(video.id, video.generation, video.frames_path, video.order.workdir)

    def on_encode_progress(self, video: str, frames_done: int, frames: int) -> None:
        self._send({"type": "progress", "id": video, "phase": "mux", "step": frames_done, "steps": frames})

    def on_encoded(self, video: str, files: Files, seconds: float) -> None:
        said = self._finishing.pop(video)
        self._send({"type": "finished", "id": video, "files": vars(files), **said, "timings": {**said["timings"], "mux": seconds}})

    def on_encode_failed(self, video: str, message: str) -> None:
        self._finishing.pop(video, None)
        self._fail(video, RunnerFailure("internal", message, retryable=True))

    # Replies

    def _say_ready(self, ready: Readiness) -> None:
        self._send(
            {
                "type": "ready",
                "device": ready.device,
                "devices": ready.devices,
                "vram_bytes": ready.vram_bytes,
                "models": list(ready.models),
                "limits": {"frames_max": ready.frames_max, "pixels_max": ready.pixels_max},
            }
        )

    def _say_progress(self, video: Video, phase: Literal["encode", "denoise", "decode", "mux"], step: int, steps: int) -> None:
        video.phase = phase
        video.news_at = time.monotonic()
        self._send({"type": "progress", "id": video.id, "phase": phase, "step": step, "steps": steps})

    def _break_silence(self, video: Video, now: float) -> None:
        if now - video.news_at >= NEWS_S:
            self._say_progress(video, "denoise", video.step, video.generation.num_steps)

    def _end_video(self, reply: dict[str, Any]) -> None:
        self._video = None
        self._send(reply)

    def _is_in_work(self, video: str) -> bool:
        return (self._video is not None and self._video.id == video) or self._encodes.holds(video)

    def _fail(self, video: str, failure: RunnerFailure) -> None:
        self._log(f"{video} failed: {failure.code}: {failure.message}")
        self._send({"type": "failed", "id": video, "code": failure.code, "message": failure.message, "retryable": failure.retryable})

    def _remove_frames(self, video: Video) -> None:
        try:
            os.remove(video.frames_path)
        except OSError:
            # Most videos that end early have none yet.
            pass


def judge(order: Generate, ready: Readiness) -> None:
    """Raises RunnerFailure for what a runner that is `ready` like this cannot make: the field, what was given, what is allowed."""
    generation = order.request
    if generation.model not in ready.models:
        raise RunnerFailure("model_missing", f"model {generation.model!r}; this runner makes {', '.join(ready.models)}")

    def refuse(field: str, given: object, allowed: str) -> RunnerFailure:
        return RunnerFailure("bad_input", f"{field} is {given}; allowed is {allowed}")

    width, height, multiple = generation.width, generation.height, ready.side_multiple
    if width % multiple != 0 or height % multiple != 0 or width * height > ready.pixels_max:
        allowed = f"sides that are multiples of {multiple} and at most {ready.pixels_max} pixels"
        raise refuse("width x height", f"{width}x{height}", allowed)
    if generation.num_frames > ready.frames_max:
        raise refuse("num_frames", generation.num_frames, f"4k+1 up to {ready.frames_max}")
    if generation.num_steps > ready.steps_max:
        raise refuse("num_steps", generation.num_steps, f"1 to {ready.steps_max}")
    if generation.fps > 120:
        raise refuse("fps", generation.fps, "1 to 120")
    if generation.mode not in ready.modes:
        raise refuse("mode", generation.mode, ", ".join(mode for mode in MODES if mode in ready.modes))
    if (generation.mode == "i2v") != (len(order.references) > 0):
        raise refuse(
            "references", f"{len(order.references)} image(s) with mode {generation.mode}", "a head, a tail or both with mode i2v, none else"
        )
    sequence = TEXT_TOKENS + video_tokens(generation)
    if sequence % ready.sequence_ranks != 0:
        # Open-Sora splits the sequence evenly over its sequence-parallel ranks (opensora/models/mmdit/distributed.py).
        split = [str(ranks) for ranks in range(1, ready.sequence_ranks + 1) if sequence % ranks == 0]
        raise refuse(
            "width x height x num_frames",
            f"{width}x{height}x{generation.num_frames} = {sequence} positions on {ready.sequence_ranks} devices",
            f"a number of devices that divides it: {', '.join(split)}",
        )
