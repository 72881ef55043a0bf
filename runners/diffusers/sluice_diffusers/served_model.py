"""The models one runner serves: each a pipeline's folder, perhaps with a LoRA, checked by its files alone."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Iterable, Mapping

from sluice_runner.failure import RunnerFailure
from sluice_runner.model_weights import ModelWeights
from sluice_runner.weight_file import WeightFile

from .families import KNOWN_PIPELINES, Family, family_of
from .pipeline_folder import PipelineFolder, read_folder


@dataclass(frozen=True)
class ServedModel:
    """`pipelines`: the library's class by mode."""

    weights: ModelWeights
    folder: PipelineFolder
    family: Family
    pipelines: Mapping[str, str]
    lora: WeightFile | None

    @property
    def id(self) -> str:
        return self.weights.id

    @property
    def modes(self) -> tuple[str, ...]:
        return tuple(mode for mode in self.weights.makes.modes if mode in self.pipelines)

    @property
    def main_pipeline(self) -> str:
        """The one that is loaded; the others are made of its components."""
        names = tuple(self.pipelines.values())
        return self.folder.class_name if self.folder.class_name in names else names[0]

    def identity(self, precision: str) -> str:
        """What its latents depend on beside the request. `precision`: how this runner computes."""
        lora = self.weights.lora
        added = [] if lora is None or self.lora is None else [self.lora.fingerprint, lora.strength]
        return json.dumps([self.folder.fingerprint, dict(self.pipelines), added, precision], sort_keys=True)

    def verify(self) -> None:
        """Raises RunnerFailure `model_missing` when its LoRA is gone or was replaced since it was opened."""
        if self.lora is not None:
            try:
                self.lora.verify()
            except (OSError, ValueError) as error:
                raise _unusable(self.id, "lora", error) from None


def open_models(models: Iterable[ModelWeights]) -> tuple[ServedModel, ...]:
    """Raises RunnerFailure that names the model, what was given and what is allowed: `bad_input` for what the
    catalogue says, `model_missing` for what is not on this host."""
    folders: dict[str, PipelineFolder] = {}
    return tuple(_open_model(model, folders) for model in models)


def _open_model(model: ModelWeights, folders: dict[str, PipelineFolder]) -> ServedModel:
    if model.checkpoint is not None:
        raise _refused(
            model.id, "weights.checkpoint is set; a model of this runner is a folder (weights.folder)"
        )
    if model.step_cache is not None:
        raise _refused(model.id, "step_cache is set; this runner has none, the runner open-sora does")
    if model.precision is not None:
        raise _refused(model.id, "precision is set; this runner has SLUICE_DIFFUSERS_QUANTIZATION instead")
    if model.folder is None:
        raise _refused(model.id, "weights.folder is not set; it names a pipeline's folder (model_index.json)")
    families = {mode: _family(model, mode, name) for mode, name in model.pipelines.items()}
    try:
        if model.folder not in folders:
            folders[model.folder] = read_folder(model.folder)
        folder = folders[model.folder]
        lora = None if model.lora is None else WeightFile(model.lora.path)
    except (OSError, ValueError) as error:
        raise _unusable(model.id, "weights", error) from None
    own = family_of(folder.class_name)
    if own is None or any(family is not own for family in families.values()):
        said = ", ".join(model.pipelines.values()) or "no pipeline"
        known = f"this runner knows {', '.join(KNOWN_PIPELINES)}"
        raise _missing(model.id, f"{model.folder} is a {folder.class_name}; asked is {said}; {known}")
    pipelines = dict(model.pipelines) or {own.pipelines[folder.class_name]: folder.class_name}
    served = ServedModel(model, folder, own, pipelines, lora)
    _check_makes(served)
    return served


def _family(model: ModelWeights, mode: str, name: str) -> Family:
    family = family_of(name)
    said = f"pipelines.{mode} is {json.dumps(name)[:100]}"
    if family is None:
        raise _refused(model.id, f"{said}; this runner knows {', '.join(KNOWN_PIPELINES)}")
    if family.pipelines[name] != mode:
        raise _refused(model.id, f"{said}, which makes {family.pipelines[name]}")
    return family


def _check_makes(served: ServedModel) -> None:
    makes, family = served.weights.makes, served.family
    # Only those of mode t2i2v go by what a worker says of its modes: others would be given to it, and fail.
    if not served.modes or any(mode not in served.pipelines for mode in makes.modes if mode != "t2i2v"):
        said = f"makes.modes is {', '.join(makes.modes)}; its pipelines make {', '.join(served.pipelines)}"
        raise _refused(served.id, said)
    if any(condition not in family.conditions for condition in makes.i2v_conditions):
        said = f"makes.i2v_conditions is {', '.join(makes.i2v_conditions)}"
        raise _refused(served.id, f"{said}; {family.name} makes {', '.join(family.conditions)}")
    if makes.sound and not family.sound:
        raise _refused(served.id, f"makes.sound is true; {served.main_pipeline} makes no sound")
    if served.lora is not None and "transformer_2" in served.folder.components:
        said = (
            "one LoRA file cannot say which of its two transformers it is for; a folder with both is needed"
        )
        raise _refused(served.id, f"weights.lora: {served.folder.path} has two transformers: {said}")


def _refused(model_id: str, said: str) -> RunnerFailure:
    return RunnerFailure("bad_input", f"model {model_id!r}: {said}")


def _missing(model_id: str, said: str) -> RunnerFailure:
    return RunnerFailure("model_missing", f"model {model_id!r}: {said}")


def _unusable(model_id: str, kind: str, why: Exception) -> RunnerFailure:
    if isinstance(why, FileNotFoundError):
        return _missing(model_id, f"{kind}: there is no file at {why.filename}")
    return _missing(model_id, f"{kind}: {why}")
