"""The device: its name and its memory."""

from __future__ import annotations

import os
import re

import torch

from ..failure import RunnerFailure

# Words of a device's full name that are no part of its family.
_NOISE = {"nvidia", "geforce", "tesla", "amd", "instinct", "graphics", "device"}


def find_device(wanted: str) -> torch.device:
    """`wanted`: cuda, or cpu for tests. Raises RunnerFailure `model_missing`."""
    if wanted == "cuda" and not torch.cuda.is_available():
        visible = os.environ.get("CUDA_VISIBLE_DEVICES")
        raise RunnerFailure(
            "model_missing",
            f"torch {torch.__version__} finds no CUDA device (CUDA_VISIBLE_DEVICES is {visible!r})",
        )
    return torch.device(wanted)


def device_family(name: str) -> str:
    """`NVIDIA H100 80GB HBM3` is `h100`, `NVIDIA GeForce RTX 4090` is `rtx4090`: pools are named after it."""
    words = [word for word in re.split(r"[^A-Za-z0-9]+", name) if word and word.lower() not in _NOISE]
    if len(words) > 1 and words[0].upper() in ("RTX", "GTX", "TITAN"):
        words = ["".join(words[:2])]
    return words[0].lower() if words else "gpu"


def describe_device(device: torch.device) -> tuple[str, int]:
    """Returns the family, and the bytes of memory of all visible devices together."""
    if device.type != "cuda":
        return device.type, 0
    count = torch.cuda.device_count()
    total = sum(torch.cuda.get_device_properties(index).total_memory for index in range(count))
    return device_family(torch.cuda.get_device_name(device)), total


def synchronize(device: torch.device) -> None:
    """Waits until the device has done what it was given: a step that is reported is done, not just queued."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def reset_peak(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


def peak_bytes(device: torch.device) -> int:
    """With what torch's allocator keeps in reserve: so much memory a card must have."""
    return torch.cuda.max_memory_reserved(device) if device.type == "cuda" else 0
