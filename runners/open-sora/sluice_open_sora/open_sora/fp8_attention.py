"""Attention whose sums are made in fp8 (e4m3), by cuDNN: for models with the precision `fp8-sums` alone.

Queries, keys and values are shifted and scaled into fp8 first. A shift that all keys share leaves the softmax
as it is, and one that all values share is added to the result again, so both are exact; what is left to round
is smaller (SageAttention, arxiv.org/abs/2410.02367, does so with the keys). Shift and factor are taken from
every 16th position, since reading all of them once more costs as much as fp8 gains on a short clip. The shift
need not be the mean of all, and fp8, a floating point number, has room above what was seen.
"""

from __future__ import annotations

import functools
import importlib
from typing import Any, Sequence

import torch

from .fp8_linear import FP8, LARGEST

PACKAGE = "nvidia-cudnn-frontend"
# The version that this was tried with.
PACKAGE_VERSION = "1.18.0"
# What the largest number seen becomes: one of four times its size still fits into the 448 of fp8, and what is
# larger is cut to that.
_SEEN = LARGEST / 4
# Of the weights of a softmax, from 0 to 1.
_WEIGHTS_FACTOR = 256.0
_EVERY = 16
_LEAST = 1e-6


def attend_in_fp8(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    """[batch, length, heads, width] of each. Plain torch around one operation that a compiler leaves alone,
    so that it fuses the scaling with what is before and after."""
    shift = _mean(v)
    queries, of_q = _scaled(q, None)
    keys, of_k = _scaled(k, _mean(k))
    values, of_v = _scaled(v, shift)
    # A mean of values is no larger than they are: the values' own factor fits the result.
    sums = fp8_sums(queries, keys, values, [of_q, of_k, of_v])
    return torch.addcmul(shift, sums.to(v.dtype), of_v.reciprocal().to(v.dtype))


def find_cudnn() -> None:
    """Raises what importing it raises."""
    importlib.import_module("cudnn")


def _mean(part: torch.Tensor) -> torch.Tensor:
    """[batch, 1, heads, width]"""
    return part[:, ::_EVERY].mean(1, keepdim=True)


def _scaled(part: torch.Tensor, shift: torch.Tensor | None) -> tuple[torch.Tensor, torch.Tensor]:
    """In fp8 without `shift`, and the factor that it was multiplied by, a number in 32 bits."""
    # Of a floating point number the factor decides what is out of its range, not how exact it is.
    largest = torch.linalg.vector_norm(part[:, ::_EVERY], float("inf"))
    # As it is multiplied by, so that nothing is lost between the two.
    factor = (_SEEN / largest.float().clamp(min=_LEAST)).to(part.dtype)
    scaled = part * factor if shift is None else torch.addcmul(-shift * factor, part, factor)
    # Out of its range a number of fp8 would be a NaN.
    return scaled.clamp(-LARGEST, LARGEST).to(FP8), factor.float()


@torch.library.custom_op("sluice_open_sora::fp8_sums", mutates_args=())
def fp8_sums(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, factors: list[torch.Tensor]
) -> torch.Tensor:
    """softmax(q k^T / sqrt(width)) v of parts in fp8, and the factors in them. The result is in fp8, with the
    factor of `v`."""
    parts = [part if part.stride(3) == 1 else part.contiguous() for part in (q, k, v)]
    return _graph_of(*parts).run(*parts, *factors)


@fp8_sums.register_fake
def _(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, factors: list[torch.Tensor]) -> torch.Tensor:
    return torch.empty(q.shape, dtype=FP8, device=q.device)


class _Graph:
    """cuDNN's plan for one shape. https://docs.nvidia.com/deeplearning/cudnn/frontend, sdpa_fp8."""

    def __init__(self, parts: Sequence[torch.Tensor]) -> None:
        cudnn = importlib.import_module("cudnn")
        batch, length, heads, width = parts[0].shape
        device = self._device = parts[0].device
        self._handle = _handle_of(device)
        self._set_stream = cudnn.set_stream
        dims, strides = (batch, heads, length, width), (length * heads * width, width, heads * width, 1)
        turned = [part.transpose(1, 2).stride() for part in parts]
        fp8, wide = cudnn.data_type.FP8_E4M3, cudnn.data_type.FLOAT
        graph = cudnn.pygraph(
            io_data_type=fp8, intermediate_data_type=wide, compute_data_type=wide, handle=self._handle
        )

        def number() -> Any:
            return graph.tensor(dim=(1, 1, 1, 1), stride=(1, 1, 1, 1), data_type=wide)

        self._parts = [graph.tensor(dim=dims, stride=each, data_type=fp8) for each in turned]
        factors = ("descale_q", "descale_k", "descale_v", "descale_s", "scale_s", "scale_o")
        self._factors = {name: number() for name in factors}
        result, _, *largest = graph.sdpa_fp8(
            **dict(zip("qkv", self._parts)), **self._factors, is_inference=True, attn_scale=width**-0.5
        )
        result.set_output(True).set_dim(dims).set_stride(strides).set_data_type(fp8)
        for one in largest:
            one.set_output(True).set_dim((1, 1, 1, 1)).set_stride((1, 1, 1, 1)).set_data_type(wide)
        self._result, self._largest = result, largest
        graph.validate()
        graph.build_operation_graph()
        graph.create_execution_plans([cudnn.heur_mode.A])
        graph.check_support()
        graph.build_plans()
        self._graph = graph
        self._workspace = torch.empty(max(1, graph.get_workspace_size()), dtype=torch.uint8, device=device)
        self._unread = [torch.zeros((1, 1, 1, 1), device=device) for _ in largest]
        self._weights_factor = torch.full((1, 1, 1, 1), _WEIGHTS_FACTOR, device=device)

    def run(
        self, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, *factors: torch.Tensor
    ) -> torch.Tensor:
        of_q, of_k, of_v = (factor.reshape(1, 1, 1, 1) for factor in factors)
        given = {
            "descale_q": of_q.reciprocal(),
            "descale_k": of_k.reciprocal(),
            "descale_v": of_v.reciprocal(),
            "descale_s": self._weights_factor.reciprocal(),
            "scale_s": self._weights_factor,
            "scale_o": of_v,
        }
        result = torch.empty(q.shape, dtype=FP8, device=self._device)
        tensors = dict(zip(self._parts, (part.transpose(1, 2) for part in (q, k, v))))
        tensors |= {self._factors[name]: number for name, number in given.items()}
        tensors |= {self._result: result.transpose(1, 2), **dict(zip(self._largest, self._unread))}
        self._set_stream(handle=self._handle, stream=torch.cuda.current_stream(self._device).cuda_stream)
        self._graph.execute(tensors, self._workspace, handle=self._handle)
        return result


# As many shapes as a service sells, by their batches: of what was made last, since own sizes may be many.
_GRAPHS_MAX = 64
_graphs: dict[tuple[Any, ...], _Graph] = {}


@functools.cache
def _handle_of(device: torch.device) -> Any:
    return importlib.import_module("cudnn").create_handle()


def _graph_of(*parts: torch.Tensor) -> _Graph:
    key = (parts[0].device, parts[0].shape, *(part.stride() for part in parts))
    if key not in _graphs and len(_graphs) >= _GRAPHS_MAX:
        del _graphs[next(iter(_graphs))]
    if key not in _graphs:
        _graphs[key] = _Graph(parts)
    return _graphs[key]
