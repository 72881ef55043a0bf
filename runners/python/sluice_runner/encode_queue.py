"""Encodes finished frames beside the next video, one encoder process per video.

An encoder is a command that gets raw RGB24 frames on its stdin (a file, so nothing is copied twice) and these
arguments after its own: `--width W --height H --frames N --fps F --video PATH --thumbnail PATH --spritesheet
PATH`; for a clip with sound also `--sound PATH --sound-rate R --sound-channels C`, a file of interleaved
16-bit little-endian samples. It prints a line `frame N` when N frames are encoded, at least every
SILENCE_S_MAX seconds, and exits 0 once it has written an H.264 MP4, with the sound as AAC, a WebP and a JPEG.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import Protocol, Sequence

from .generation import Generation
from .lines import LineBuffer
from .loop import Loop

# Two keep up with what one runner can generate. While this many wait, a rendered video keeps its device.
ENCODERS_MAX = 2
WAITING_MAX = 3
SILENCE_S_MAX = 60.0
# How often a waiting video says so.
WAITING_NEWS_S = 0.8
CHUNK_BYTES = 65_536
DEFAULT_ENCODER = (sys.executable, "-m", "sluice_runner.encode_frames")


@dataclass(frozen=True)
class Files:
    video: str
    thumbnail: str
    spritesheet: str

    @staticmethod
    def within(folder: str) -> Files:
        return Files(
            *(os.path.join(folder, name) for name in ("video.mp4", "thumbnail.webp", "spritesheet.jpg"))
        )


@dataclass(frozen=True)
class FilmSound:
    """Interleaved 16-bit little-endian samples in a file. `rate`: samples per second and channel."""

    path: str
    rate: int
    channels: int


@dataclass(frozen=True)
class Film:
    """A finished clip: raw RGB24 frames, and its sound if it has any. `folder` takes the files made of it."""

    generation: Generation
    frames_path: str
    folder: str
    sound: FilmSound | None = None


class EncodeEvents(Protocol):
    def on_encode_progress(self, video: str, frames_done: int, frames: int) -> None: ...
    def on_encoded(self, video: str, files: Files, seconds: float) -> None: ...
    def on_encode_failed(self, video: str, message: str) -> None: ...


class _Encode:
    def __init__(self, video: str, film: Film) -> None:
        self.video = video
        self.film = film
        self.frames = film.generation.num_frames
        self.files = Files.within(film.folder)
        self.process: subprocess.Popen[bytes] | None = None
        self.buffer = LineBuffer()
        self.frames_done = 0
        self.news_at = time.monotonic()
        self.started_at = 0.0


class EncodeQueue:
    def __init__(self, command: Sequence[str], loop: Loop, events: EncodeEvents) -> None:
        self._command = command
        self._loop = loop
        self._events = events
        self._waiting: list[_Encode] = []
        self._running: list[_Encode] = []

    @property
    def has_room(self) -> bool:
        return len(self._waiting) < WAITING_MAX

    @property
    def is_idle(self) -> bool:
        return not self._waiting and not self._running

    def has(self, video: str) -> bool:
        return any(encode.video == video for encode in (*self._waiting, *self._running))

    def add(self, video: str, film: Film) -> None:
        self._waiting.append(_Encode(video, film))
        self._start_next()

    def tick(self) -> None:
        now = time.monotonic()
        for encode in self._waiting:
            if now - encode.news_at >= WAITING_NEWS_S:
                encode.news_at = now
                self._events.on_encode_progress(encode.video, 0, encode.frames)
        for encode in list(self._running):
            if now - encode.news_at > SILENCE_S_MAX and encode.process is not None:
                encode.process.kill()

    def close(self) -> None:
        for encode in self._running:
            if encode.process is not None:
                encode.process.kill()
                encode.process.wait()

    def _start_next(self) -> None:
        while self._waiting and len(self._running) < ENCODERS_MAX:
            encode = self._waiting.pop(0)
            try:
                self._start(encode)
            except OSError as error:
                self._remove_frames(encode)
                self._events.on_encode_failed(encode.video, f"the encoder cannot be started: {error}")

    def _start(self, encode: _Encode) -> None:
        encode.started_at = encode.news_at = time.monotonic()
        with open(encode.film.frames_path, "rb") as frames:
            command = [*self._command, *_encoder_arguments(encode)]
            encode.process = subprocess.Popen(command, stdin=frames, stdout=subprocess.PIPE)
        self._running.append(encode)
        self._loop.watch(encode.process.stdout, lambda: self._read(encode))

    def _read(self, encode: _Encode) -> None:
        assert encode.process is not None and encode.process.stdout is not None
        chunk = os.read(encode.process.stdout.fileno(), CHUNK_BYTES)
        if chunk == b"":
            self._end(encode)
            return
        lines = encode.buffer.feed(chunk)
        if not lines:
            return
        encode.news_at = time.monotonic()
        for line in lines:
            word, _, number = line.strip().partition(b" ")
            if word == b"frame" and number.isdigit():
                encode.frames_done = min(int(number), encode.frames)
        self._events.on_encode_progress(encode.video, encode.frames_done, encode.frames)

    def _end(self, encode: _Encode) -> None:
        assert encode.process is not None and encode.process.stdout is not None
        self._loop.forget(encode.process.stdout)
        encode.process.stdout.close()
        try:
            code: int | None = encode.process.wait(SILENCE_S_MAX)
        except subprocess.TimeoutExpired:
            encode.process.kill()
            code = encode.process.wait()
        self._running.remove(encode)
        self._remove_frames(encode)
        self._start_next()
        missing = [path for path in vars(encode.files).values() if not os.path.isfile(path)]
        if code != 0:
            self._events.on_encode_failed(encode.video, f"the encoder ended with code {code}")
        elif missing:
            self._events.on_encode_failed(
                encode.video, f"the encoder did not write {os.path.basename(missing[0])}"
            )
        else:
            self._events.on_encoded(encode.video, encode.files, time.monotonic() - encode.started_at)

    def _remove_frames(self, encode: _Encode) -> None:
        sound = encode.film.sound
        for path in (encode.film.frames_path, *(() if sound is None else (sound.path,))):
            try:
                os.remove(path)
            except OSError:
                # The worker may have removed the whole folder of an attempt it gave up.
                pass


def _encoder_arguments(encode: _Encode) -> list[str]:
    generation, files, sound = encode.film.generation, encode.files, encode.film.sound
    values: dict[str, object] = {
        "--width": generation.width,
        "--height": generation.height,
        "--frames": generation.num_frames,
        "--fps": generation.fps,
        "--video": files.video,
        "--thumbnail": files.thumbnail,
        "--spritesheet": files.spritesheet,
    }
    if sound is not None:
        values |= {"--sound": sound.path, "--sound-rate": sound.rate, "--sound-channels": sound.channels}
    return [word for name, value in values.items() for word in (name, str(value))]
