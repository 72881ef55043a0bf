"""Which parts of the model are on the device."""

from __future__ import annotations

from typing import Any, Iterable, Mapping

import torch


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
