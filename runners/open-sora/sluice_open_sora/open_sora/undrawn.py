"""Networks whose numbers come from a file are made without drawing random ones first.

torch draws for every layer that it makes; for 11.9 billion on the host that takes over a minute."""

from __future__ import annotations

from contextlib import contextmanager
from typing import Any, Iterator, Mapping

import torch

from sluice_runner.failure import RunnerFailure
from sluice_runner.weight_file import read_header

_DRAWING = (
    "uniform_",
    "normal_",
    "trunc_normal_",
    "xavier_uniform_",
    "xavier_normal_",
    "kaiming_uniform_",
    "kaiming_normal_",
)
# Open-Sora sets it to zero where a file lacks it (MMDiTModel.initialize_weights).
_MAY_BE_MISSING = ("cond_in.weight", "cond_in.bias")


@contextmanager
def undrawn_networks() -> Iterator[None]:
    """Meanwhile Open-Sora makes its video and image models so, those that are read from a file."""
    from opensora.models.mmdit.model import MMDiTModel

    make = MMDiTModel.__init__

    def make_undrawn(self: Any, config: Any) -> None:
        if not config.from_pretrained:
            make(self, config)
            return
        drawing = {name: getattr(torch.nn.init, name) for name in _DRAWING}
        vars(torch.nn.init).update({name: _as_it_is for name in _DRAWING})
        try:
            make(self, config)
        finally:
            vars(torch.nn.init).update(drawing)

    MMDiTModel.__init__ = make_undrawn
    try:
        yield
    finally:
        MMDiTModel.__init__ = make


def check_whole(module: torch.nn.Module, described: Mapping[str, Any]) -> None:
    """Raises RunnerFailure when the file of a part of the configuration lacks one of its tensors: Open-Sora
    only prints that, and the tensor's numbers would be whatever was in the memory."""
    path = described.get("from_pretrained")
    if not path or not str(path).endswith(".safetensors"):
        return
    try:
        entries = read_header(path).entries
    except (OSError, ValueError) as error:
        raise RunnerFailure("model_missing", f"{path}: {error}") from None
    missing = [name for name in module.state_dict() if name not in entries and name not in _MAY_BE_MISSING]
    if missing:
        said = f"{path} lacks {len(missing)} of the network's tensors, such as {missing[0]}"
        raise RunnerFailure("model_missing", said)


def _as_it_is(tensor: torch.Tensor, *_: Any, **__: Any) -> torch.Tensor:
    return tensor
