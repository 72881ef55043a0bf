"""Which of its three guidance branches a step of Open-Sora needs.

Open-Sora runs the network three times at every step, in one batch: `text` has the prompt and the input image,
`negative` the negative prompt and the image, `bare` the negative prompt alone (I2VDenoiser.denoise). It mixes

    bare + image * (negative - bare) + text * (text_branch - negative)

with the step's two scales, `text` and `image`. So each branch counts with a weight that follows from them:
`text` with text, `negative` with image - text, `bare` with 1 - image. One whose weight is zero need not run.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Branch = Literal["text", "negative", "bare"]
# In the order of Open-Sora's batch.
BRANCHES: tuple[Branch, ...] = ("text", "negative", "bare")

# In place of a branch that does not run, the first of these that does: with it every term of a zero weight is
# a number times zero, or a difference of equal numbers, so the mix is that of the branches that ran.
_STAND_INS: dict[Branch, tuple[Branch, ...]] = {
    "text": ("text", "negative", "bare"),
    "negative": ("negative", "text", "bare"),
    "bare": ("bare", "negative", "text"),
}


@dataclass(frozen=True)
class Scales:
    """One step's. `image`: the lowest and the highest along the clip's frames, which are mostly the same."""

    text: float
    image: tuple[float, float]


def needed_branches(scales: Scales, same_negatives: bool) -> tuple[Branch, ...]:
    """Returns, in the batch's order, the branches whose weight is not zero on every frame.

    `same_negatives`: `negative` and `bare` get the same inputs, as without an image; then one stands for
    both, and the image's scale means nothing."""
    if same_negatives:
        counts = {"text": scales.text != 0, "negative": scales.text != 1, "bare": False}
    else:
        counts = {
            "text": scales.text != 0,
            "negative": any(image != scales.text for image in scales.image),
            "bare": any(image != 1 for image in scales.image),
        }
    return tuple(branch for branch in BRANCHES if counts[branch])


def stand_ins(ran: tuple[Branch, ...]) -> tuple[int, ...]:
    """Returns, for each of the three branches, the place in `ran` of the one whose result is used."""
    return tuple(
        ran.index(next(other for other in _STAND_INS[branch] if other in ran)) for branch in BRANCHES
    )
