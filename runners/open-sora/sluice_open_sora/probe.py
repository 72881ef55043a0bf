"""`python -m sluice_open_sora.probe [--models JSON]`: describes a GPU host for `sluice doctor`.

Prints one JSON object. Loads no weights. `--models` is the `models` of the runner protocol's load: own
models, whose files are looked at too.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
from importlib import metadata
from typing import Any

from .failure import RunnerFailure
from .model_weights import ModelWeights, parse_models
from .served_model import check_fit, open_models
from .weight_file import WeightHeader, read_header

# The weights of Open-Sora's configuration files at commit d0cd5ac, relative to OPENSORA_HOME.
WEIGHTS = (
    "ckpts/Open_Sora_v2.safetensors",
    "ckpts/hunyuan_vae.safetensors",
    "ckpts/google/t5-v1_1-xxl",
    "ckpts/openai/clip-vit-large-patch14",
)
FLUX_WEIGHTS = ("ckpts/flux1-dev.safetensors", "ckpts/flux1-dev-ae.safetensors")
PACKAGES = (
    "torchvision",
    "mmengine",
    "diffusers",
    "transformers",
    "peft",
    "colossalai",
    "liger-kernel",
    "flash-attn",
    "av",
    "pillow",
)


def main() -> None:
    parser = argparse.ArgumentParser(prog="sluice_open_sora.probe")
    parser.add_argument("--models", default="[]")
    models = parser.parse_args().models
    home = os.environ.get("OPENSORA_HOME") or None
    wanted = WEIGHTS + (FLUX_WEIGHTS if os.environ.get("OPENSORA_T2I2V") == "1" else ())
    found = {
        "python": list(sys.version_info[:3]),
        "torch": describe_torch(),
        "packages": {name: package_version(name) for name in PACKAGES},
        "package_found": home is not None and os.path.isdir(os.path.join(home, "opensora")),
        "commit": None if home is None else read_commit(home),
        "weights": []
        if home is None
        else [{"path": path, **describe_weights(os.path.join(home, path))} for path in wanted],
        "models": describe_models(json.loads(models), home),
    }
    print(json.dumps(found))


def describe_torch() -> dict[str, Any] | None:
    """Version, CUDA's version, and each visible device; None when torch is not installed.

    Has `error` instead when torch cannot be imported."""
    try:
        import torch
    except ModuleNotFoundError:
        return None
    except Exception as error:
        return {"version": package_version("torch"), "error": f"{type(error).__name__}: {error}"[:300]}
    devices = []
    if torch.cuda.is_available():
        for index in range(torch.cuda.device_count()):
            properties = torch.cuda.get_device_properties(index)
            devices.append({"name": properties.name, "bytes": properties.total_memory})
    return {"version": torch.__version__, "cuda": torch.version.cuda, "devices": devices}


def package_version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def read_commit(home: str) -> str | None:
    """Reads, without git, the commit that a git checkout stands on; None when it is no checkout."""
    try:
        folder = os.path.join(home, ".git")
        if os.path.isfile(folder):
            # A worktree or submodule: `gitdir: PATH`.
            folder = os.path.join(home, _text(folder).partition(":")[2].strip())
        head = _text(os.path.join(folder, "HEAD")).strip()
        if not head.startswith("ref: "):
            return head
        name = head.removeprefix("ref: ")
        if os.path.isfile(os.path.join(folder, name)):
            return _text(os.path.join(folder, name)).strip()
        packed = re.search(
            rf"^([0-9a-f]{{40}}) {re.escape(name)}$", _text(os.path.join(folder, "packed-refs")), re.M
        )
        return packed and packed[1]
    except OSError:
        return None


def describe_weights(path: str) -> dict[str, Any]:
    """Bytes (None = not there), parameters by the headers, and what is wrong with a file that is cut off."""
    if os.path.isdir(path):
        files = [os.path.join(folder, name) for folder, _, names in os.walk(path) for name in names]
        parts = [describe_weights(file) for file in files]
        if not parts:
            return {"bytes": None, "parameters": None, "problem": None}
        problems = [part["problem"] for part in parts if part["problem"] is not None]
        counted = [part["parameters"] for part in parts if part["parameters"] is not None]
        return {
            "bytes": sum(part["bytes"] or 0 for part in parts),
            "parameters": sum(counted) if counted else None,
            "problem": problems[0] if problems else None,
        }
    if not os.path.isfile(path):
        return {"bytes": None, "parameters": None, "problem": None}
    size = os.path.getsize(path)
    if not path.endswith(".safetensors"):
        return {"bytes": size, "parameters": None, "problem": None}
    try:
        header = read_header(path)
    except (OSError, ValueError) as error:
        return {"bytes": size, "parameters": None, "problem": str(error)}
    expected = header.bytes_expected
    cut_off = (
        None if expected == size else f"{os.path.basename(path)} has {size} bytes, its header says {expected}"
    )
    return {"bytes": size, "parameters": header.parameters, "problem": cut_off}


def describe_models(models: Any, home: str | None) -> list[dict[str, Any]]:
    """One description for each model; a single one, with the id `models`, for a list that cannot be read."""
    try:
        return [] if models == [] else [describe_model(model, home) for model in parse_models(models)]
    except RunnerFailure as failure:
        return [{"id": "models", "files": [], "problem": failure.message}]


def describe_model(model: ModelWeights, home: str | None) -> dict[str, Any]:
    """Bytes and parameters of each of its files, and what would keep a runner from serving it.

    Whether they fit the base model is checked only when the base model's own file is whole."""
    paths = [
        path
        for path in (model.checkpoint, None if model.lora is None else model.lora.path)
        if path is not None
    ]
    described = [describe_weights(path) for path in paths]
    problem = None
    try:
        (served,) = open_models((model,))
        base = None if home is None else _header_or_none(os.path.join(home, WEIGHTS[0]))
        if base is not None:
            check_fit(served, {name: entry.shape for name, entry in base.entries.items()}, base.entries)
    except RunnerFailure as failure:
        problem = failure.message
    files = [
        {"path": path, "bytes": one["bytes"], "parameters": one["parameters"]}
        for path, one in zip(paths, described)
    ]
    return {"id": model.id, "files": files, "problem": problem}


def _header_or_none(path: str) -> WeightHeader | None:
    try:
        header = read_header(path)
    except (OSError, ValueError):
        return None
    return header if header.bytes == header.bytes_expected else None


def _text(path: str) -> str:
    with open(path, encoding="utf-8") as file:
        return file.read()


if __name__ == "__main__":
    main()
