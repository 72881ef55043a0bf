"""Test scaffolding, never used by the runner: lets Open-Sora's real code be imported and run on a CPU.

Stands in for what only works with CUDA (flash_attn, liger_kernel, colossalai, tensornvme) and for what
torchvision 0.28 removed; gives the plain text encoder and the random weights of tiny_config.py. The kernels
here compute the same functions in plain torch, more slowly.
"""

from __future__ import annotations

import hashlib
import importlib.abc
import importlib.machinery
import os
import sys
import types
from typing import Any

import torch
import torch.distributed
import torchvision.io

# No compiler is needed for clips this small; read when the first function is compiled.
os.environ["TORCHDYNAMO_DISABLE"] = "1"

# The last is for preparing training data, and does not go with every pandas.
ABSENT = ("flash_attn", "liger_kernel", "colossalai", "tensornvme", "pandarallel")


class _Absent:
    """A name of an absent library: may be subclassed and annotated with, not used."""

    def __init__(self, *_: Any, **__: Any) -> None:
        raise NotImplementedError("this needs a GPU")


class _AbsentModule(types.ModuleType):
    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (_Absent,), {})


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def find_spec(self, name: str, path: Any, target: Any = None) -> importlib.machinery.ModuleSpec | None:
        return (
            importlib.machinery.ModuleSpec(name, self, is_package=True)
            if name.partition(".")[0] in ABSENT
            else None
        )

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> types.ModuleType:
        return _AbsentModule(spec.name)

    def exec_module(self, module: types.ModuleType) -> None:
        pass


# First: where one is installed, it would still want CUDA.
sys.meta_path.insert(0, _Finder())


def _attention(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    """[batch, length, heads, width], as flash_attn_func."""
    q, k, v = (part.transpose(1, 2) for part in (q, k, v))
    return torch.nn.functional.scaled_dot_product_attention(q, k, v).transpose(1, 2)


class _Rope:
    @staticmethod
    def apply(
        q: torch.Tensor, k: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        def rotate(x: torch.Tensor) -> torch.Tensor:
            first, second = x.chunk(2, dim=-1)
            turned = torch.cat((-second, first), dim=-1)
            return (x * cos.unsqueeze(1) + turned * sin.unsqueeze(1)).to(x.dtype)

        return rotate(q), rotate(k)


class _RmsNorm:
    @staticmethod
    def apply(x: torch.Tensor, scale: torch.Tensor, epsilon: float, *_: Any) -> torch.Tensor:
        normal = x.float() * torch.rsqrt(x.float().pow(2).mean(-1, keepdim=True) + epsilon)
        return normal.to(x.dtype) * scale


class _Coordinator:
    @property
    def world_size(self) -> int:
        return torch.distributed.get_world_size()


def _module(name: str, **content: Any) -> None:
    module = importlib.import_module(name)
    for key, value in content.items():
        setattr(module, key, value)


_module("flash_attn", flash_attn_func=_attention)
_module("liger_kernel.ops.rope", LigerRopeFunction=_Rope)
_module("liger_kernel.ops.rms_norm", LigerRMSNormFunction=_RmsNorm)
_module("colossalai.utils", get_current_device=lambda: torch.device("cpu"))
# Real ranks over gloo, by the environment the runner gives them.
_module("colossalai", launch_from_torch=lambda _config: torch.distributed.init_process_group("gloo"))
_module("colossalai.cluster", DistCoordinator=_Coordinator)


def _removed(*_: Any, **__: Any) -> None:
    raise NotImplementedError("torchvision 0.28 has no video reading and writing")


for removed in ("write_video", "read_video"):
    if not hasattr(torchvision.io, removed):
        setattr(torchvision.io, removed, _removed)
if not hasattr(torchvision, "get_video_backend"):
    torchvision.get_video_backend = lambda: "pyav"
try:
    importlib.import_module("torchvision.io.video")
except ImportError:
    video = types.ModuleType("torchvision.io.video")
    video._check_av_available = lambda: None  # type: ignore[attr-defined]
    sys.modules["torchvision.io.video"] = video

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
    return _scramble(Flux(from_pretrained=None, device_map=device_map, torch_dtype=torch_dtype, **kwargs), 11)


@MODELS.register_module("tiny_hunyuan_vae")
def tiny_hunyuan_vae(device_map: Any, torch_dtype: torch.dtype, **kwargs: Any) -> torch.nn.Module:
    torch.manual_seed(2)
    return AutoencoderKLCausal3D(AutoEncoder3DConfig(from_pretrained=None, **kwargs)).to(
        device_map, torch_dtype
    )


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
