"""Reads and checks which models a runner is to serve, and where their weights lie: `modelWeightsSchema` of
packages/shared/src/runner-protocol.ts."""

from __future__ import annotations

import json
import math
import os
from dataclasses import dataclass
from typing import Any, Iterable

from .failure import RunnerFailure


@dataclass(frozen=True)
class Lora:
    """Added onto a model's weights, times `strength`. `path`: an absolute path of a safetensors file."""

    path: str
    strength: float


@dataclass(frozen=True)
class ModelWeights:
    """`checkpoint`: the absolute path of the model's own safetensors file; None = the base model's."""

    id: str
    checkpoint: str | None = None
    lora: Lora | None = None


def parse_models(value: Any) -> tuple[ModelWeights, ...]:
    """Raises RunnerFailure `bad_input` that names the field, what was given and what is allowed.

    Does not look at the files."""
    if not isinstance(value, list) or value == []:
        raise _refused("models", value, "a list of at least one model")
    models = tuple(_model(f"models[{index}]", item) for index, item in enumerate(value))
    ids = [model.id for model in models]
    for model_id in ids:
        if ids.count(model_id) > 1:
            raise RunnerFailure(
                "bad_input", f"models names {json.dumps(model_id)} twice; each id stands for one model"
            )
    return models


def request_of_models(models: Iterable[ModelWeights]) -> list[dict[str, Any]]:
    """Returns what `parse_models` reads."""
    return [
        {
            "id": model.id,
            **({} if model.checkpoint is None else {"checkpoint": model.checkpoint}),
            **({} if model.lora is None else {"lora": vars(model.lora)}),
        }
        for model in models
    ]


def _model(field: str, value: Any) -> ModelWeights:
    if not isinstance(value, dict):
        raise _refused(field, value, "an object with an id")
    model_id = value.get("id")
    if not isinstance(model_id, str) or model_id == "":
        raise _refused(f"{field}.id", model_id, "text that is not empty")
    checkpoint = _path(f"{field}.checkpoint", value["checkpoint"]) if "checkpoint" in value else None
    if "lora" not in value:
        return ModelWeights(model_id, checkpoint)
    lora = value["lora"]
    if not isinstance(lora, dict):
        raise _refused(f"{field}.lora", lora, "an object with a path and a strength")
    strength = lora.get("strength")
    if type(strength) not in (int, float) or not math.isfinite(strength):
        raise _refused(f"{field}.lora.strength", strength, "a finite number")
    return ModelWeights(
        model_id, checkpoint, Lora(_path(f"{field}.lora.path", lora.get("path")), float(strength))
    )


def _path(field: str, value: Any) -> str:
    if not isinstance(value, str) or "\0" in value or not os.path.isabs(value):
        raise _refused(field, value, "an absolute path")
    return value


def _refused(field: str, given: object, allowed: str) -> RunnerFailure:
    return RunnerFailure(
        "bad_input", f"{field} is {json.dumps(given, default=str)[:200]}; allowed is {allowed}"
    )
