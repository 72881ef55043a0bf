"""The largest clip that a runner offers: on a card that is small for Open-Sora, the one that was made there
while the model loaded."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Callable, Mapping, Sequence

from sluice_runner.failure import RunnerFailure
from sluice_runner.settings import SettingError

from .sold_sizes import SoldSize

CLIP_SETTING = "OPENSORA_LARGEST_CLIP"
# Open-Sora's published peak for 768px on one device, 60.3 GiB, and a tenth: with more nothing is tried.
ENOUGH_BYTES = 66 * 2**30
# Shorter clips of the smallest class, where its longest do not fit.
_SHORTER_FRAMES = (65, 33)
# The square of 256px has as many positions as its wide sizes, within 2 %.
_SMALL_PIXELS = 256 * 256


@dataclass(frozen=True)
class LargestClip:
    width: int
    height: int
    frames: int

    @property
    def pixels_max(self) -> int:
        return max(self.width * self.height, _SMALL_PIXELS)

    def __str__(self) -> str:
        return f"{self.width}x{self.height}x{self.frames}"


def read_largest_clip(environment: Mapping[str, str]) -> LargestClip | None:
    """None = it is found out. Raises SettingError."""
    given = environment.get(CLIP_SETTING) or "auto"
    if given == "auto":
        return None
    match = re.fullmatch(r"([1-9]\d{1,3})x([1-9]\d{1,3})x([1-9]\d{0,2})", given)
    if match is None:
        allowed = "auto, or width, height and frames such as 336x192x129"
        raise SettingError(f"{CLIP_SETTING} is {json.dumps(given)}; allowed are {allowed}")
    return LargestClip(*(int(number) for number in match.groups()))


def find_largest_clip(
    sizes: Sequence[SoldSize], short_of_memory: Callable[[SoldSize], str | None]
) -> LargestClip:
    """`sizes`: the smaller first. `short_of_memory`: makes such a clip, and returns None or what was short.

    Raises RunnerFailure `out_of_memory` when not even a short one fits."""
    smallest = sizes[0]
    shorter = [
        SoldSize(smallest.width, smallest.height, frames, smallest.tokens * frames // smallest.frames)
        for frames in _SHORTER_FRAMES
        if frames < smallest.frames
    ]
    problem: str | None = None
    for size in (*reversed(sizes), *shorter):
        problem = short_of_memory(size)
        if problem is None:
            return LargestClip(size.width, size.height, size.frames)
    tried = (shorter or [smallest])[-1]
    said = f"not even a clip of {tried.width}x{tried.height} pixels and {tried.frames} frames fits"
    less = "OPENSORA_OFFLOAD=retry and a model with a precision need less memory"
    raise RunnerFailure("out_of_memory", f"{said}; {less}: {problem}", retryable=True)
