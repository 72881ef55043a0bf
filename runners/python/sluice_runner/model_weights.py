"""Reads and checks which models a runner is to serve, and where their weights lie: `modelWeightsSchema` of
packages/shared/src/runner-protocol.ts."""

from __future__ import annotations

import json
import math
import os
from dataclasses import dataclass
from dataclasses import field as given_field
from typing import Any, Iterable, Literal, Mapping

from .failure import RunnerFailure
from .makes import OPEN_SORA_MAKES, Makes, parse_makes, request_of_makes
from .step_cache import StepCache, parse_step_cache

Precision = Literal["int8", "fp8", "fp8-sums"]
PRECISIONS: tuple[Precision, ...] = ("int8", "fp8", "fp8-sums")


@dataclass(frozen=True)
class Lora:
    """Added onto a model's weights, times `strength`. `path`: an absolute path of a safetensors file."""

    path: str
    strength: float


@dataclass(frozen=True)
class ModelWeights:
    """`checkpoint`: the absolute path of the model's own safetensors file; None = the base model's.
    `folder`: that of a diffusers pipeline, and `pipelines` the library's class of it by mode."""

    id: str
    checkpoint: str | None = None
    lora: Lora | None = None
    folder: str | None = None
    pipelines: Mapping[str, str] = given_field(default_factory=dict)
    makes: Makes = OPEN_SORA_MAKES
    # None = every step is run in full.
    step_cache: StepCache | None = None
    # What the transformer is kept in; None = its weights as they are.
    precision: Precision | None = None


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
            **({} if model.folder is None else {"folder": model.folder}),
            **({} if not model.pipelines else {"pipelines": dict(model.pipelines)}),
            **({} if model.makes == OPEN_SORA_MAKES else {"makes": request_of_makes(model.makes)}),
            **({} if model.step_cache is None else {"step_cache": vars(model.step_cache)}),
            **({} if model.precision is None else {"precision": model.precision}),
        }
        for model in models
    ]


def _model(field: str, value: Any) -> ModelWeights:
    if not isinstance(value, dict):
        raise _refused(field, value, "an object with an id")
    model_id = value.get("id")
    if not isinstance(model_id, str) or model_id == "":
        raise _refused(f"{field}.id", model_id, "text that is not empty")
    paths = {
        name: _path(f"{field}.{name}", value[name]) for name in ("checkpoint", "folder") if name in value
    }
    return ModelWeights(
        model_id,
        paths.get("checkpoint"),
        _lora(f"{field}.lora", value["lora"]) if "lora" in value else None,
        paths.get("folder"),
        _pipelines(f"{field}.pipelines", value.get("pipelines", {})),
        parse_makes(f"{field}.makes", value["makes"]) if "makes" in value else OPEN_SORA_MAKES,
        parse_step_cache(f"{field}.step_cache", value["step_cache"]) if "step_cache" in value else None,
        _precision(f"{field}.precision", value["precision"]) if "precision" in value else None,
    )


def _precision(field: str, value: Any) -> Precision:
    for precision in PRECISIONS:
        if precision == value:
            return precision
    raise _refused(field, value, f"one of {', '.join(PRECISIONS)}")


def _lora(field: str, value: Any) -> Lora:
    if not isinstance(value, dict):
        raise _refused(field, value, "an object with a path and a strength")
    strength = value.get("strength")
    if type(strength) not in (int, float) or not math.isfinite(strength):
        raise _refused(f"{field}.strength", strength, "a finite number")
    return Lora(_path(f"{field}.path", value.get("path")), float(strength))


def _pipelines(field: str, value: Any) -> dict[str, str]:
    if not isinstance(value, dict) or not all(isinstance(name, str) for name in value.values()):
        raise _refused(field, value, "an object that names a pipeline by mode")
    return dict(value)


def _path(field: str, value: Any) -> str:
    if not isinstance(value, str) or "\0" in value or not os.path.isabs(value):
        raise _refused(field, value, "an absolute path")
    return value


def _refused(field: str, given: object, allowed: str) -> RunnerFailure:
    return RunnerFailure(
        "bad_input", f"{field} is {json.dumps(given, default=str)[:200]}; allowed is {allowed}"
    )
