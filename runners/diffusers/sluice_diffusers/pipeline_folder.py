"""The folder of a diffusers pipeline, read by its files alone: no library, and no tensor.

model_index.json                 {"_class_name": "WanPipeline", NAME: [LIBRARY, CLASS], ...}
NAME/config.json                 a component with weights, in NAME/diffusion_pytorch_model.safetensors or
                                 NAME/model.safetensors; several files are listed in one beside them,
                                 called as the weights and .index.json
NAME/anything else               a scheduler, tokenizer or image processor
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from typing import Any, Iterator, Mapping

from sluice_runner.weight_file import WeightFile

INDEX = "model_index.json"
_STEMS = ("diffusion_pytorch_model", "model")


@dataclass(frozen=True)
class PipelineFolder:
    """`components`: library and class by name; those the folder leaves out are not here.
    `fingerprint` tells its content from another's, wherever it lies."""

    path: str
    class_name: str
    components: Mapping[str, tuple[str, str]]
    fingerprint: str

    def verify(self) -> None:
        """Raises ValueError or OSError when something in it was replaced."""
        if read_folder(self.path).fingerprint != self.fingerprint:
            raise ValueError(f"{self.path} was replaced since this runner loaded; start the worker again")


def read_folder(path: str) -> PipelineFolder:
    """Raises ValueError that names the first thing that is missing, or OSError."""
    index = _index_of(path)
    components = _components_of(index)
    for problem in _problems(path, components):
        raise ValueError(problem)
    digest = hashlib.sha256(json.dumps(index, sort_keys=True).encode())
    for name in sorted(components):
        for file in _files_of(os.path.join(path, name)):
            digest.update(json.dumps([name, os.path.basename(file), _file_digest(file)]).encode())
    return PipelineFolder(path, index["_class_name"], components, digest.hexdigest())


def problems_of(path: str) -> list[str]:
    """Everything that keeps a folder from being read, one line each; [] = nothing."""
    try:
        return list(_problems(path, _components_of(_index_of(path))))
    except (OSError, ValueError) as error:
        return [str(error)]


def weight_bytes_of(path: str) -> int:
    """What its weights take on the disk; 0 where they are missing."""
    files = (os.path.join(folder, name) for folder, _, names in os.walk(path) for name in names)
    return sum(os.path.getsize(file) for file in files if file.endswith(".safetensors"))


def _index_of(path: str) -> dict[str, Any]:
    if not os.path.isdir(path):
        raise ValueError(f"there is no folder at {path}")
    try:
        with open(os.path.join(path, INDEX), encoding="utf-8") as file:
            index = json.load(file)
    except FileNotFoundError:
        raise ValueError(f"{path} has no {INDEX}: it is no folder of a diffusers pipeline") from None
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}/{INDEX} is not JSON: {error}") from None
    if not isinstance(index, dict) or not isinstance(index.get("_class_name"), str):
        raise ValueError(f"{path}/{INDEX} names no pipeline (_class_name)")
    return index


def _components_of(index: Mapping[str, Any]) -> dict[str, tuple[str, str]]:
    pairs = {
        name: value
        for name, value in index.items()
        if isinstance(value, list) and len(value) == 2 and all(isinstance(part, str) for part in value)
    }
    return {name: (library, kind) for name, (library, kind) in pairs.items()}


def _problems(path: str, components: Mapping[str, tuple[str, str]]) -> Iterator[str]:
    for name, (_, kind) in components.items():
        folder = os.path.join(path, name)
        if not os.path.isdir(folder) or not os.listdir(folder):
            yield f"{path} lacks the component {name} ({kind})"
        elif os.path.isfile(os.path.join(folder, "config.json")):
            yield from _weight_problems(folder)


def _weight_problems(folder: str) -> Iterator[str]:
    try:
        files = _weights_of(folder)
    except ValueError as error:
        yield str(error)
        return
    for file in files:
        if not os.path.isfile(file):
            yield f"{file} is missing; {os.path.basename(folder)}'s index names it"
        else:
            try:
                WeightFile(file)
            except (OSError, ValueError) as error:
                yield f"{folder}: {error}"


def _weights_of(folder: str) -> list[str]:
    """Raises ValueError when there are none, or their index cannot be read."""
    for stem in _STEMS:
        index = os.path.join(folder, f"{stem}.safetensors.index.json")
        whole = os.path.join(folder, f"{stem}.safetensors")
        if os.path.isfile(index):
            try:
                with open(index, encoding="utf-8") as file:
                    names = set(json.load(file)["weight_map"].values())
                return sorted(os.path.join(folder, os.path.basename(name)) for name in names)
            except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
                raise ValueError(f"{index} is no index of weights: {error}") from None
        if os.path.isfile(whole):
            return [whole]
    found = ", ".join(sorted(os.listdir(folder)))[:200]
    raise ValueError(
        f"{folder} has no weights; needed is {_STEMS[0]}.safetensors or {_STEMS[1]}.safetensors, "
        f"there are {found}"
    )


def _files_of(folder: str) -> list[str]:
    """Of a component: its weights, and the small files beside them."""
    is_model = os.path.isfile(os.path.join(folder, "config.json"))
    weights = _weights_of(folder) if is_model else []
    small = [
        os.path.join(folder, name)
        for name in os.listdir(folder)
        if not name.endswith((".safetensors", ".bin", ".md")) and os.path.isfile(os.path.join(folder, name))
    ]
    return sorted([*weights, *small])


def _file_digest(path: str) -> str:
    if path.endswith(".safetensors"):
        return WeightFile(path).fingerprint
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()
