"""How the video model is computed, as it is decided while it loads: the attention kernel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Mapping, Sequence

import torch

from sluice_runner.failure import RunnerFailure
from sluice_runner.log import log

from ..attention_choice import ATTENTION_SETTING
from ..settings import Settings
from ..sold_sizes import SoldSize
from .attention import Heads, find_kernel, put_in_place, settle_attention


@dataclass(frozen=True)
class LoadedNetwork:
    """`module`: the video model. `ring`: over how many devices its sequence is split. `flash_attn_problem`:
    why flash_attn cannot be imported; None = it can."""

    module: Any
    device: torch.device
    dtype: torch.dtype
    ranks: int
    ring: int
    flash_attn_problem: str | None


@dataclass(frozen=True)
class Computing:
    """`uses`, `settled`: see Readiness and Loaded. `identity`: what of it decides the bits of a clip."""

    uses: Mapping[str, str]
    settled: Mapping[str, str]
    identity: str


def settle_computing(network: LoadedNetwork, settings: Settings, sizes: Sequence[SoldSize]) -> Computing:
    """Decides, and puts it in place. Raises RunnerFailure."""
    if network.ring > 1:
        # Ring attention needs the logarithms of the sums too, which only flash_attn's own functions give.
        if network.flash_attn_problem is not None:
            why = f"a sequence over {network.ring} devices is built on flash-attn"
            raise RunnerFailure("model_missing", f"{why}, which is {network.flash_attn_problem}")
        return Computing({"attention": "flash-attn ring"}, {}, "attention=ring")
    config = network.module.config
    heads = Heads(config.num_heads, config.hidden_size // config.num_heads, network.dtype)
    # A choice by time could differ between ranks, and then so would their results.
    lengths = [size.positions for size in sizes] if network.ranks == 1 else []
    kernel, said = settle_attention(settings.attention, heads, lengths, network.device)
    log(said)
    put_in_place(find_kernel(kernel))
    return Computing({"attention": kernel}, {ATTENTION_SETTING: kernel}, f"attention={kernel}")
