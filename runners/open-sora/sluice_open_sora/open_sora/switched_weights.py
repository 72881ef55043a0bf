"""One network in memory, and where each of its tensors came from. A switch rewrites those that differ.

Nothing is ever subtracted: a tensor that another model changed is read again from the base model's file or
the model's own checkpoint, so a model's weights are the same bits whatever was in use before. Tensors are
written one by one, on whichever device the network is. A switch that stops half-way leaves tensors of two
models; the next one rewrites them.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any, Callable, Iterable, Mapping

import torch
from safetensors import safe_open

from sluice_runner.failure import RunnerFailure
from sluice_runner.weight_file import WeightFile

from ..served_model import BASE, ServedModel, Source, check_fit

# A tensor that is being written has the numbers of no model.
_TORN: Source = ("torn", "torn")


class SwitchedWeights:
    """`base`: the file `module` was loaded from. None = it cannot be read tensor by tensor: then each tensor
    is copied into the host's memory before its first change. `device`: where LoRAs are multiplied, always the
    same one, since another could round differently."""

    def __init__(self, module: torch.nn.Module, base: WeightFile | None, device: torch.device) -> None:
        self._module = module
        self._base = base
        self._device = device
        # Tensors that are not as they were loaded.
        self._sources: dict[str, Source] = {}
        self._copies: dict[str, torch.Tensor] = {}

    def check(self, models: Iterable[ServedModel]) -> None:
        """Raises RunnerFailure `model_missing` for a file that does not fit the network."""
        shapes = {name: tuple(tensor.shape) for name, tensor in self._module.state_dict().items()}
        required = [name for name in shapes if self._base is None or name in self._base.entries]
        for model in models:
            check_fit(model, shapes, required)

    def use(self, model: ServedModel, between: Callable[[int, int], None]) -> None:
        """Makes the weights those of `model`. Calls `between(done, tensors)` before each; it may raise.

        Raises RunnerFailure `model_missing` when a file is gone or was replaced."""
        # A clip is made under inference mode, and what was made there can be changed in place there only.
        with torch.inference_mode(), ExitStack() as open_files:
            tensors = self._module.state_dict()
            stale = [name for name in tensors if self._sources.get(name, BASE) != model.source_of(name)]
            if not stale:
                return
            model.verify()
            self._verify_base()
            reader = _Reader(open_files)
            for done, name in enumerate(stale):
                between(done, len(stale))
                tensor = tensors[name]
                if name not in self._copies and not self._is_in_base(name):
                    self._copies[name] = tensor.to("cpu", copy=True)
                value = self._value(model, name, reader)
                self._sources[name] = _TORN
                tensor.copy_(value)
                self._sources[name] = model.source_of(name)

    def _is_in_base(self, name: str) -> bool:
        return self._base is not None and name in self._base.entries

    def _verify_base(self) -> None:
        if self._base is None:
            return
        try:
            self._base.verify()
        except (OSError, ValueError) as error:
            raise RunnerFailure(
                "model_missing", f"the base model's weights: {self._base.path}: {error}"
            ) from None

    def _value(self, model: ServedModel, name: str, reader: _Reader) -> torch.Tensor:
        """Returns the tensor as `model` has it, on any device and of any dtype."""
        checkpoint, added = model.source_of(name)
        if checkpoint != "":
            assert model.checkpoint is not None
            value = reader.read(model.checkpoint, name)
        elif self._is_in_base(name):
            assert self._base is not None
            value = reader.read(self._base, name)
        else:
            value = self._copies[name]
        if added == "":
            return value
        assert model.lora is not None
        layer = model.lora.layers[name]
        down, up = (
            reader.read(model.lora, part).to(self._device, torch.float32) for part in (layer.down, layer.up)
        )
        return value.to(self._device, torch.float32).add(up @ down, alpha=model.strength * layer.scale)


class _Reader:
    """Reads single tensors. Files stay open, mapped and not copied, for one switch."""

    def __init__(self, open_files: ExitStack) -> None:
        self._open_files = open_files
        self._files: dict[str, Any] = {}

    def read(self, file: WeightFile, name: str) -> torch.Tensor:
        if file.path not in self._files:
            self._files[file.path] = self._open_files.enter_context(
                safe_open(file.path, framework="pt", device="cpu")
            )
        return self._files[file.path].get_tensor(name)


def base_file(configuration: Mapping[str, Any]) -> WeightFile | None:
    """The safetensors file of the configuration's video model; None for a .pt file, a folder or no file."""
    path = configuration["model"].get("from_pretrained")
    if not path or not str(path).endswith(".safetensors"):
        return None
    try:
        return WeightFile(path)
    except (OSError, ValueError) as error:
        raise RunnerFailure("model_missing", f"the base model's weights: {path}: {error}") from None
