"""Pipelines out of a folder, by the library's own loader, as the settings want them."""

from __future__ import annotations

from typing import Any

import diffusers
import torch

from sluice_runner.failure import RunnerFailure

from ..families import DIFFUSERS_VERSION, Family
from ..served_model import ServedModel
from ..settings import Settings

_DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}
# Components that a quantization may shrink; autoencoders are small and lose by it.
_QUANTIZED = ("transformer", "transformer_2", "text_encoder")


def check_class(served: ServedModel) -> None:
    """Raises RunnerFailure `bad_input` for a pipeline that this version of the library does not have."""
    for mode, name in served.pipelines.items():
        if not hasattr(diffusers, name):
            said = f"model {served.id!r}: pipelines.{mode} is {name!r}"
            has = f"diffusers {diffusers.__version__} has no such pipeline; needed is {DIFFUSERS_VERSION}"
            raise RunnerFailure("bad_input", f"{said}; {has}")


def dtype_of(settings: Settings) -> torch.dtype:
    word = settings.dtype
    return _DTYPES[("fp32" if settings.device == "cpu" else "bf16") if word == "auto" else word]


def precision_of(settings: Settings) -> str:
    """What decides the bits of a clip beside its weights: a checkpoint is of no use with another."""
    words = (settings.quantization, settings.vae_tiling, diffusers.__version__, torch.__version__)
    return " ".join((str(dtype_of(settings)), *words))


def load_pipelines(served: ServedModel, settings: Settings) -> dict[str, Any]:
    """Returns a pipeline for each mode; they share their components. Raises what the library raises."""
    pipeline_class = getattr(diffusers, served.main_pipeline)
    dtype = dtype_of(settings)
    dtypes = {"default": dtype, **({"vae": torch.float32} if served.family.vae_in_fp32 else {})}
    quantized = _quantization(served, settings)
    main = pipeline_class.from_pretrained(
        served.folder.path,
        dtype=dtypes,
        # Never the hub, and never a pickle, which could run a program of whoever wrote it.
        local_files_only=True,
        use_safetensors=True,
        **({} if quantized is None else {"quantization_config": quantized}),
    )
    _check_scheduler(served, main)
    if settings.quantization == "fp8":
        for name in _QUANTIZED:
            module = getattr(main, name, None)
            if module is not None and hasattr(module, "enable_layerwise_casting"):
                module.enable_layerwise_casting(storage_dtype=torch.float8_e4m3fn, compute_dtype=dtype)
    if _tiles(served.family, settings) and hasattr(main.vae, "enable_tiling"):
        main.vae.enable_tiling()
    return {
        mode: main if name == served.main_pipeline else sibling_of(main, getattr(diffusers, name))
        for mode, name in served.pipelines.items()
    }


def sibling_of(pipeline: Any, other_class: Any) -> Any:
    """Returns a pipeline of another class with the same components, which stay as they are; the library's own
    `from_pipe` casts them. Raises ValueError when one is missing."""
    modules, optional = other_class._get_signature_keys(other_class)
    found = {name: pipeline.components.get(name) for name in modules}
    needed = {
        name
        for name in modules
        if found[name] is None and name not in (other_class._optional_components or ())
    }
    if needed:
        raise RunnerFailure("model_missing", f"{other_class.__name__} needs {', '.join(sorted(needed))} too")
    settings = {name: pipeline.config[name] for name in optional if name in pipeline.config}
    return other_class(**found, **settings)


def place(pipeline: Any, settings: Settings, device: torch.device, *, offload: bool) -> None:
    """Brings a pipeline to the device, or leaves that to the library's own offload."""
    pipeline.set_progress_bar_config(disable=True)
    if not offload:
        pipeline.to(device)
    else:
        pipeline.enable_model_cpu_offload(device=device)


def _check_scheduler(served: ServedModel, pipeline: Any) -> None:
    """A step must be one call of the scheduler: steps are counted by them."""
    order = getattr(pipeline.scheduler, "order", 1)
    if order != 1:
        name = type(pipeline.scheduler).__name__
        raise RunnerFailure(
            "model_missing",
            f"model {served.id!r}: its scheduler {name} takes {order} evaluations a step; allowed is one",
        )


def _tiles(family: Family, settings: Settings) -> bool:
    return family.tiles_vae if settings.vae_tiling == "auto" else settings.vae_tiling == "1"


def _quantization(served: ServedModel, settings: Settings) -> Any:
    """Returns the library's configuration of bitsandbytes; None without."""
    kinds: dict[str, tuple[str, dict[str, Any]]] = {
        "int8": ("bitsandbytes_8bit", {"load_in_8bit": True}),
        "nf4": (
            "bitsandbytes_4bit",
            {
                "load_in_4bit": True,
                "bnb_4bit_quant_type": "nf4",
                "bnb_4bit_compute_dtype": dtype_of(settings),
            },
        ),
    }
    if settings.quantization not in kinds:
        return None
    backend, arguments = kinds[settings.quantization]
    components = [name for name in _QUANTIZED if name in served.folder.components]
    return diffusers.PipelineQuantizationConfig(
        quant_backend=backend, quant_kwargs=arguments, components_to_quantize=components
    )
