"""Whether the video model's blocks are compiled: when that works, and is faster."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Sequence

COMPILE_SETTING = "OPENSORA_COMPILE"
# What ranks that start again are told of the norms, which may be compiled where the blocks are not.
NORMS_SETTING = "OPENSORA_COMPILE_NORMS"
# Compiled where that is faster; compiled, or the load fails; never.
CompileSetting = Literal["auto", "on", "off"]
COMPILE: tuple[CompileSetting, ...] = ("auto", "on", "off")

# Less than this is not worth another rounding.
GAIN_MIN = 0.03


@dataclass(frozen=True)
class Comparison:
    """Seconds of one block of a kind, as it is and compiled. `blocks`: of the kind, in the network."""

    kind: str
    blocks: int
    positions: int
    batch: int
    plain_s: float
    compiled_s: float


def is_faster(comparisons: Sequence[Comparison]) -> bool:
    """Over the lengths and batches, none of which counts for more than another."""
    ratios = [compiled / plain for plain, compiled in _by_case(comparisons).values()]
    return bool(ratios) and sum(ratios) / len(ratios) <= 1 - GAIN_MIN


def describe(comparisons: Sequence[Comparison]) -> str:
    return "; ".join(
        f"{positions} positions x {batch}: {plain:.3f} s a step as they are, {compiled:.3f} s compiled"
        for (positions, batch), (plain, compiled) in _by_case(comparisons).items()
    )


def _by_case(comparisons: Sequence[Comparison]) -> dict[tuple[int, int], tuple[float, float]]:
    """Seconds of all blocks together, by length and batch."""
    sums: dict[tuple[int, int], tuple[float, float]] = {}
    for one in comparisons:
        plain, compiled = sums.get((one.positions, one.batch), (0.0, 0.0))
        sums[one.positions, one.batch] = (
            plain + one.blocks * one.plain_s,
            compiled + one.blocks * one.compiled_s,
        )
    return sums
