"""Seconds and memory of one call on the device."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, Callable

import torch
from parts import DEVICE

GIB = 2**30
# TFLOP/s of dense bf16, by a part of the device's name (NVIDIA's data sheets; SXM where there are several).
PEAKS = {"H200": 989, "H100": 989, "GH200": 989, "A100": 312, "L40S": 362, "RTX 4090": 165, "B200": 2250}


@dataclass(frozen=True)
class Timing:
    """`oom`: what was said when the memory did not do; then the others are None."""

    seconds: float | None
    peak_gib: float | None = None
    reserved_gib: float | None = None
    oom: str | None = None

    def as_row(self) -> dict[str, Any]:
        return {
            "seconds": None if self.seconds is None else round(self.seconds, 4 if self.seconds < 1 else 2),
            "peak_GiB": self.peak_gib,
            "reserved_GiB": self.reserved_gib,
            "out_of_memory": self.oom,
        }


def synchronize() -> None:
    if DEVICE.type == "cuda":
        torch.cuda.synchronize()


def timed(call: Callable[[], Any], *, warm: int = 1, runs: int = 2) -> Timing:
    """The median of `runs`, after `warm` that do not count."""
    is_cuda = DEVICE.type == "cuda"
    try:
        if is_cuda:
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
        for _ in range(warm):
            call()
        seconds = []
        for _ in range(runs):
            synchronize()
            started_at = time.monotonic()
            call()
            synchronize()
            seconds.append(time.monotonic() - started_at)
    except torch.cuda.OutOfMemoryError as error:
        return Timing(None, oom=str(error).split("\n")[0][:100])
    median = sorted(seconds)[len(seconds) // 2]
    if not is_cuda:
        return Timing(median)
    allocated, reserved = torch.cuda.max_memory_allocated(), torch.cuda.max_memory_reserved()
    return Timing(median, round(allocated / GIB, 1), round(reserved / GIB, 1))


def device_name() -> str:
    return torch.cuda.get_device_name() if DEVICE.type == "cuda" else "cpu"


def peak_tflops() -> int | None:
    """The longest name that fits: GH200 before H200."""
    fitting = [name for name in PEAKS if name in device_name()]
    return PEAKS[max(fitting, key=len)] if fitting else None
