"""The clips that are tried while a model loads: the largest of each of Open-Sora's two classes of resolution
that its models may be asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Sequence

from sluice_runner.check_request import TEXT_TOKENS
from sluice_runner.makes import OPEN_SORA_MAKES
from sluice_runner.model_weights import ModelWeights

# 256px and 768px; the squares have as many positions, within 2 %.
_CLASSES = ((336, 192), (1024, 576))


@dataclass(frozen=True)
class SoldSize:
    width: int
    height: int
    frames: int
    tokens: int

    @property
    def positions(self) -> int:
        """Of its sequence: the text's, and the clip's tokens."""
        return TEXT_TOKENS + self.tokens


def sold_sizes(models: Sequence[ModelWeights]) -> tuple[SoldSize, ...]:
    """The smaller first. No `models`: Open-Sora's own one."""
    makes = [model.makes for model in models] or [OPEN_SORA_MAKES]
    sizes = []
    for width, height in _CLASSES:
        fitting = [one for one in makes if width * height <= one.pixels_max]
        if fitting:
            most = max(fitting, key=lambda one: one.video_tokens(width, height, one.frames.max))
            tokens = most.video_tokens(width, height, most.frames.max)
            sizes.append(SoldSize(width, height, most.frames.max, tokens))
    return tuple(sizes)
