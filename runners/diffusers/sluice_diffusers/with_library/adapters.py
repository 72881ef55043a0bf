"""A LoRA in a pipeline's transformer, by the library's own loader.

It is never fused: the transformer's own tensors are not touched, so they are the same bits when it is out
again.
"""

from __future__ import annotations

import os
from typing import Any

from sluice_runner.failure import RunnerFailure

from ..served_model import ServedModel

_NAME = "sluice"


def put_in(pipeline: Any, served: ServedModel) -> None:
    """Raises RunnerFailure `model_missing` for a file that does not fit the transformer."""
    lora = served.weights.lora
    if lora is None:
        return
    folder, name = os.path.split(lora.path)
    try:
        pipeline.load_lora_weights(folder, weight_name=name, adapter_name=_NAME, local_files_only=True)
        adapters = pipeline.get_list_adapters()
    except Exception as error:
        if type(error).__name__ == "OutOfMemoryError":
            raise
        take_out(pipeline)
        raise RunnerFailure("model_missing", f"model {served.id!r}: lora: {lora.path}: {error}") from None
    if not any(_NAME in names for names in adapters.values()):
        raise RunnerFailure(
            "model_missing", f"model {served.id!r}: lora: {lora.path} changes no layer of the transformer"
        )
    pipeline.set_adapters([_NAME], [lora.strength])


def take_out(pipeline: Any) -> None:
    if hasattr(pipeline, "unload_lora_weights"):
        pipeline.unload_lora_weights()
