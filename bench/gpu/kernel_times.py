"""Where the device's time of one call goes, by kind of kernel."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Callable

import torch
from measure import synchronize
from parts import DEVICE

# The first that fits a kernel's name in small letters.
KINDS = (
    ("attention", ("flash", "fmha", "sdpa", "attention", "softmax")),
    ("convolutions", ("conv", "implicit", "dgrad", "wgrad", "cutlass__5x", "nhwctonchw", "nchwtonhwc")),
    ("matrix_products", ("gemm", "nvjet", "cutlass", "cublas", "splitk", "matmul")),
    ("copies", ("memcpy", "memset", "copy", "catarray")),
)
NAMED = 25


def kind_of(kernel: str) -> str:
    name = kernel.lower()
    return next((kind for kind, parts in KINDS if any(part in name for part in parts)), "the_rest")


def profile(call: Callable[[], Any], listed_in: Path, what: str) -> dict[str, Any]:
    """Milliseconds of the device by kind, of one call after one that does not count. Adds the kernels with
    the most time to the file. Nothing on a CPU."""
    if DEVICE.type != "cuda":
        return {}
    activities = [torch.profiler.ProfilerActivity.CUDA]
    call()
    synchronize()
    with torch.profiler.profile(activities=activities) as recorded:
        call()
        synchronize()
    kernels = sorted(recorded.key_averages(), key=lambda one: -one.self_device_time_total)
    sums: dict[str, float] = {}
    for kernel in kernels:
        kind = kind_of(kernel.key)
        sums[kind] = sums.get(kind, 0) + kernel.self_device_time_total / 1000
    with open(listed_in, "a", encoding="utf-8") as file:
        file.write(f"\n{what}\n")
        for kernel in kernels[:NAMED]:
            took = kernel.self_device_time_total / 1000
            file.write(f"{took:10.2f} ms {kernel.count:6d}  {kernel.key[:150]}\n")
    return {f"{kind}_ms": round(took, 1) for kind, took in sorted(sums.items(), key=lambda one: -one[1])}
