"""The hand-over from the device to the encoders: videos between `released` and `finished`."""

from __future__ import annotations

from typing import Any, Sequence

from .encode_queue import EncodeQueue, Film, Files, FilmSound
from .failure import RunnerFailure
from .loop import Loop
from .replies import Replies
from .video import Video


class Finishing:
    def __init__(self, encoder: Sequence[str], loop: Loop, replies: Replies) -> None:
        self._queue = EncodeQueue(encoder, loop, self)
        self._replies = replies
        # By video id: what `finished` will say beside the files.
        self._outcomes: dict[str, dict[str, Any]] = {}

    @property
    def has_room(self) -> bool:
        return self._queue.has_room

    @property
    def is_idle(self) -> bool:
        return self._queue.is_idle

    def has(self, video_id: str) -> bool:
        return self._queue.has(video_id)

    def take(self, video: Video) -> None:
        """Takes a video that all ranks have rendered; its device is free from here on."""
        self._outcomes[video.id] = _outcome_of(video)
        self._replies.released(video.id)
        film = Film(video.generation, video.frames_path, video.order.workdir, _sound_of(video))
        self._queue.add(video.id, film)

    def tick(self) -> None:
        self._queue.tick()

    def close(self) -> None:
        """Ends the encoders now."""
        self._queue.close()

    def on_encode_progress(self, video_id: str, frames_done: int, frames: int) -> None:
        self._replies.progress(video_id, "mux", frames_done, frames)

    def on_encoded(self, video_id: str, files: Files, seconds: float) -> None:
        outcome = self._outcomes.pop(video_id)
        timings = {**outcome["timings"], "mux": seconds}
        self._replies.finished(video_id, {"files": vars(files), **outcome, "timings": timings})

    def on_encode_failed(self, video_id: str, message: str) -> None:
        self._outcomes.pop(video_id, None)
        self._replies.failed(video_id, RunnerFailure("internal", message, retryable=True))


def _outcome_of(video: Video) -> dict[str, Any]:
    leading, generation = video.done[0], video.generation
    tokens = video.makes.video_tokens(generation.width, generation.height, generation.num_frames)
    return {
        "timings": {**({} if video.load_s is None else {"load": video.load_s}), **leading["timings"]},
        "tokens": tokens * (generation.num_steps - video.start_step),
        "peak_vram_bytes": max(message["peak_vram_bytes"] for message in video.done.values()),
        "seed": generation.seed,
        **({"sound": True} if "sound" in leading else {}),
        **({"uses": leading["uses"]} if "uses" in leading else {}),
    }


def _sound_of(video: Video) -> FilmSound | None:
    said = video.done[0].get("sound")
    return None if said is None else FilmSound(video.sound_path, said["rate"], said["channels"])
