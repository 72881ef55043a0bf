"""The step cache of one video (fast_model.py): what each guidance branch kept of its last full step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Callable

import torch

from sluice_runner.step_cache import StepCache

from ..guidance_branches import Branch
from ..fast_model import FULL_STEP_EVERY


@dataclass(frozen=True)
class _Kept:
    """What the first block added to the image, and what all others did."""

    first: torch.Tensor
    rest: torch.Tensor


class FirstBlockCache:
    """`step`: the present step. Each branch is judged by itself, since not every step runs all of them."""

    def __init__(self, settings: StepCache, step: Callable[[], int]) -> None:
        self._settings = settings
        self._step = step
        self._kept: dict[Branch, _Kept] = {}
        # Branches that ran in full, and that ran the first block alone.
        self.full = self.skipped = 0

    def of_step(
        self, branches: tuple[Branch, ...], tail: Callable[[Any, Any], torch.Tensor], split: Any
    ) -> Callable[[Any, Any], torch.Tensor]:
        """Returns what runs after the first block in place of `tail`. `split`: of several ranks."""
        if self._step() % FULL_STEP_EVERY == 0:
            self._kept.clear()

        def after_first_block(module: Any, stream: Any) -> torch.Tensor:
            added = stream.image - stream.before
            changed = self._changed(branches, added, split)
            self.full += len(changed)
            self.skipped += len(branches) - len(changed)
            image = torch.empty_like(stream.image)
            if changed:
                whole = len(changed) == len(branches)
                ran = tail(module, stream if whole else stream.rows(changed))
                for place, row in enumerate(changed):
                    image[row] = ran[place]
                    # Copies: a row of the batch would keep all of it.
                    rest = ran[place] - stream.image[row]
                    self._kept[branches[row]] = _Kept(added[row].clone(), rest)
            for row, branch in enumerate(branches):
                if row not in changed:
                    image[row] = stream.image[row] + self._kept[branch].rest
            return image

        return after_first_block

    def _changed(self, branches: tuple[Branch, ...], added: torch.Tensor, split: Any) -> list[int]:
        """Rows that have to run in full."""
        sums = []
        for row, branch in enumerate(branches):
            kept = self._kept.get(branch)
            # One that was never run is as far off as can be.
            before = torch.zeros_like(added[row]) if kept is None else kept.first
            change, size = (
                numbers.abs().sum(dtype=torch.float32) for numbers in (added[row] - before, before)
            )
            sums.append(torch.stack((change, size)))
        both = torch.stack(sums)
        # Every rank must judge alike, so by the whole sequence.
        numbers = (both if split is None else split.sum(both)).tolist()
        return [
            row
            for row, (change, size) in enumerate(numbers)
            if not change <= self._settings.threshold * size
        ]
