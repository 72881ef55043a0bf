"""The runner protocol (packages/shared/src/runner-protocol.ts): one video on the device at a time, finished ones encoded beside it.

This process holds no device and imports nothing but the standard library; the ranks do the work (rank.py). So it answers whatever a
device does: a cancel during a long step, a rank that dies, memory that runs out.
"""

from __future__ import annotations

import os
import time
from dataclasses import asdict
from typing import Any, Callable, Literal

from .checkpoint import read_checkpoint
from .encode_queue import EncodeQueue, Files
from .failure import Code, RunnerFailure
from .generation import MODES, parameter_hash, request_of, video_tokens
from .judge import judge
from .loop import Loop
from .model_weights import request_of_models
from .pipeline import Phase, Readiness
from .rank_group import RankGroup
from .requests import Cancel, Generate, Load, Request, Shutdown, Yield, id_of, parse_json, parse_request
from .settings import Settings
from .video import Video

Send = Callable[[dict[str, Any]], None]
Log = Callable[[str], None]

# Silence is broken this often while a model loads or a finished clip waits for an encoder.
NEWS_S = 1.0
# The id of the progress that says a model is still loading; no video has it.
LOAD_ID = "load"


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
        # What was asked for by `load`; `_readiness` once `ready` was said.
        self._asked: Load | None = None
        self._readiness: Readiness | None = None
        # What tells each model's own weights from others (ServedModel.identity).
        self._identities: dict[str, str] = {}
        # The model the present group was started with, the last one a group loaded, and the one whose weights are in use; only one
        # rank turns to another without a new start.
        self._model: str | None = None
        self._loaded_model: str | None = None
        self._used_model: str | None = None
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
            if isinstance(value, dict) and value.get("type") == "load":
                self._send_load_failure(failure)
            # A broken line about a video in work must not end that video.
            elif video is not None and not self._is_in_work(video):
                self._fail(video, failure)
            return
        self._take(request)

    def tick(self) -> None:
        """Called a few times a second: signs of life, and the bounds of what may take long."""
        now = time.monotonic()
        self._encodes.tick()
        if self._group is not None and not self._is_loaded:
            if now - self._load_started_at > self._settings.load_ms_max / 1000:
                self._load_failed(
                    RunnerFailure(
                        "internal", f"the model has not loaded within {self._settings.load_ms_max} ms", True
                    )
                )
            elif self._video is not None:
                self._break_silence(self._video, now)
            elif self._readiness is None and now - self._load_news_at >= NEWS_S:
                self._load_news_at = now
                self._send({"type": "progress", "id": LOAD_ID, "phase": "load", "step": 0, "steps": 1})
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
            self._load(request)
        elif isinstance(request, Generate):
            self._generate(request)
        elif isinstance(request, Cancel):
            self._wish(request.id, "cancel")
        elif isinstance(request, Yield):
            self._wish(request.id, "yield")
        elif isinstance(request, Shutdown):
            self.shut_down()

    def _load(self, request: Load) -> None:
        if self._group is not None:
            if request == self._asked and self._readiness is not None:
                self._say_ready(self._readiness)
            elif request != self._asked:
                assert self._asked is not None
                message = f"model {request.model!r} cannot be loaded: this runner has taken another load, of {self._asked.model!r}"
                self._send(
                    {"type": "failed", "code": "model_missing", "message": message, "retryable": False}
                )
            return
        self._asked = request
        self._lost = self._readiness = self._loaded_model = None
        self._identities = {}
        self._start_group(request.model, self._settings.offload == "always")

    def _generate(self, order: Generate) -> None:
        if self._is_in_work(order.id):
            self._log(f"generate was repeated for {order.id}, which is in work: ignored")
            return
        try:
            self._video = self._admit(order)
        except RunnerFailure as failure:
            self._fail(order.id, failure)
            return
        video, model = self._video, order.request.model
        self._send({"type": "started", "id": order.id})
        self._say_progress(video, "encode" if model == self._used_model else "load", 0, 1)
        if self._ranks > 1 and model != self._loaded_model:
            video.load_asked_at = time.monotonic()
        if self._ranks > 1 and model != self._model:
            # The weights lie split or copied over the ranks, and a rank that failed alone would leave the rest waiting: all load anew.
            self._end_group()
            self._start_group(model, self._settings.offload == "always")
        elif self._is_loaded:
            self._send_video(video)

    def _admit(self, order: Generate) -> Video:
        """Refuses what this runner cannot make before a device sees it."""
        if self._video is not None:
            raise RunnerFailure(
                "bad_input", f"{self._video.id} is being generated; send the next video after its released"
            )
        if self._lost is not None:
            raise RunnerFailure(
                "device_lost", f"{self._lost}; this runner must be started again", retryable=True
            )
        if self._readiness is None:
            raise RunnerFailure("model_missing", "no model is loaded; send load first")
        judge(order, self._readiness)
        try:
            parameters = parameter_hash(
                order.request, order.references, self._identities.get(order.request.model, "")
            )
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
            self._end_video(
                {"type": "yielded", "id": video.id, "step": step, **({} if path is None else {"path": path})}
            )

    # Ranks

    @property
    def _ranks(self) -> int:
        return self._settings.ranks

    @property
    def _is_loaded(self) -> bool:
        return self._group is not None and len(self._loaded) == self._ranks

    def _start_group(self, model: str, offload: bool) -> None:
        assert self._asked is not None
        self._model, self._used_model = model, None
        self._loaded = {}
        self._load_started_at = time.monotonic()
        group = RankGroup(
            self._pipeline_spec, self._ranks, offload, self._loop, self._on_rank_message, self._on_rank_death
        )
        self._group = group
        self._log(
            f"{self._ranks} rank(s) load {model}{' with offload' if offload else ''}: {' '.join(map(str, group.pids))}"
        )
        # Several ranks never switch, so once all models were judged they need only their own, whatever became of the others' files.
        needs_all = self._ranks == 1 or self._readiness is None
        models = [weights for weights in self._asked.models if needs_all or weights.id == model]
        group.send_all({"type": "load", "model": model, "models": request_of_models(models)})

    def _end_group(self) -> None:
        if self._group is not None:
            self._group.kill()
        self._group = None
        self._loaded = {}

    def _send_video(self, video: Video) -> None:
        assert self._group is not None
        video.sent = True
        video.done = {}
        if video.load_asked_at is not None:
            video.load_s = time.monotonic() - video.load_asked_at
        if video.generation.model != self._used_model:
            self._used_model = None
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
                key: tuple(value) if isinstance(value, list) else value
                for key, value in message["readiness"].items()
            }
            self._on_loaded(rank, Readiness(**said), message["identities"])
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
        if kind == "rendered" or (kind == "progress" and message["phase"] != "load"):
            self._used_model = video.generation.model
        if kind == "progress":
            video.step = max(video.step, message["step"] if message["phase"] == "denoise" else 0)
            self._say_progress(video, message["phase"], message["step"], message["steps"])
        elif kind == "checkpoint":
            video.checkpoint = (message["step"], message["path"])
            self._send(
                {"type": "checkpoint", "id": video.id, "step": message["step"], "path": message["path"]}
            )
        else:
            video.done[rank] = message
            if len(video.done) == self._ranks:
                self._on_all_done(video)

    def _on_loaded(self, rank: int, readiness: Readiness, identities: dict[str, str]) -> None:
        if self._readiness is None:
            self._identities = identities
        elif any(identities[model] != self._identities[model] for model in identities):
            message = f"the weights of model {self._model!r} were replaced since this runner loaded; start the worker again"
            self._load_failed(RunnerFailure("model_missing", message))
            return
        self._loaded[rank] = readiness
        if not self._is_loaded:
            return
        self._log(f"loaded in {time.monotonic() - self._load_started_at:.1f} s")
        self._loaded_model = self._used_model = self._model
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
        reply: dict[str, Any] = {
            "type": "cancelled" if leading["how"] == "cancel" else "yielded",
            "id": video.id,
            "step": leading["step"],
        }
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
            assert self._model is not None
            self._start_group(self._model, self._settings.offload == "always")
        self._video = None
        self._fail(video.id, failure)

    def _on_out_of_memory(self, video: Video, failure: RunnerFailure) -> None:
        assert self._group is not None
        offloaded = self._group.offload
        self._end_group()
        # Offload is for one device: over several, the weights are already split or the group's own.
        if self._settings.offload == "retry" and self._ranks == 1 and not offloaded and video.wish is None:
            self._log(
                f"{video.id} ran out of memory at step {video.step}; it is tried once more with offload: {failure.message}"
            )
            video.offloaded = True
            video.sent = False
            if video.checkpoint is not None:
                video.resume_path = video.checkpoint[1]
            self._start_group(video.generation.model, True)
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
        turned = self._model != self._loaded_model and (video is None or not video.offloaded)
        if turned and self._loaded_model is not None and failure.code not in ("out_of_memory", "device_lost"):
            # Only the other model's weights cannot be used: what worked before is loaded again.
            if video is not None:
                self._fail(video.id, failure)
            self._start_group(self._loaded_model, self._settings.offload == "always")
            return
        self._lost = failure.message
        if video is not None:
            # Retried with offload: it is the memory that was short, whatever kept the second start from working.
            code: Code = (
                "out_of_memory" if video.offloaded or failure.code == "out_of_memory" else "device_lost"
            )
            self._fail(video.id, RunnerFailure(code, failure.message, retryable=True))
        else:
            self._lost_idle = True

    def _send_load_failure(self, failure: RunnerFailure) -> None:
        self._send(
            {
                "type": "failed",
                "code": failure.code,
                "message": failure.message,
                "retryable": failure.retryable,
            }
        )

    # Encodes

    def _release_when_room(self) -> None:
        if self._video is not None and self._encodes.has_room:
            self._release(self._video)

    def _release(self, video: Video) -> None:
        leading = video.done[0]
        self._video = None
        self._finishing[video.id] = {
            "timings": {**({} if video.load_s is None else {"load": video.load_s}), **leading["timings"]},
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
        self._send(
            {
                "type": "finished",
                "id": video,
                "files": vars(files),
                **said,
                "timings": {**said["timings"], "mux": seconds},
            }
        )

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
                "modes": [mode for mode in MODES if mode in ready.modes],
                "limits": {
                    "frames_max": ready.frames_max,
                    "pixels_max": ready.pixels_max,
                    **({"sequence_devices": ready.sequence_ranks} if ready.sequence_ranks > 1 else {}),
                },
            }
        )

    def _say_progress(self, video: Video, phase: Phase, step: int, steps: int) -> None:
        video.news_at = time.monotonic()
        self._send({"type": "progress", "id": video.id, "phase": phase, "step": step, "steps": steps})

    def _break_silence(self, video: Video, now: float) -> None:
        if now - video.news_at >= NEWS_S:
            if video.load_asked_at is not None and not video.sent:
                self._say_progress(video, "load", 0, 1)
            else:
                self._say_progress(video, "denoise", video.step, video.generation.num_steps)

    def _end_video(self, reply: dict[str, Any]) -> None:
        self._video = None
        self._send(reply)

    def _is_in_work(self, video: str) -> bool:
        return (self._video is not None and self._video.id == video) or self._encodes.holds(video)

    def _fail(self, video: str, failure: RunnerFailure) -> None:
        self._log(f"{video} failed: {failure.code}: {failure.message}")
        self._send(
            {
                "type": "failed",
                "id": video,
                "code": failure.code,
                "message": failure.message,
                "retryable": failure.retryable,
            }
        )

    def _remove_frames(self, video: Video) -> None:
        try:
            os.remove(video.frames_path)
        except OSError:
            # Most videos that end early have none yet.
            pass
