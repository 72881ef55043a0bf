"""What a probe can say of a GPU host without loading a model; `sluice doctor` reads it."""

from __future__ import annotations

import os
from importlib import metadata
from typing import Any

from .weight_file import read_header


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
