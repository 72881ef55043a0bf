"""Test scaffolding: an encoder that only counts and copies frames, for tests about the protocol. Its files
are no films."""

from __future__ import annotations

import argparse
import os
import sys
import time

parser = argparse.ArgumentParser()
for name in ("width", "height", "frames", "fps"):
    parser.add_argument(f"--{name}", type=int, required=True)
for name in ("video", "thumbnail", "spritesheet"):
    parser.add_argument(f"--{name}", required=True)
parser.add_argument("--sound")
for name in ("sound-rate", "sound-channels"):
    parser.add_argument(f"--{name}", type=int)
given = parser.parse_args()
if os.environ.get("PLAIN_ENCODER_FAILS") == "1":
    sys.exit(3)
with open(given.video, "wb") as video:
    for number in range(1, given.frames + 1):
        frame = sys.stdin.buffer.read(given.width * given.height * 3)
        if len(frame) != given.width * given.height * 3:
            sys.exit(4)
        video.write(frame)
        print(f"frame {number}", flush=True)
        time.sleep(int(os.environ.get("PLAIN_FRAME_MS") or 0) / 1000)
    if given.sound is not None:
        with open(given.sound, "rb") as sound:
            video.write(sound.read())
for path in (given.thumbnail, given.spritesheet):
    with open(path, "wb") as still:
        still.write(b"still")
