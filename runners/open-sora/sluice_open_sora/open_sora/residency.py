"""Which parts of the model are on the device.

Weights do not change while a clip is made, so what leaves the device is dropped there and never copied back:
the host's copy stays. A device reads it at its full speed, since its pages are locked.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Iterable, Iterator, Mapping

import torch

from sluice_runner.log import log


@dataclass
class _Kept:
    """One parameter or buffer. `home`: its numbers in the host's memory."""

    owner: torch.nn.Module
    name: str
    home: torch.Tensor

    def put(self, value: torch.Tensor) -> None:
        if self.name in self.owner._buffers:
            self.owner._buffers[self.name] = value
            return
        parameter = self.owner._parameters[self.name]
        assert parameter is not None
        if type(value) is torch.Tensor and torch._has_compatible_shallow_copy_type(parameter, value):
            parameter.data = value
        else:
            # Quantized weights are of a class of their own, which cannot change its device.
            self.owner._parameters[self.name] = value  # type: ignore[assignment]


class Residency:
    """All parts are on the device, or with offload one at a time, the others in the host's memory."""

    def __init__(self, device: torch.device, parts: Mapping[str, Iterable[Any]], offload: bool) -> None:
        self.device = device
        self._offload = offload
        self._present: str | None = None
        self._kept = {name: [*_tensors_of(modules)] for name, modules in parts.items()} if offload else {}
        dtypes = {
            name: [parameter.dtype for module in modules for parameter in module.parameters()][:1]
            for name, modules in parts.items()
        }
        self._anchors = {
            name: torch.nn.Parameter(torch.empty(0, dtype=dtype, device=device), requires_grad=False)
            for name, (dtype,) in ((name, dtype) for name, dtype in dtypes.items() if dtype)
        }
        if offload and device.type == "cuda":
            self._lock_pages()

    def anchor(self, part: str) -> torch.nn.Parameter:
        """A parameter of the device and the dtype that the part's own have while it is used."""
        return self._anchors[part]

    def use(self, part: str) -> None:
        """Brings `part` to the device. Cheap when it is there."""
        if not self._offload or part == self._present:
            return
        self.rest()
        self._present = part
        for kept in self._kept[part]:
            kept.put(_on(self.device, kept.home))

    def rest(self) -> None:
        """With offload nothing is on the device: what is written to the weights now is written to the host's
        copy."""
        if self._present is None:
            return
        for kept in self._kept[self._present]:
            kept.put(kept.home)
        self._present = None
        if self.device.type == "cuda":
            torch.cuda.empty_cache()

    def _lock_pages(self) -> None:
        """In place: torch's own pinned memory would take up to twice as much, in powers of two."""
        homes = (home for part in self._kept.values() for kept in part for home in _plain_tensors(kept.home))
        sizes = {home.untyped_storage().data_ptr(): home.untyped_storage().nbytes() for home in homes}
        open_bytes = 0
        for place, size in sizes.items():
            # Pages of a mapped file, for one, cannot be locked.
            if size > 0 and int(torch.cuda.cudart().cudaHostRegister(place, size, 0)) != 0:
                open_bytes += size
                self._forget_error()
        if open_bytes > 0:
            log(f"offload: {open_bytes / 1e9:.1f} GB of the weights are not in locked pages: slower to read")

    def _forget_error(self) -> None:
        """CUDA would tell of it at the next call, whatever that is."""
        try:
            torch.zeros(1, device=self.device)
        except RuntimeError:
            pass


def _tensors_of(modules: Iterable[torch.nn.Module]) -> Iterator[_Kept]:
    """Each parameter and buffer once, also where two modules share it."""
    seen = set()
    for module in modules:
        for owner in module.modules():
            for name, tensor in (*owner._parameters.items(), *owner._buffers.items()):
                if tensor is not None and id(tensor) not in seen:
                    seen.add(id(tensor))
                    is_plain = not hasattr(tensor, "__tensor_flatten__")
                    yield _Kept(owner, name, tensor.data if is_plain else tensor)


def _on(device: torch.device, home: torch.Tensor) -> torch.Tensor:
    """A tensor of another class may not know how to move without waiting; what it consists of does."""
    if not hasattr(home, "__tensor_flatten__"):
        return home.to(device, non_blocking=True)
    names, about = home.__tensor_flatten__()
    inner = {name: _on(device, getattr(home, name)) for name in names}
    moved: torch.Tensor = type(home).__tensor_unflatten__(inner, about, home.size(), home.stride())
    return moved


def _plain_tensors(tensor: torch.Tensor) -> list[torch.Tensor]:
    """Those that a tensor of another class consists of."""
    if not hasattr(tensor, "__tensor_flatten__"):
        return [tensor]
    names, _ = tensor.__tensor_flatten__()
    return [inner for name in names for inner in _plain_tensors(getattr(tensor, name))]
