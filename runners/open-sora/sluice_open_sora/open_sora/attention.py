"""The attention kernels there are, tried on the device, and the chosen one in Open-Sora's place.

Open-Sora imports flash_attn at the top of its files and calls it, or FlashAttention 3 where that can be
imported. Here flash_attn may be missing: then only its name stands in, and another kernel does the work.
"""

from __future__ import annotations

import importlib
import importlib.machinery
import sys
import time
import types
from dataclasses import dataclass
from typing import Any, Callable, Sequence

import torch

from sluice_runner.failure import RunnerFailure, classify
from sluice_runner.with_torch.device import synchronize

from ..attention_choice import (
    ATTENTION_SETTING,
    FP8_KERNEL,
    KERNELS,
    AttentionSetting,
    Fp8Kernel,
    Kernel,
    Trial,
    choose_kernel,
    describe_trials,
    why_not_fp8,
)
from .fp8_attention import attend_in_fp8, find_cudnn

# [batch, length, heads, width] of each, as flash_attn_func takes and gives it.
Attend = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]

_SDPA = {
    "sdpa-cudnn": "CUDNN_ATTENTION",
    "sdpa-flash": "FLASH_ATTENTION",
    "sdpa-efficient": "EFFICIENT_ATTENTION",
    "sdpa-math": "MATH",
}
# Long enough for several tiles of every kernel, and no multiple of them.
_CHECKED_LENGTH = 333
# The largest difference from the same sums in 32-bit floats, by the spread of the result. A number of bf16
# is rounded by up to 1/256 of itself, and the largest is some five times the spread.
_TOLERANCE = 0.1
# Of sums in fp8, the whole difference by the whole result: five roundings to 3 bits come to 9 %.
_FP8_TOLERANCE = 0.15
_TIMED_RUNS = 2
# What importing Open-Sora's files needs of flash_attn.
_FLASH_ATTN_NAMES = {
    "flash_attn": ("flash_attn_func",),
    "flash_attn.flash_attn_interface": ("_flash_attn_forward", "_flash_attn_backward"),
}


@dataclass(frozen=True)
class Heads:
    """What the network's attention is like."""

    count: int
    width: int
    dtype: torch.dtype


def stand_in_for_flash_attn() -> str | None:
    """Returns why flash_attn cannot be imported, and puts its names in place so that Open-Sora can; None =
    it is there. Called before Open-Sora's network is imported."""
    try:
        return _stands_in_for(importlib.import_module("flash_attn"))
    except Exception as error:
        why = _why_not_imported(error)
    for name in [name for name in sys.modules if name.partition(".")[0] == "flash_attn"]:
        del sys.modules[name]

    def missing(*_: Any, **__: Any) -> None:
        raise RunnerFailure("model_missing", f"flash-attn is needed here; it is {why}")

    for name, names in _FLASH_ATTN_NAMES.items():
        module = types.ModuleType(name)
        module.__spec__ = importlib.machinery.ModuleSpec(name, None, is_package=True)
        vars(module).update({each: missing for each in names}, __path__=[], STANDS_IN_FOR=why)
        sys.modules[name] = module
    return why


def find_kernel(kernel: Kernel | Fp8Kernel) -> Attend:
    """Raises what importing it raises, or RuntimeError when this torch does not have it."""
    if kernel == "cudnn-fp8":
        find_cudnn()
        return attend_in_fp8
    if kernel == "flash-attn-3":
        attend_3 = importlib.import_module("flash_attn_interface").flash_attn_func

        def flash_attn_3(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
            # Its first versions return the logarithms of the sums too.
            result = attend_3(q, k, v)
            return result[0] if isinstance(result, tuple) else result

        return flash_attn_3
    if kernel == "flash-attn-2":
        module = importlib.import_module("flash_attn")
        if _stands_in_for(module) is not None:
            raise ModuleNotFoundError(f"flash_attn is {_stands_in_for(module)}")
        attend_2: Attend = module.flash_attn_func
        return attend_2
    backend = getattr(torch.nn.attention.SDPBackend, _SDPA[kernel], None)
    if backend is None:
        raise RuntimeError(f"torch {torch.__version__} does not have it")

    def sdpa(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        q, k, v = (part.transpose(1, 2) for part in (q, k, v))
        with torch.nn.attention.sdpa_kernel(backend):
            return torch.nn.functional.scaled_dot_product_attention(q, k, v).transpose(1, 2)

    return sdpa


def try_kernels(
    kernels: Sequence[Kernel | Fp8Kernel], heads: Heads, lengths: Sequence[int], device: torch.device
) -> list[Trial]:
    """Tries each once. `lengths`: of the sequences to time, on a GPU."""
    timed = lengths if device.type == "cuda" else ()
    with torch.inference_mode():
        trials = [_try(kernel, heads, timed, device) for kernel in kernels]
    if device.type == "cuda":
        torch.cuda.empty_cache()
    return trials


def settle_attention(
    wanted: AttentionSetting, heads: Heads, lengths: Sequence[int], device: torch.device
) -> tuple[Kernel, str]:
    """Returns the kernel to use, and what to say of it in the log. Raises RunnerFailure."""
    # One that is named is not timed, and the others stay untried: one of them may break the device.
    trials = (
        try_kernels(KERNELS, heads, lengths, device)
        if wanted == "auto"
        else try_kernels((wanted,), heads, (), device)
    )
    kernel = choose_kernel(trials, wanted)
    return kernel, f"attention: {kernel} of {describe_trials(trials)}"


def settle_fp8_attention(
    otherwise: Kernel, heads: Heads, lengths: Sequence[int], device: torch.device
) -> tuple[Kernel | Fp8Kernel, str]:
    """As `settle_attention`, for a model whose sums are to be made in fp8. `otherwise`: what that chose."""
    trial, other = try_kernels((FP8_KERNEL, otherwise), heads, lengths, device)
    why = why_not_fp8(trial, other)
    said = describe_trials((trial, other))
    if why is None:
        return FP8_KERNEL, f"attention: {FP8_KERNEL} of {said}"
    return otherwise, f"attention: not {FP8_KERNEL}, {why}; of {said}"


def put_in_place(attend: Attend) -> None:
    """Open-Sora's network calls it from now on."""
    from opensora.models.mmdit import math

    math.flash_attn_func = attend


def _try(kernel: Kernel | Fp8Kernel, heads: Heads, lengths: Sequence[int], device: torch.device) -> Trial:
    try:
        attend = find_kernel(kernel)
    except Exception as error:
        return Trial(kernel, _why_not_imported(error))
    try:
        wrong = _check(attend, heads, device, kernel == FP8_KERNEL)
        if wrong is not None:
            return Trial(kernel, wrong)
        seconds = {}
        for length in lengths:
            took = _time(attend, heads, length, device)
            if took is not None:
                seconds[length] = took
        return Trial(kernel, None, seconds)
    except Exception as error:
        _check_device(kernel, error, device)
        return Trial(kernel, f"does not run here: {_line(error)}")


def _check(attend: Attend, heads: Heads, device: torch.device, in_fp8: bool) -> str | None:
    """Returns what is wrong with its result; None when it is right."""
    q, k, v = _inputs(heads, _CHECKED_LENGTH, device)
    result = attend(q, k, v)
    if result.shape != q.shape or result.dtype != q.dtype:
        return f"its result is {result.dtype} {list(result.shape)}; asked was {q.dtype} {list(q.shape)}"
    q, k, v = (part.float().transpose(1, 2) for part in (q, k, v))
    right = (torch.softmax(q @ k.transpose(-1, -2) * heads.width**-0.5, -1) @ v).transpose(1, 2)
    if in_fp8:
        apart = float((result.float() - right).norm() / right.norm())
        return None if apart <= _FP8_TOLERANCE else f"its result is {100 * apart:.0f} % wrong"
    apart = float((result.float() - right).abs().max() / right.std())
    # A NaN is not within the tolerance either.
    return None if apart <= _TOLERANCE else f"its result is {apart:.3g} of its spread from the right one"


def _time(attend: Attend, heads: Heads, length: int, device: torch.device) -> float | None:
    """Seconds of the faster run; None when there is not memory enough."""
    try:
        parts = _inputs(heads, length, device)
        attend(*parts)
        runs = []
        for _ in range(_TIMED_RUNS):
            synchronize(device)
            started_at = time.monotonic()
            attend(*parts)
            synchronize(device)
            runs.append(time.monotonic() - started_at)
        return min(runs)
    except RuntimeError as error:
        if classify(error).code != "out_of_memory":
            raise
        return None


def _inputs(heads: Heads, length: int, device: torch.device) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator(device).manual_seed(length)
    # As Open-Sora gives them: views of [batch, heads, length, width].
    shape = (1, heads.count, length, heads.width)
    drawn = [torch.randn(shape, generator=generator, device=device, dtype=heads.dtype) for _ in range(3)]
    return tuple(part.transpose(1, 2) for part in drawn)


def _check_device(kernel: Kernel | Fp8Kernel, error: Exception, device: torch.device) -> None:
    """Raises RunnerFailure when a kernel left the device unusable: then no other can be tried either."""
    try:
        synchronize(device)
    except RuntimeError:
        others = "another of its values, such as sdpa-flash, leaves it untried"
        raise RunnerFailure(
            "device_lost",
            f"attention kernel {kernel} broke the device: {_line(error)}; {ATTENTION_SETTING}={others}",
        ) from None


def _stands_in_for(flash_attn: types.ModuleType) -> str | None:
    """Returns why the real one cannot be imported; None for the real one."""
    why: str | None = vars(flash_attn).get("STANDS_IN_FOR")
    return why


def _why_not_imported(error: Exception) -> str:
    # One that was built for another torch fails with an error of the loader.
    return "not installed" if isinstance(error, ModuleNotFoundError) else f"not usable: {_line(error)}"


def _line(error: Exception) -> str:
    return (str(error).strip().split("\n")[0] or type(error).__name__)[:120]
