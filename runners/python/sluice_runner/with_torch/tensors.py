"""torch tensors to and from a checkpoint's bytes."""

from __future__ import annotations

import torch

from ..checkpoint import Tensor

_NAMES = {
    torch.bfloat16: "BF16",
    torch.float16: "F16",
    torch.float32: "F32",
    torch.float64: "F64",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}
_DTYPES = {name: dtype for dtype, name in _NAMES.items()}


def pack_tensor(tensor: torch.Tensor) -> Tensor:
    """Bit for bit. Raises KeyError for a dtype that no latent has."""
    flat = tensor.detach().to("cpu").contiguous().reshape(-1)
    return Tensor(_NAMES[tensor.dtype], tuple(tensor.shape), flat.view(torch.uint8).numpy().tobytes())


def unpack_tensor(tensor: Tensor, device: torch.device) -> torch.Tensor:
    """Bit for bit."""
    # bytearray: torch wants memory it may write to.
    flat = torch.frombuffer(bytearray(tensor.data), dtype=torch.uint8).view(_DTYPES[tensor.dtype])
    return flat.reshape(tensor.shape).to(device)
