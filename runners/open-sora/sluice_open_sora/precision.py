"""What the video model's transformer is kept in, beside its weights as they are (bf16).

`int8` and `fp8` are weights of 8 bits, with a factor for each row: half the memory, 12 GB instead of 23.8.
The sums are still made in bf16. With `fp8-sums` the blocks' matrix products and, where cuDNN has it,
attention are made in fp8 too, which is faster (docs/gpu-performance.md). All of it approximates, so such a
model has an id of its own, as one with a step cache.
"""

from __future__ import annotations

from importlib import metadata
from typing import Sequence

from sluice_runner.failure import RunnerFailure
from sluice_runner.model_weights import ModelWeights, Precision

# The version that this was tried with.
TORCHAO_VERSION = "0.18.0"


def torchao_version() -> str | None:
    try:
        return metadata.version("torchao").partition("+")[0]
    except metadata.PackageNotFoundError:
        return None


def check_precisions(models: Sequence[ModelWeights], is_split: bool) -> None:
    """`is_split`: Open-Sora splits sequence or tensors over several devices. Raises RunnerFailure
    `model_missing` for a precision that cannot be had."""
    for model in models:
        if model.precision is None:
            continue
        asked = f"model {model.id!r}: precision is {model.precision!r}"
        if model.precision != "fp8-sums" and torchao_version() is None:
            raise RunnerFailure(
                "model_missing",
                f"{asked}, for which torchao is needed: pip install torchao=={TORCHAO_VERSION}",
            )
        if is_split:
            raise RunnerFailure(
                "model_missing",
                f"{asked}, which is for one device, or several with OPENSORA_PARALLEL=guidance",
            )


def precision_identity(precision: Precision | None) -> str:
    """What a checkpoint depends on."""
    if precision is None:
        return ""
    by = "" if precision == "fp8-sums" else f"/{torchao_version()}"
    return f" precision={precision}{by}"
