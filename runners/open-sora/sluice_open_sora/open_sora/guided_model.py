"""The video model with only the guidance branches that a step needs (guidance_branches.py)."""

from __future__ import annotations

from typing import Any, Callable, Iterator

import torch

from ..guidance_branches import BRANCHES, Scales, needed_branches, stand_ins


class GuidedModel:
    """Stands for Open-Sora's model for one video. `module`: a Network; `scales_at`: the scales of a step;
    `step`: the present one.

    Which branches run depends on the step and the inputs alone, so a resumed video runs the same ones."""

    def __init__(self, module: Any, scales_at: Callable[[int], Scales], step: Callable[[], int]) -> None:
        self._module = module
        self._scales_at = scales_at
        self._step = step
        self._same_negatives: bool | None = None
        # Branches that ran so far.
        self.ran = 0

    def parameters(self) -> Iterator[torch.nn.Parameter]:
        return self._module.parameters()

    def __call__(self, **inputs: Any) -> torch.Tensor:
        """`inputs`: each tensor has one row for each branch."""
        rows = {name: value for name, value in inputs.items() if isinstance(value, torch.Tensor)}
        if self._same_negatives is None:
            # Compared once, since that waits for the device: only the latent changes between steps, and all
            # branches have the same one.
            self._same_negatives = all(torch.equal(value[1], value[2]) for value in rows.values())
        needed = needed_branches(self._scales_at(self._step()), self._same_negatives)
        self.ran += len(needed)
        if len(needed) == len(BRANCHES):
            return self._module(branches=needed, **inputs)
        places = [BRANCHES.index(branch) for branch in needed]
        own = {**inputs, **{name: value[places] for name, value in rows.items()}}
        result = self._module(branches=needed, **own)
        return result[list(stand_ins(needed))]


def scales_of(option: Any, condition: str) -> Callable[[int], Scales]:
    """Returns the scales of each step as Open-Sora's denoise loop makes them of a SamplingOption and its
    cond_type."""
    from opensora.utils.sampling import get_oscillation_gs

    grows_along_frames = option.scale_temporal_osci and "i2v" in condition

    def scales_at(step: int) -> Scales:
        text, image = option.guidance, option.guidance_img
        if option.text_osci:
            text = get_oscillation_gs(text, step)
        if option.image_osci:
            image = get_oscillation_gs(image, step)
        if image > 1.0 and grows_along_frames:
            return Scales(text, (1.0, float(torch.linspace(image, 1.0, option.num_steps + 1)[step])))
        return Scales(text, (image, image))

    return scales_at
