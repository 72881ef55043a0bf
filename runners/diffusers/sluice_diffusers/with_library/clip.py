"""What a pipeline made, written as the encoder reads it."""

from __future__ import annotations

from typing import Any

import torch

from sluice_runner.failure import RunnerFailure
from sluice_runner.generation import Generation
from sluice_runner.pipeline import Sound


def write_frames(path: str, frames: torch.Tensor, generation: Generation) -> None:
    """`frames`: [frames, 3, height, width] from 0 to 1, on any device. Written one by one as RGB24.

    Raises RunnerFailure for a clip of another shape, and for one that is no picture."""
    expected = (generation.num_frames, 3, generation.height, generation.width)
    if tuple(frames.shape) != expected:
        said = f"the pipeline made a clip of shape {tuple(frames.shape)}; asked was {expected}"
        raise RunnerFailure("internal", said)
    with open(path, "wb") as file:
        for number, frame in enumerate(frames):
            pixels = frame.float()
            if not bool(torch.isfinite(pixels).all()):
                # Half precision overflowed, say. As bytes it would be a black clip, and be charged.
                raise RunnerFailure(
                    "internal", f"frame {number} has numbers that are not finite", retryable=True
                )
            levels = pixels.mul(255).round_().clamp_(0, 255).to(torch.uint8)
            file.write(levels.permute(1, 2, 0).contiguous().cpu().numpy().tobytes())


def write_sound(path: str, audio: Any, rate: int) -> Sound:
    """`audio`: [channels, samples] from -1 to 1. Written as interleaved 16-bit samples."""
    samples = audio.detach().float().cpu()
    if not bool(torch.isfinite(samples).all()):
        raise RunnerFailure("internal", "the sound has numbers that are not finite", retryable=True)
    # One channel or two: what an AAC track of a clip has.
    samples = samples[:2]
    levels = samples.clamp(-1, 1).mul(32767).round().to(torch.int16)
    with open(path, "wb") as file:
        file.write(levels.t().contiguous().numpy().astype("<i2").tobytes())
    return Sound(rate, len(samples))
