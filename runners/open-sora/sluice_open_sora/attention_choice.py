"""Which attention kernel the video model uses: the fastest of those that work on this device.

All compute the same function; they differ in speed and in rounding. So a checkpoint belongs to the kernel
it was made with, and ranks that start again keep the first ones' choice (Loaded.settled).
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Literal, Mapping, Sequence

from sluice_runner.failure import RunnerFailure

Kernel = Literal["flash-attn-3", "flash-attn-2", "sdpa-cudnn", "sdpa-flash", "sdpa-efficient", "sdpa-math"]
# In the order in which they are taken where time does not decide: sdpa-* are torch's own, of
# scaled_dot_product_attention.
KERNELS: tuple[Kernel, ...] = (
    "flash-attn-3",
    "flash-attn-2",
    "sdpa-cudnn",
    "sdpa-flash",
    "sdpa-efficient",
    "sdpa-math",
)
# For a model with the precision fp8-sums, where it works and is faster than the one that is chosen
# otherwise. It approximates, so no setting names it.
Fp8Kernel = Literal["cudnn-fp8"]
FP8_KERNEL: Fp8Kernel = "cudnn-fp8"
ATTENTION_SETTING = "OPENSORA_ATTENTION"
# What ranks that start again are told of FP8_KERNEL, for the models that may use it.
FP8_SETTING = "OPENSORA_FP8_ATTENTION"
Fp8Setting = Literal["auto", "on", "off"]
FP8_ATTENTION: tuple[Fp8Setting, ...] = ("auto", "on", "off")
AttentionSetting = Literal[
    "auto", "flash-attn-3", "flash-attn-2", "sdpa-cudnn", "sdpa-flash", "sdpa-efficient", "sdpa-math"
]
ATTENTION: tuple[AttentionSetting, ...] = ("auto", *KERNELS)

# Times this near to each other are the same time: the first in the order is taken, so that hosts alike choose
# alike.
MARGIN = 0.03


@dataclass(frozen=True)
class Trial:
    """`problem`: why it cannot be used; None = it runs, and its result is right. `seconds`: by length of the
    sequence, where it was timed; a length for which the memory did not do is missing."""

    kernel: Kernel | Fp8Kernel
    problem: str | None = None
    seconds: Mapping[int, float] = field(default_factory=dict)


def why_not_fp8(trial: Trial, other: Trial) -> str | None:
    """`trial`: of FP8_KERNEL; `other`: of the kernel that is chosen otherwise. None = that is used."""
    if trial.problem is not None:
        return trial.problem
    lengths = [length for length in trial.seconds if length in other.seconds]
    ours, theirs = (sum(one.seconds[length] for length in lengths) for one in (trial, other))
    # Of all lengths together: of a short clip attention is a small part, of a long one nearly all.
    return "not faster" if lengths and ours > theirs * (1 - MARGIN) else None


def choose_kernel(trials: Sequence[Trial], wanted: AttentionSetting) -> Kernel:
    """`trials`: in the order of KERNELS. Raises RunnerFailure `model_missing` when none can be used, or not
    the one that is wanted."""
    usable = [trial for trial in trials if trial.problem is None]
    if wanted != "auto":
        why = {trial.kernel: trial.problem for trial in trials}.get(wanted, "was not tried")
        if why is not None:
            raise RunnerFailure(
                "model_missing",
                f"{ATTENTION_SETTING} is {json.dumps(wanted)}, which does not work here: {why}; "
                "auto takes the fastest that does",
            )
        return wanted
    if not usable:
        said = "; ".join(f"{trial.kernel}: {trial.problem}" for trial in trials)
        raise RunnerFailure("model_missing", f"no attention kernel works on this device: {said}")
    slowness = {trial.kernel: _slowness(trial, usable) for trial in usable}
    fastest = min(slowness.values())
    return next(trial.kernel for trial in usable if slowness[trial.kernel] <= fastest * (1 + MARGIN))


def check_ring(ring: int, wanted: AttentionSetting, flash_attn_problem: str | None) -> None:
    """`ring`: devices that a sequence is split over. Ring attention needs the logarithms of the sums too,
    which only flash_attn's own functions give. `flash_attn_problem`: why it cannot be imported; None = it
    can.

    Raises RunnerFailure `model_missing` where that cannot be, or another kernel is wanted."""
    if ring == 1:
        return
    why = f"a sequence over {ring} devices is built on flash-attn"
    if wanted not in ("auto", "flash-attn-2"):
        said = f"{ATTENTION_SETTING} is {json.dumps(wanted)}, but {why}"
        raise RunnerFailure("model_missing", f"{said}; allowed are auto and flash-attn-2")
    if flash_attn_problem is not None:
        raise RunnerFailure("model_missing", f"{why}, which is {flash_attn_problem}")


def describe_trials(trials: Sequence[Trial]) -> str:
    """One line for the log."""
    return "; ".join(
        f"{trial.kernel}: {trial.problem}"
        if trial.problem is not None
        else f"{trial.kernel} " + (", ".join(_timed(trial)) or "works")
        for trial in trials
    )


def _timed(trial: Trial) -> list[str]:
    return [f"{1000 * seconds:.2f} ms for {length}" for length, seconds in trial.seconds.items()]


def _slowness(trial: Trial, usable: Sequence[Trial]) -> float:
    """The mean, over the lengths, of its time by that of the fastest: so no length counts for more."""
    ratios = []
    for length in sorted({length for one in usable for length in one.seconds}):
        fastest = min(one.seconds[length] for one in usable if length in one.seconds)
        ratios.append(trial.seconds[length] / fastest if length in trial.seconds else float("inf"))
    return sum(ratios) / len(ratios) if ratios else 1.0
