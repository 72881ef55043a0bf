"""The transformer's weights in 8 bits (precision.py): by torchao, or with the sums in fp8 too."""

from __future__ import annotations

from typing import Any

import torch

from sluice_runner.failure import RunnerFailure
from sluice_runner.model_weights import Precision

from ..precision import TORCHAO_VERSION, torchao_version
from .fp8_linear import replace_linears


def quantize(block: Any, precision: Precision, device: torch.device) -> None:
    """Makes the weights of the block's linear layers such, on `device`, where they are then: the whole
    network never has to be there as it was. All else stays as it is.

    Raises RunnerFailure `model_missing` when torchao does not have it."""
    if precision == "fp8-sums":
        replace_linears(block, device)
        # What else the block has.
        block.to(device)
        return
    try:
        from torchao.quantization import Float8WeightOnlyConfig, Int8WeightOnlyConfig, quantize_
    except Exception as error:
        # One that is too new for this torch fails at whatever is lacking there.
        version, needed = torchao_version(), f"torchao {TORCHAO_VERSION} was tried with torch 2.13"
        raise RunnerFailure("model_missing", f"torchao {version} is not usable: {error}; {needed}") from None
    kind = Int8WeightOnlyConfig if precision == "int8" else Float8WeightOnlyConfig
    quantize_(block, kind(), device=device)
