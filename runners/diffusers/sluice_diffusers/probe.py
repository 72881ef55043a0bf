"""`python -m sluice_diffusers.probe [--models JSON]`: describes a GPU host for `sluice doctor`.

Prints one JSON object. Loads no weights. `--models` is the `models` of the runner protocol's load.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from typing import Any

from sluice_runner.failure import RunnerFailure
from sluice_runner.model_weights import ModelWeights, parse_models
from sluice_runner.probe_parts import describe_torch, package_version

from .families import DIFFUSERS_VERSION
from .pipeline_folder import problems_of, weight_bytes_of
from .served_model import open_models
from .settings import SettingError, read_settings

PACKAGES = (
    "diffusers",
    "transformers",
    "accelerate",
    "peft",
    "safetensors",
    "sentencepiece",
    "ftfy",
    "av",
    "pillow",
)
# Only with a quantization of its own.
QUANTIZER = "bitsandbytes"


def main() -> None:
    parser = argparse.ArgumentParser(prog="sluice_diffusers.probe")
    parser.add_argument("--models", default="[]")
    models = parser.parse_args().models
    found = {
        "python": list(sys.version_info[:3]),
        "torch": describe_torch(),
        "pinned": DIFFUSERS_VERSION,
        "packages": {name: package_version(name) for name in _packages()},
        "settings": _setting_problem(),
        "models": describe_models(json.loads(models)),
    }
    print(json.dumps(found))


def describe_models(models: Any) -> list[dict[str, Any]]:
    """What keeps a runner from serving each; a single one, with the id `models`, for a list that is wrong."""
    try:
        return [] if models == [] else [_describe_model(model) for model in parse_models(models)]
    except RunnerFailure as failure:
        return [{"id": "models", "folder": None, "bytes": 0, "problems": [failure.message]}]


def _describe_model(model: ModelWeights) -> dict[str, Any]:
    problems = [] if model.folder is None else problems_of(model.folder)
    if not problems:
        try:
            open_models((model,))
        except RunnerFailure as failure:
            problems = [failure.message]
    size = 0 if model.folder is None else weight_bytes_of(model.folder)
    return {"id": model.id, "folder": model.folder, "bytes": size, "problems": problems}


def _packages() -> tuple[str, ...]:
    quantization = os.environ.get("SLUICE_DIFFUSERS_QUANTIZATION")
    return (*PACKAGES, QUANTIZER) if quantization in ("int8", "nf4") else PACKAGES


def _setting_problem() -> str | None:
    try:
        # A worker hands each runner the devices of its slot alone.
        read_settings({name: value for name, value in os.environ.items() if name != "CUDA_VISIBLE_DEVICES"})
    except SettingError as error:
        return str(error)
    return None


if __name__ == "__main__":
    main()
