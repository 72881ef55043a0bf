"""How the ranks of a video share the guidance branches of a step (OPENSORA_PARALLEL=guidance).

Where the branches go evenly into the ranks, each branch has a group of ranks of its own; otherwise one group
of all ranks has all branches. The ranks of a group split the sequence. So two ranks run the two branches of a
guided step of a video from text side by side, and split the one branch of the steps between.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Share:
    """One rank's part of a step. `branches`: places in the list of those that the step needs."""

    branches: tuple[int, ...]
    groups: int
    # Ranks in each group, and this rank's place in its own.
    size: int
    place: int


def share_of(rank: int, ranks: int, branches: int) -> Share:
    if ranks % branches != 0:
        return share_of_all(rank, ranks, branches)
    size = ranks // branches
    return Share((rank // size,), branches, size, rank % size)


def share_of_all(rank: int, ranks: int, branches: int) -> Share:
    """Of a rank that always has the same part of every branch."""
    return Share(tuple(range(branches)), 1, ranks, rank)


def group_members(ranks: int, groups: int) -> list[list[int]]:
    """The ranks of each group, in its order."""
    size = ranks // groups
    return [list(range(group * size, (group + 1) * size)) for group in range(groups)]


def owners(sizes: list[int], ranks: int) -> list[int]:
    """Which rank gets each piece of work, so that none gets much more than another: the largest first, each
    to the rank that has least. The largest is rank 0's."""
    loads = [0] * ranks
    owner_of = [0] * len(sizes)
    for piece in sorted(range(len(sizes)), key=lambda piece: -sizes[piece]):
        owner_of[piece] = loads.index(min(loads))
        loads[owner_of[piece]] += sizes[piece]
    return owner_of


def allowed_ranks(heads: int) -> list[int]:
    """Numbers of ranks that a network of so many attention heads can be split over: every group splits the
    heads evenly then."""
    return [ranks for ranks in range(1, heads + 1) if heads % ranks == 0]
