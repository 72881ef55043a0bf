"""The device: its name, its memory, and which parts of the model are on it."""

from __future__ import annotations

import os
import re
from typing import Any, Iterable, Mapping

import torch

from ..failure import RunnerFailure

# Words of a device's full name that are no part of its family.
_NOISE = {"nvidia", "geforce", "tesla", "amd", "instinct", "graphics", "device"}


def find_device() -> torch.device:
    """Returns CUDA, or what OPENSORA_DEVICE says (`cpu`, for tests). Raises RunnerFailure `model_missing`."""
    wanted = os.environ.get("OPENSORA_DEVICE") or "cuda"
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
    return torch.cuda.max_memory_allocated(device) if device.type == "cuda" else 0


class Residency:
    """Which parts of the model are on the device: all, or with offload one at a time, the others in the
    host's memory."""

    def __init__(self, device: torch.device, parts: Mapping[str, Iterable[Any]], offload: bool) -> None:
        self.device = device
        self._parts = {name: list(modules) for name, modules in parts.items()}
        self._offload = offload
        self._present: str | None = None

    def use(self, part: str) -> None:
        """Brings `part` to the device. Cheap when it is there."""
        if not self._offload or part == self._present:
            return
        for name, modules in self._parts.items():
            if name != part:
                for module in modules:
                    module.to("cpu")
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        for module in self._parts[part]:
            module.to(self.device)
        self._present = part
