"""Guidance branches on different devices, and the sequence of each split over the devices that have it.

Every rank holds the whole network. A rank runs its share of a step (rank_layout.py) on its part of the text
and image positions; only attention needs the others': there each rank gets all positions of a part of the
heads, and gives them back (as DeepSpeed-Ulysses does, arXiv 2309.14509). Parts need not be of one length, so
any size goes over any number of ranks that divides the heads. At the end of a step all ranks get all
branches, and go on from the same latent.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any, Callable

import torch
import torch.distributed as distributed

from ..guidance_branches import BRANCHES
from ..rank_layout import Share, group_members, share_of, share_of_all

Kernel = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]


class RankGroups:
    """This rank among the others, which all make one at the same time."""

    def __init__(self, device: torch.device) -> None:
        if device.type == "cuda":
            torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
        distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
        self.rank, self.ranks = distributed.get_rank(), distributed.get_world_size()
        self._groups: dict[int, Any] = {}
        for groups in range(1, len(BRANCHES) + 1):
            if self.ranks % groups != 0:
                continue
            # Every rank has to make every group, its own or not.
            for members in group_members(self.ranks, groups):
                group = distributed.new_group(members)
                if self.rank in members:
                    self._groups[groups] = group

    def share(self, branches: int) -> Share:
        return share_of(self.rank, self.ranks, branches)

    def share_of_all(self, branches: int) -> Share:
        return share_of_all(self.rank, self.ranks, branches)

    def split(self, share: Share, lengths: tuple[int, ...]) -> Split:
        """`lengths`: of the parts that a sequence is of, each of which is split."""
        return Split(self._groups[share.groups], share, lengths)

    def collect(self, part: torch.Tensor, share: Share, length: int) -> torch.Tensor:
        """Returns all branches, whole, on every rank. `part`: [branches of the share, its positions, width],
        of `length` positions in all."""
        lengths = _lengths(length, share.size)
        longest = part.new_zeros((part.shape[0], max(lengths), part.shape[2]))
        longest[:, : part.shape[1]] = part
        parts = [torch.empty_like(longest) for _ in range(self.ranks)]
        distributed.all_gather(parts, longest)
        return torch.cat(
            [
                torch.cat([parts[rank][:, : lengths[place]] for place, rank in enumerate(members)], dim=1)
                for members in group_members(self.ranks, share.groups)
            ]
        )


@dataclass
class Split:
    """One step's, within the group of ranks that has the same branches."""

    group: Any
    share: Share
    # Of each part of the sequence, such as text and image: its whole length.
    lengths: tuple[int, ...]

    def cut(self, part: torch.Tensor, dim: int) -> torch.Tensor:
        """Returns this rank's positions of a part of the sequence."""
        return part.tensor_split(self.share.size, dim)[self.share.place].contiguous()

    def sum(self, numbers: torch.Tensor) -> torch.Tensor:
        """Over the ranks of the group, each of which gets the same bits."""
        if self.share.size > 1:
            distributed.all_reduce(numbers, group=self.group)
        return numbers

    def attend(self, kernel: Kernel, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        """`kernel` over the whole sequence. All are [batch, positions, heads, width]."""
        if self.share.size == 1:
            return kernel(q, k, v)
        return self._to_positions(kernel(*self._to_heads(torch.stack((q, k, v)))))

    @property
    def _own_lengths(self) -> list[int]:
        """Positions that each rank of the group has."""
        return [sum(parts) for parts in zip(*(_lengths(length, self.share.size) for length in self.lengths))]

    def _to_heads(self, own: torch.Tensor) -> torch.Tensor:
        """[3, batch, own positions, heads, width] to [3, batch, all positions, own heads, width]."""
        size, lengths = self.share.size, self._own_lengths
        tensors, batch, positions, heads, width = own.shape
        sent = own.unflatten(3, (size, heads // size)).movedim(3, 0).contiguous().flatten()
        row = tensors * batch * (heads // size) * width
        got = own.new_empty(sum(lengths) * row)
        distributed.all_to_all_single(
            got, sent, [length * row for length in lengths], [positions * row] * size, group=self.group
        )
        parts = got.split([length * row for length in lengths])
        shape = (tensors, batch, -1, heads // size, width)
        return torch.cat([part.view(shape) for part in parts], dim=2)

    def _to_positions(self, whole: torch.Tensor) -> torch.Tensor:
        """[batch, all positions, own heads, width] to [batch, own positions, heads, width]."""
        size, lengths, own = self.share.size, self._own_lengths, self._own_lengths[self.share.place]
        batch, _, heads, width = whole.shape
        row = batch * heads * width
        sent = torch.cat([part.flatten() for part in whole.split(lengths, dim=1)])
        got = whole.new_empty(size * own * row)
        distributed.all_to_all_single(
            got, sent, [own * row] * size, [length * row for length in lengths], group=self.group
        )
        return got.view(size, batch, own, heads, width).permute(1, 2, 0, 3, 4).flatten(2, 3)


class SplitAttention:
    """Stands for Open-Sora's attention kernel: over the whole sequence, while a network runs on a part."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self.split: Split | None = None

    def __call__(self, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        if self.split is None:
            return self._kernel(q, k, v)
        return self.split.attend(self._kernel, q, k, v)

    @staticmethod
    def replace() -> SplitAttention:
        """Open-Sora's networks use it from now on, with the kernel they had."""
        from opensora.models.mmdit import math

        math.flash_attn_func = attention = SplitAttention(math.flash_attn_func)
        return attention


def _lengths(length: int, parts: int) -> list[int]:
    """As tensor_split cuts."""
    return [length // parts + (1 if part < length % parts else 0) for part in range(parts)]
