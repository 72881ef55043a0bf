"""Reads and checks a model's step cache: `step_cache` of a served model in
packages/shared/src/runner-protocol.ts."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any

from .failure import RunnerFailure

THRESHOLD_MAX = 1.0


@dataclass(frozen=True)
class StepCache:
    """`threshold`: the network is run in full when what its first block adds has changed by more than this
    share since it last was."""

    threshold: float


def parse_step_cache(field: str, value: Any) -> StepCache:
    """Raises RunnerFailure `bad_input` that names the field, what was given and what is allowed."""
    threshold = value.get("threshold") if isinstance(value, dict) else None
    is_number = type(threshold) in (int, float) and math.isfinite(threshold)
    if not is_number or not 0 < threshold <= THRESHOLD_MAX:
        raise RunnerFailure(
            "bad_input",
            f"{field} is {json.dumps(value, default=str)[:200]}; "
            f"allowed is an object with a threshold above 0 and at most {THRESHOLD_MAX}",
        )
    return StepCache(float(threshold))
