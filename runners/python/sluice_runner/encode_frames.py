"""The default encoder: raw RGB24 frames on stdin to an H.264 MP4, a WebP still and a JPEG sheet.

It uses PyAV and Pillow. encode_queue.py says what it is given and prints.
"""

from __future__ import annotations

import argparse
import math
import sys
from fractions import Fraction
from typing import Any, BinaryIO

import av
import numpy
from av.video.reformatter import ColorRange, Colorspace
from PIL import Image

# Visually lossless for most clips; Open-Sora's own script uses 23.
CRF = "18"
KEY_FRAME_S = 2
# ITU-T H.273: BT.709 is 1 in each of primaries, transfer and matrix. FFmpeg's AVColorRange: 1 is limited.
BT709 = 1
LIMITED = 1
# The still is the frame at this share of the clip.
THUMBNAIL_AT = 0.6
SHEET_FRAMES_MAX = 12
SHEET_CELL_PIXELS = 320


def main() -> int:
    parser = argparse.ArgumentParser(prog="sluice_runner.encode_frames")
    for name in ("width", "height", "frames", "fps"):
        parser.add_argument(f"--{name}", type=int, required=True)
    for name in ("video", "thumbnail", "spritesheet"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--sound")
    for name in ("sound-rate", "sound-channels"):
        parser.add_argument(f"--{name}", type=int)
    given = parser.parse_args()
    width, height, frames = given.width, given.height, given.frames
    sheet = Sheet(width, height, frames)
    thumbnail_index = math.floor(frames * THUMBNAIL_AT)
    with av.open(given.video, "w", options={"movflags": "+faststart"}) as container:
        stream = container.add_stream("libx264", rate=given.fps, options={"crf": CRF, "profile": "high"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.time_base = Fraction(1, given.fps)
        context = stream.codec_context
        context.gop_size = KEY_FRAME_S * given.fps
        context.color_primaries = context.color_trc = context.colorspace = BT709
        context.color_range = LIMITED
        sound = None if given.sound is None else SoundTrack(container, given)
        for index in range(frames):
            pixels = read_frame(sys.stdin.buffer, width, height)
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24").reformat(
                format="yuv420p", dst_colorspace=Colorspace.ITU709, dst_color_range=ColorRange.MPEG
            )
            frame.pts = index
            container.mux(stream.encode(frame))
            if sound is not None:
                sound.put(index)
            if index == thumbnail_index:
                Image.fromarray(pixels).save(given.thumbnail, "WEBP", quality=84)
            sheet.put(index, pixels)
            print(f"frame {index + 1}", flush=True)
        container.mux(stream.encode(None))
        if sound is not None:
            sound.end()
    sheet.image.save(given.spritesheet, "JPEG", quality=82)
    return 0


def read_frame(source: BinaryIO, width: int, height: int) -> numpy.ndarray:
    """Returns uint8 [height, width, 3]. Raises EOFError."""
    data = source.read(width * height * 3)
    if len(data) != width * height * 3:
        raise EOFError("the frames end too soon")
    return numpy.frombuffer(data, dtype=numpy.uint8).reshape(height, width, 3)


class SoundTrack:
    """The samples of each frame's time, as AAC; silence where the file ends before the clip does."""

    def __init__(self, container: Any, given: argparse.Namespace) -> None:
        self._container = container
        self._rate, self._fps = given.sound_rate, given.fps
        samples = numpy.fromfile(given.sound, dtype="<i2")
        self._samples = samples[: len(samples) // given.sound_channels * given.sound_channels]
        self._samples = self._samples.reshape(-1, given.sound_channels)
        self._layout = "mono" if given.sound_channels == 1 else "stereo"
        self._stream = container.add_stream("aac", rate=self._rate, layout=self._layout)

    def put(self, index: int) -> None:
        begin, end = (number * self._rate // self._fps for number in (index, index + 1))
        part = self._samples[begin:end]
        part = numpy.pad(part, ((0, end - begin - len(part)), (0, 0)))
        frame = av.AudioFrame.from_ndarray(part.reshape(1, -1), format="s16", layout=self._layout)
        frame.sample_rate, frame.pts, frame.time_base = self._rate, begin, Fraction(1, self._rate)
        self._container.mux(self._stream.encode(frame))

    def end(self) -> None:
        self._container.mux(self._stream.encode(None))


class Sheet:
    """A grid of up to twelve frames, evenly spaced over the clip, in reading order."""

    def __init__(self, width: int, height: int, frames: int) -> None:
        count = min(frames, SHEET_FRAMES_MAX)
        self._columns = min(count, 3 if width >= height else 6)
        scale = min(1.0, SHEET_CELL_PIXELS / max(width, height))
        self._cell = (round(width * scale), round(height * scale))
        self._places = {round(cell * (frames - 1) / max(1, count - 1)): cell for cell in range(count)}
        rows = math.ceil(count / self._columns)
        self.image = Image.new("RGB", (self._columns * self._cell[0], rows * self._cell[1]))

    def put(self, index: int, pixels: numpy.ndarray) -> None:
        cell = self._places.get(index)
        if cell is not None:
            corner = (cell % self._columns * self._cell[0], cell // self._columns * self._cell[1])
            self.image.paste(Image.fromarray(pixels).resize(self._cell, Image.Resampling.LANCZOS), corner)


if __name__ == "__main__":
    sys.exit(main())
