"""Test scaffolding, never used by the runner: lets Open-Sora's real code be imported and run on a CPU.

stand_ins.py stands in for what only works with CUDA (flash_attn, liger_kernel, colossalai, tensornvme) and
for what torchvision 0.28 removed. Here are the plain text encoder and the random weights of tiny_config.py.
"""

from __future__ import annotations

import hashlib
import os
import sys
from typing import Any

import torch

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import stand_ins  # noqa: E402

# No compiler is needed for clips this small; read when the first function is compiled.
os.environ["TORCHDYNAMO_DISABLE"] = "1"

# Where one is installed, it would still want CUDA. The last is for preparing training data, and does not go
# with every pandas.
ABSENT = ("flash_attn", "liger_kernel", "colossalai", "tensornvme", "pandarallel")
stand_ins.install(ABSENT, torch.device("cpu"))

from opensora.models.hunyuan_vae.autoencoder_kl_causal_3d import (  # noqa: E402
    AutoEncoder3DConfig,
    AutoencoderKLCausal3D,
)
from opensora.models.mmdit.model import Flux  # noqa: E402
from opensora.registry import MODELS  # noqa: E402


def _scramble(module: torch.nn.Module, seed: int) -> torch.nn.Module:
    """The same random weights in every process; large enough that each step and each word matters."""
    generator = torch.Generator().manual_seed(seed)
    for parameter in module.parameters():
        fan = parameter.shape[1:].numel() if parameter.dim() > 1 else 1
        spread = fan**-0.5 if parameter.dim() > 1 else 0.02
        parameter.data += (torch.randn(parameter.shape, generator=generator) * spread).to(parameter.dtype)
    return module


@MODELS.register_module("scrambled_flux")
def scrambled_flux(device_map: Any, torch_dtype: torch.dtype, **kwargs: Any) -> torch.nn.Module:
    torch.manual_seed(1)
    return _scramble(Flux(device_map=device_map, torch_dtype=torch_dtype, **kwargs), 11)


@MODELS.register_module("tiny_hunyuan_vae")
def tiny_hunyuan_vae(device_map: Any, torch_dtype: torch.dtype, **kwargs: Any) -> torch.nn.Module:
    torch.manual_seed(2)
    return AutoencoderKLCausal3D(AutoEncoder3DConfig(**kwargs)).to(device_map, torch_dtype)


@MODELS.register_module("hashed_text")
class HashedText(torch.nn.Module):
    """A text encoder of the same shapes as T5's (length > 0) and CLIP's (pooled): numbers drawn from the hash
    of the exact text."""

    def __init__(self, length: int, width: int, device_map: Any, torch_dtype: torch.dtype) -> None:
        super().__init__()
        self.shape = (length, width) if length > 0 else (width,)
        self.anchor = torch.nn.Parameter(torch.zeros(1, dtype=torch_dtype, device=device_map))

    def forward(self, text: list[str], added_tokens: int = 0, seq_align: int = 1) -> torch.Tensor:
        rows = []
        for line in text:
            seed = int.from_bytes(hashlib.sha256(line.encode("utf-8")).digest()[:8], "little") >> 1
            rows.append(torch.randn(self.shape, generator=torch.Generator().manual_seed(seed)))
        return torch.stack(rows).to(self.anchor)
