"""A clip from the device into the file that the encoder reads: raw RGB24 frames."""

from __future__ import annotations

import mmap
import os

import torch

# 57 MB in 32-bit floats at 768px, where the whole clip would take 0.9 GB beside what the decoder left.
FRAMES_AT_A_TIME = 8


def write_frames(path: str, clip: torch.Tensor) -> None:
    """`clip`: [3, frames, height, width] from -1 to 1, on any device.

    Some frames at a time are copied into the mapped file, so they cross the host's memory once: the device
    idles meanwhile. Raises OSError, also when the disk is full."""
    colours, count, height, width = clip.shape
    frame_bytes = colours * height * width
    with open(path, "w+b") as file:
        # Beforehand: in mapped memory a full disk would end the process.
        os.posix_fallocate(file.fileno(), 0, count * frame_bytes)
        with mmap.mmap(file.fileno(), count * frame_bytes) as mapped:
            frames = torch.frombuffer(mapped, dtype=torch.uint8).view(count, height, width, colours)
            for first in range(0, count, FRAMES_AT_A_TIME):
                some = clip[:, first : first + FRAMES_AT_A_TIME]
                frames[first : first + FRAMES_AT_A_TIME].copy_(_bytes_of(some))
            # The map cannot be closed while something refers to it.
            del frames


def _bytes_of(clip: torch.Tensor) -> torch.Tensor:
    """As opensora.datasets.save_sample does it, in 32-bit floats: [frames, height, width, 3]."""
    # `float` returns the very tensor where it has them already.
    pixels = clip.float().clamp(-1, 1).add_(1).mul_(127.5).add_(0.5).clamp_(0, 255)
    return pixels.permute(1, 2, 3, 0).to(torch.uint8).contiguous()
