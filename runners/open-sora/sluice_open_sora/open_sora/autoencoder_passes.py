"""Two passes over the autoencoder's memory, made by other kernels than Open-Sora's.

On an H100 they took half of a decode, and its convolutions a third: a group norm reads 32 long rows with 32
of 132 processors, and the padding before each convolution computes every place by itself
(docs/gpu-performance.md).
"""

from __future__ import annotations

import os
import time
from typing import Any, Callable, Sequence

import torch

from sluice_runner.with_torch.device import synchronize

from .compiled_blocks import CompileFailure

# The largest difference of a compiled norm's result, by its spread, as of a compiled block.
_TOLERANCES = {torch.bfloat16: 0.1, torch.float16: 0.02, torch.float32: 1e-3}
# Channels of a group, frames and pixels: the stages of a decoded tile, the largest first, and the attention
# in the middle, where all is one long row. What is compiled for them is all there is, so no video waits for
# a compiler.
_TRIED = {
    "cuda": (
        (4, 17, 65_536),
        (8, 17, 65_536),
        (16, 9, 16_384),
        (16, 5, 4_096),
        (16, 5, 1_024),
        (16, 1, 5_120),
    ),
    "cpu": ((2, 9, 96), (1, 3, 48), (1, 1, 48)),
}


def pad_by_copies(x: torch.Tensor, padding: Sequence[int]) -> torch.Tensor:
    """As torch.nn.functional.pad with mode "replicate" of [batch, channels, frames, height, width], the same
    bits: the whole is copied once, and then the edges. `padding`: before and after, of width, height and
    frames. Without any it is the same tensor."""
    if not any(padding):
        return x
    left, right, top, bottom, before, after = padding
    batch, channels, frames, height, width = x.shape
    size = (frames + before + after, height + top + bottom, width + left + right)
    out = torch.empty(
        (batch, channels, *size), dtype=x.dtype, device=x.device, memory_format=_format_of_padded(x)
    )
    out[:, :, before : before + frames, top : top + height, left : left + width] = x
    # The corners too: each dimension's edges are of what the one before made.
    _spread(out[:, :, before : before + frames, top : top + height], 4, left, right)
    _spread(out[:, :, before : before + frames], 3, top, bottom)
    _spread(out, 2, before, after)
    return out


def _format_of_padded(x: torch.Tensor) -> torch.memory_format:
    """As torch pads: on a CPU alone channels that come last stay there. The next sums are made in that
    order."""
    is_last = x.is_contiguous(memory_format=torch.channels_last_3d) and not x.is_contiguous()
    return torch.channels_last_3d if is_last and x.device.type == "cpu" else torch.contiguous_format


def _spread(out: torch.Tensor, dim: int, before: int, after: int) -> None:
    """Writes the first and the last of what is between over what is around it."""
    length = out.shape[dim]
    if before:
        out.narrow(dim, 0, before).copy_(out.narrow(dim, before, 1))
    if after:
        out.narrow(dim, length - after, after).copy_(out.narrow(dim, length - after - 1, 1))


def replace_padding() -> None:
    """Open-Sora's convolutions use pad_by_copies from now on."""
    from opensora.models.hunyuan_vae.unet_causal_3d_blocks import CausalConv3d

    def forward(self: Any, x: torch.Tensor) -> torch.Tensor:
        padded = (
            pad_by_copies(x, self.time_causal_padding)
            if self.pad_mode == "replicate"
            else torch.nn.functional.pad(x, self.time_causal_padding, mode=self.pad_mode)
        )
        return self.conv(padded)  # type: ignore[no-any-return]

    CausalConv3d.forward = forward


class CompiledNorms:
    """The autoencoder's group norms, compiled."""

    def __init__(self, autoencoder: Any, device: torch.device, dtype: torch.dtype) -> None:
        self._norms = [part for part in autoencoder.modules() if isinstance(part, torch.nn.GroupNorm)]
        self._device = device
        self._dtype = dtype

    def put_in_place(self) -> tuple[float, float]:
        """Compiles, checks and times one. Returns its seconds as it is, and compiled.

        Raises CompileFailure, and leaves all as they were."""
        if os.environ.get("TORCHDYNAMO_DISABLE") == "1":
            raise CompileFailure("TORCHDYNAMO_DISABLE is 1")
        try:
            with torch.inference_mode():
                return self._compile()
        except CompileFailure:
            self.take_back()
            raise
        except Exception as error:
            self.take_back()
            said = str(error).strip().split("\n")[0] or type(error).__name__
            raise CompileFailure(f"its norms do not compile: {said[:200]}") from error

    def take_back(self) -> None:
        for norm in self._norms:
            vars(norm).pop("forward", None)

    def _compile(self) -> tuple[float, float]:
        if not self._norms:
            raise CompileFailure("it has no group norms")
        program = torch.compile(normed, dynamic=True)
        seconds = []
        for shape in _TRIED["cuda" if self._device.type == "cuda" else "cpu"]:
            seconds.append(self._compare(program, shape))
        for norm in self._norms:
            norm.forward = _forward_of(norm, program)
        # The larger.
        return seconds[0]

    def _compare(self, program: Any, shape: tuple[int, int, int]) -> tuple[float, float]:
        groups, epsilon = self._norms[0].num_groups, self._norms[0].eps
        # As those of the network, which was not made under inference_mode.
        with torch.inference_mode(False):
            norm = torch.nn.GroupNorm(
                groups, groups * shape[0], epsilon, device=self._device, dtype=self._dtype
            )
            torch.nn.init.normal_(norm.weight)
            torch.nn.init.normal_(norm.bias)
        x = torch.randn((1, norm.num_channels, *shape[1:]), device=self._device, dtype=self._dtype)
        plain, plain_s = self._timed(lambda: norm(x))
        ours, ours_s = self._timed(lambda: group_norm(program, norm, x))
        apart = float((ours.float() - plain.float()).abs().max() / plain.float().std())
        # A NaN is not within the tolerance either.
        if not apart <= _TOLERANCES[self._dtype]:
            raise CompileFailure(f"a compiled norm's result is {apart:.3g} of its spread away")
        return plain_s, ours_s

    def _timed(self, call: Callable[[], torch.Tensor]) -> tuple[torch.Tensor, float]:
        call()
        synchronize(self._device)
        started_at = time.monotonic()
        result = call()
        synchronize(self._device)
        return result, time.monotonic() - started_at


def group_norm(program: Any, norm: Any, x: torch.Tensor) -> torch.Tensor:
    """As the norm makes it, of [batch, channels, positions] or [batch, channels, frames, ...]. `program`:
    normed, compiled."""
    batch, channels = x.shape[:2]
    frames = x.shape[2] if x.dim() > 3 else 1
    of_channels = (norm.num_groups, channels // norm.num_groups, 1, 1)
    rows = x.contiguous().view(batch, *of_channels[:2], frames, -1)
    # Without gradients, with which they would have a program of their own.
    weight, bias = (part.detach().view(of_channels) for part in (norm.weight, norm.bias))
    made: torch.Tensor = program(rows, weight, bias, norm.eps)
    return made.view(x.shape)


def normed(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, epsilon: float) -> torch.Tensor:
    """Of [batch, groups, channels, frames, pixels]: each group to a mean of 0 and a variance of 1, in 32-bit
    floats. A frame of a channel is summed by itself: a whole group in one row would keep most of a GPU
    idle."""
    rows = x.float()
    variances, means = torch.var_mean(rows, -1, correction=0, keepdim=True)
    mean = means.mean((2, 3), keepdim=True)
    # Of parts of one length: the mean of their variances, and the variance of their means.
    variance = (variances + (means - mean) ** 2).mean((2, 3), keepdim=True)
    return ((rows - mean) * torch.rsqrt(variance + epsilon) * weight.float() + bias.float()).to(x.dtype)


def _forward_of(norm: Any, program: Any) -> Callable[[torch.Tensor], torch.Tensor]:
    return lambda x: group_norm(program, norm, x)
