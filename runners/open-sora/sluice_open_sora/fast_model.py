"""Models with a step cache: a model's own trait, never a setting of one that has none.

Between two steps that are run in full a branch may reuse what its network added after the first block (First
Block Cache, github.com/chengzeyi/ParaAttention). That approximates, so such a model has an id and a price of
its own. Every FULL_STEP_EVERY steps all of it is forgotten, so that what follows depends on the latent alone:
there, and only there, a video may be left and resumed to the same bytes.
"""

from __future__ import annotations

import json

from sluice_runner.failure import RunnerFailure
from sluice_runner.model_weights import ModelWeights
from sluice_runner.step_cache import StepCache

# The exact model.
MODEL = "open-sora-2"
# An even number: with Open-Sora's options every second step from step 11 on has no negative branch.
FULL_STEP_EVERY = 4


def check_exact(model: ModelWeights) -> None:
    """Raises RunnerFailure `bad_input` for a step cache or a precision on the exact model."""
    for trait, value, other in (
        ("step_cache", model.step_cache, "open-sora-2-fast"),
        ("precision", model.precision, "open-sora-2-int8"),
    ):
        if model.id == MODEL and value is not None:
            raise RunnerFailure(
                "bad_input",
                f"model {json.dumps(MODEL)} is exact and takes no {trait}; "
                f"a model with one has an id of its own, such as {other}",
            )


def cache_identity(cache: StepCache | None) -> str:
    """What a checkpoint depends on."""
    return "" if cache is None else f" cache=first-block/{cache.threshold!r}/{FULL_STEP_EVERY}"
