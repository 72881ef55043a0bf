"""The video model as the runner calls it: as it is, split over several ranks, with a step cache, or both."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Iterator

import torch

from ..guidance_branches import BRANCHES, Branch
from .first_block_cache import FirstBlockCache
from .parallel_guidance import RankGroups, Split, SplitAttention


@dataclass(frozen=True)
class Devices:
    """The ranks that share a video's steps, and what their networks take for attention."""

    groups: RankGroups
    attention: SplitAttention


class Network:
    """One video's. Each tensor of its inputs has a row for each of `branches`, and so has the result."""

    def __init__(self, module: Any, devices: Devices | None, cache: FirstBlockCache | None) -> None:
        self._module = module
        self._devices = devices
        self._cache = cache

    def parameters(self) -> Iterator[torch.nn.Parameter]:
        return self._module.parameters()

    def __call__(self, *, branches: tuple[Branch, ...] = BRANCHES, **inputs: Any) -> torch.Tensor:
        if self._devices is None:
            return (
                self._module(**inputs)
                if self._cache is None
                else _run(self._module, inputs, self._tail(branches, None), None)
            )
        groups, attention = self._devices.groups, self._devices.attention
        # What a cache kept of a branch is of the positions that this rank had, so they stay the same.
        share_of = groups.share if self._cache is None else groups.share_of_all
        share = share_of(len(branches))
        rows = list(share.branches)
        own = {
            name: value[rows] if isinstance(value, torch.Tensor) else value for name, value in inputs.items()
        }
        text, image = own["txt"].shape[1], own["img"].shape[1]
        attention.split = split = groups.split(share, (text, image))
        try:
            part = _run(self._module, own, self._tail(tuple(branches[row] for row in rows), split), split)
        finally:
            attention.split = None
        return groups.collect(part, share, image)

    def _tail(self, branches: tuple[Branch, ...], split: Split | None) -> Any:
        """What runs after the first block."""
        if self._cache is None:
            return _after_first_block
        return self._cache.of_step(branches, _after_first_block, split)


# As MMDiTModel.forward_ckpt does it: there is nothing to hook between its blocks.
def _run(module: Any, inputs: dict[str, Any], tail: Any, split: Split | None) -> torch.Tensor:
    names = ("img", "img_ids", "txt", "txt_ids", "timesteps", "y_vec", "cond", "guidance")
    image, text, vector, positions = module.prepare_block_inputs(*(inputs.get(name) for name in names))
    if split is not None:
        length = text.shape[1]
        image, text = split.cut(image, 1), split.cut(text, 1)
        positions = _cut_positions(positions, length, split)
    before = image
    image, text = module.double_blocks[0](image, text, vector, positions)
    image = tail(module, _Stream(before, image, text, vector, positions))
    return module.final_layer(image, vector)


@dataclass(frozen=True)
class _Stream:
    """Between the first block and the second; `before`: the image as it was before the first."""

    before: torch.Tensor
    image: torch.Tensor
    text: torch.Tensor
    vector: torch.Tensor
    positions: Any

    def rows(self, rows: list[int]) -> _Stream:
        positions = self.positions
        whole = isinstance(positions, tuple)
        return _Stream(
            self.before[rows],
            self.image[rows],
            self.text[rows],
            self.vector[rows],
            tuple(part[rows] for part in positions) if whole else positions[rows],
        )


def _after_first_block(module: Any, stream: _Stream) -> torch.Tensor:
    image, text = stream.image, stream.text
    for block in module.double_blocks[1:]:
        image, text = block(image, text, stream.vector, stream.positions)
    both = torch.cat((text, image), 1)
    for block in module.single_blocks:
        both = block(both, stream.vector, stream.positions)
    return both[:, text.shape[1] :]


def _cut_positions(positions: Any, text: int, split: Split) -> Any:
    """Rotary embeddings of text, then image: Liger's pair, each [batch, positions, width], or one tensor
    [batch, 1, positions, ...]."""

    def cut(part: torch.Tensor, dim: int) -> torch.Tensor:
        of_text, of_image = part.split([text, part.shape[dim] - text], dim)
        return torch.cat((split.cut(of_text, dim), split.cut(of_image, dim)), dim)

    if isinstance(positions, tuple):
        return tuple(cut(part, 1) for part in positions)
    return cut(positions, 2)
