"""The models one runner serves, with their files opened and checked."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from typing import Iterable, Mapping

from sluice_runner.failure import RunnerFailure
from sluice_runner.model_weights import ModelWeights, Precision
from sluice_runner.step_cache import StepCache
from sluice_runner.weight_file import WeightFile

from .fast_model import cache_identity, check_exact
from .lora_file import LoraFile
from .precision import precision_identity

# Where a tensor's numbers come from: a checkpoint's fingerprint ("" = the base model's file), and what a LoRA
# adds to them ("" = nothing).
Source = tuple[str, str]
BASE: Source = ("", "")


@dataclass(frozen=True)
class ServedModel:
    id: str
    checkpoint: WeightFile | None = None
    lora: LoraFile | None = None
    strength: float = 0.0
    step_cache: StepCache | None = None
    precision: Precision | None = None

    @property
    def is_base(self) -> bool:
        return self.checkpoint is None and self.lora is None

    @property
    def identity(self) -> str:
        """What its latents depend on beside the request, the same on every host; "" for the base model."""
        checkpoint = "" if self.checkpoint is None else self.checkpoint.fingerprint
        weights = "" if self.is_base else json.dumps([checkpoint, self._added])
        return f"{weights}{cache_identity(self.step_cache)}{precision_identity(self.precision)}"

    def source_of(self, name: str) -> Source:
        """Where the tensor called `name` comes from."""
        own = self.checkpoint is not None and name in self.checkpoint.entries
        changed = self.lora is not None and name in self.lora.layers and self.strength != 0
        return (
            self.checkpoint.fingerprint if own and self.checkpoint is not None else "",
            self._added if changed else "",
        )

    def verify(self) -> None:
        """Raises RunnerFailure `model_missing` when a file is gone or was replaced since it was opened."""
        for kind, file in (("checkpoint", self.checkpoint), ("lora", self.lora)):
            if file is not None:
                try:
                    file.verify()
                except (OSError, ValueError) as error:
                    raise _unusable(self.id, kind, file.path, error) from None

    @cached_property
    def _added(self) -> str:
        return (
            "" if self.lora is None else json.dumps([self.lora.fingerprint, self.strength, self.lora.scales])
        )


def open_models(models: Iterable[ModelWeights]) -> tuple[ServedModel, ...]:
    """Raises RunnerFailure `model_missing`, with model and path, for a file that is missing or unusable, and
    `bad_input` for a step cache or a precision on the exact model."""
    return tuple(_open_model(model) for model in models)


def _open_model(model: ModelWeights) -> ServedModel:
    check_exact(model)
    kind, path = "checkpoint", model.checkpoint
    try:
        checkpoint = None if path is None else WeightFile(path)
        traits = {"step_cache": model.step_cache, "precision": model.precision}
        if model.lora is None:
            return ServedModel(model.id, checkpoint, **traits)
        kind, path = "lora", model.lora.path
        return ServedModel(model.id, checkpoint, LoraFile(path), model.lora.strength, **traits)
    except (OSError, ValueError) as error:
        raise _unusable(model.id, kind, path, error) from None


def check_fit(model: ServedModel, shapes: Mapping[str, tuple[int, ...]], required: Iterable[str]) -> None:
    """Compares a model's files with the tensors of the network they go into (`shapes`).

    `required`: the tensors that a checkpoint must have. Raises RunnerFailure `model_missing` that names the
    model, the path, and the first tensor that does not fit."""
    if model.checkpoint is not None:
        entries = model.checkpoint.entries
        for name, entry in entries.items():
            if name not in shapes:
                raise _unusable(
                    model.id,
                    "checkpoint",
                    model.checkpoint.path,
                    ValueError(f"{name} is no tensor of the network"),
                )
            if entry.shape != tuple(shapes[name]):
                said = f"{name} is {list(entry.shape)}; allowed is {list(shapes[name])}"
                raise _unusable(model.id, "checkpoint", model.checkpoint.path, ValueError(said))
        for name in required:
            if name not in entries:
                said = f"it lacks {name}; a checkpoint is a whole model"
                raise _unusable(model.id, "checkpoint", model.checkpoint.path, ValueError(said))
    if model.lora is not None:
        for name, layer in model.lora.layers.items():
            asked = (layer.outputs, layer.inputs)
            if name not in shapes:
                raise _unusable(
                    model.id, "lora", model.lora.path, ValueError(f"{layer.down}: the network has no {name}")
                )
            if tuple(shapes[name]) != asked:
                said = f"{layer.up} @ {layer.down} is {list(asked)}"
                allowed = f"allowed is {list(shapes[name])}, the shape of {name}"
                raise _unusable(model.id, "lora", model.lora.path, ValueError(f"{said}; {allowed}"))


def _unusable(model_id: str, kind: str, path: str | None, why: Exception) -> RunnerFailure:
    said = f"there is no file at {path}" if isinstance(why, FileNotFoundError) else f"{path}: {why}"
    return RunnerFailure("model_missing", f"model {model_id!r}: {kind}: {said}")
