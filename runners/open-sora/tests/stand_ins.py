"""Scaffolding for tests and benchmarks, never used by the runner: stands in for libraries that Open-Sora's
real code imports and this machine lacks.

The kernels here compute the same functions in plain torch, more slowly. To be imported, and `install` called,
before anything of Open-Sora's.
"""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import sys
import types
from typing import Any

import torch
import torch.distributed
import torchvision.io




class _Absent:
    """A name of an absent library: may be subclassed and annotated with, not used."""

    def __init__(self, *_: Any, **__: Any) -> None:
        raise NotImplementedError("this machine lacks the library")


class _AbsentModule(types.ModuleType):
    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (_Absent,), {})


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def __init__(self, absent: tuple[str, ...]) -> None:
        self._absent = absent

    def find_spec(self, name: str, path: Any, target: Any = None) -> importlib.machinery.ModuleSpec | None:
        if name.partition(".")[0] not in self._absent:
            return None
        return importlib.machinery.ModuleSpec(name, self, is_package=True)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> types.ModuleType:
        return _AbsentModule(spec.name)

    def exec_module(self, module: types.ModuleType) -> None:
        pass


def install(absent: tuple[str, ...], device: torch.device) -> None:
    """Stands in for the libraries called `absent`, whether they are installed or not."""
    # First: where one is installed, it may still want CUDA.
    sys.meta_path.insert(0, _Finder(absent))
    if "flash_attn" in absent:
        # A runner that looks for kernels knows by it that this is none.
        put("flash_attn", flash_attn_func=_attention, STANDS_IN_FOR="not installed")
    if "liger_kernel" in absent:
        put("liger_kernel.ops.rope", LigerRopeFunction=_Rope)
        put("liger_kernel.ops.rms_norm", LigerRMSNormFunction=_RmsNorm)
    if "colossalai" in absent:
        put("colossalai.utils", get_current_device=lambda: device)
        # Real ranks over gloo, by the environment the runner gives them.
        put("colossalai", launch_from_torch=lambda _config: torch.distributed.init_process_group("gloo"))
        put("colossalai.cluster", DistCoordinator=_Coordinator)
    _put_back_torchvision_video()


def put(name: str, **content: Any) -> None:
    module = importlib.import_module(name)
    for key, value in content.items():
        setattr(module, key, value)


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


def _put_back_torchvision_video() -> None:
    """What torchvision 0.28 removed."""
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


def _removed(*_: Any, **__: Any) -> None:
    raise NotImplementedError("torchvision 0.28 has no video reading and writing")
