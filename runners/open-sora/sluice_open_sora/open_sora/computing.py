"""How a video is computed, as it is decided while the model loads: by which attention kernel, and whether the
video model's blocks and the autoencoder's norms are compiled."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Collection, Mapping, Sequence

import torch

from sluice_runner.failure import RunnerFailure
from sluice_runner.log import log

from sluice_runner.model_weights import Precision

from ..attention_choice import ATTENTION_SETTING, FP8_KERNEL, FP8_SETTING, Fp8Kernel, Kernel
from ..compile_choice import COMPILE_SETTING, GAIN_MIN, NORMS_SETTING, describe, is_faster
from ..settings import Settings
from ..sold_sizes import SoldSize
from .attention import Heads, find_kernel, put_in_place, settle_attention, settle_fp8_attention
from .autoencoder_passes import CompiledNorms
from .compiled_blocks import CompiledBlocks, CompileFailure


@dataclass(frozen=True)
class LoadedNetwork:
    """`module`: the video model. `ring`: over how many devices its sequence is split. `precision`: of the
    model that is loaded."""

    module: Any
    device: torch.device
    dtype: torch.dtype
    ranks: int
    ring: int
    precision: Precision | None = None


@dataclass(frozen=True)
class Computing:
    """`kernel`: of the loaded model's attention; `attention`: by name, of each precision that is served.
    `uses`, `settled`: see Readiness and Loaded. `identity`: what else decides the bits of a clip."""

    kernel: Kernel | Fp8Kernel
    attention: Mapping[Precision | None, str]
    uses: Mapping[str, str]
    settled: Mapping[str, str]
    identity: str = ""

    def with_weights(self, kept: str) -> Computing:
        """`kept`: what the network's weights are kept in."""
        return replace(self, uses={**self.uses, "weights": kept})

    def identity_of(self, precision: Precision | None) -> str:
        """What decides the bits of a clip of a model with it, whichever model is loaded now."""
        return f"attention={self.attention[precision]}{self.identity}"


def settle_blocks(
    computing: Computing, network: LoadedNetwork, settings: Settings, sizes: Sequence[SoldSize]
) -> Computing:
    """Compiles the blocks where that is wanted, works and is faster. The weights are on the device.

    Raises RunnerFailure when they must be compiled and cannot."""
    wanted, why = settings.compile, _why_not_compiled(settings, network)
    if why is None:
        blocks = CompiledBlocks(network.module, find_kernel(computing.kernel), network.device, network.dtype)
        try:
            compared = blocks.put_in_place(sizes)
            log(f"blocks: {describe(compared)}")
            if wanted == "on" or is_faster(compared):
                return _with(computing, _BLOCKS, None)
            blocks.take_back()
            why = "compiled they are not faster"
        except CompileFailure as failure:
            why = str(failure)
    if wanted == "on":
        needed = "a C compiler and Python's headers are needed; off and auto go on without"
        raise RunnerFailure("model_missing", f'{COMPILE_SETTING} is "on", but: {why}; {needed}')
    return _with(computing, _BLOCKS, why)


def settle_norms(
    computing: Computing, autoencoder: Any, network: LoadedNetwork, settings: Settings
) -> Computing:
    """Compiles the autoencoder's group norms where that is wanted, works and is faster; it is no reason not
    to load."""
    if settings.compile_norms != "auto":
        settings = replace(settings, compile=settings.compile_norms)
    why = _why_not_compiled(settings, network)
    if why is None:
        norms = CompiledNorms(autoencoder, network.device, network.dtype)
        try:
            plain_s, compiled_s = norms.put_in_place()
            log(f"norms: {1000 * plain_s:.2f} ms as it is, {1000 * compiled_s:.2f} ms compiled")
            if settings.compile == "on" or compiled_s <= plain_s * (1 - GAIN_MIN):
                return _with(computing, _NORMS, None)
            norms.take_back()
            why = "compiled they are not faster"
        except CompileFailure as failure:
            why = str(failure)
    return _with(computing, _NORMS, why)


def compile_ahead(network: LoadedNetwork) -> None:
    """Open-Sora has torch compile the embedding of the time of a step at its first step of one row, and of
    several: some seconds of the first video, on a GPU (docs/gpu-performance.md)."""
    from opensora.models.mmdit import model

    with torch.inference_mode():
        for rows in (2, 1):
            times = torch.full((rows,), 0.5, device=network.device, dtype=network.dtype)
            model.timestep_embedding(times, 256)


def _why_not_compiled(settings: Settings, network: LoadedNetwork) -> str | None:
    """None = it is to be tried."""
    if settings.compile == "off":
        return f"{COMPILE_SETTING} is off"
    if network.ranks > 1:
        return "over several devices they are not compiled"
    if settings.compile == "auto" and network.device.type != "cuda":
        return "this is no GPU"
    return None


# What is compiled or not, and the setting that tells ranks which start again.
_BLOCKS = ("blocks", COMPILE_SETTING)
_NORMS = ("norms", NORMS_SETTING)


def _with(computing: Computing, part: tuple[str, str], why_not: str | None) -> Computing:
    """`why_not`: None = it is compiled."""
    name, setting = part
    said = "compiled" if why_not is None else f"not compiled: {why_not}"
    return replace(
        computing,
        uses={**computing.uses, name: said},
        settled={**computing.settled, setting: "on" if why_not is None else "off"},
        identity=computing.identity + (f" {name}=compiled" if why_not is None else ""),
    )


def settle_computing(
    network: LoadedNetwork,
    settings: Settings,
    sizes: Sequence[SoldSize],
    served: Collection[Precision | None],
) -> Computing:
    """Decides, and puts it in place. `served`: the precisions of all models. Raises RunnerFailure."""
    if network.ring > 1:
        attention = {each: "ring" for each in served}
        return Computing("flash-attn-2", attention, {"attention": "flash-attn ring"}, {})
    config = network.module.config
    heads = Heads(config.num_heads, config.hidden_size // config.num_heads, network.dtype)
    # A choice by time could differ between ranks, and then so would their results.
    lengths = [size.positions for size in sizes] if network.ranks == 1 else []
    kernel, said = settle_attention(settings.attention, heads, lengths, network.device)
    log(said)
    settled = {ATTENTION_SETTING: kernel}
    kernels: dict[Precision | None, Kernel | Fp8Kernel] = {each: kernel for each in served}
    # Whichever model is loaded: what the checkpoints of each belong to is said now.
    if "fp8-sums" in kernels:
        if settings.fp8_attention != "off":
            lengths = lengths if settings.fp8_attention == "auto" else []
            kernels["fp8-sums"], said = settle_fp8_attention(kernel, heads, lengths, network.device)
            log(said)
        settled[FP8_SETTING] = "on" if kernels["fp8-sums"] == FP8_KERNEL else "off"
    used = kernels[network.precision]
    put_in_place(find_kernel(used))
    return Computing(used, kernels, {"attention": used}, settled)
