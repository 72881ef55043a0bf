"""The video model's blocks compiled by torch, one by one.

All blocks of a kind share one program: their weights are its arguments. Clips of every length share it too,
since the length of the sequence is one of its variables; a batch of one row has a program of its own. So what
is compiled while the model loads is all there is, and no video waits for a compiler.
"""

from __future__ import annotations

import importlib
import os
import time
from dataclasses import dataclass
from typing import Any, Callable, Sequence

import torch

from sluice_runner.failure import classify
from sluice_runner.with_torch.device import synchronize

from ..compile_choice import Comparison
from ..sold_sizes import SoldSize
from .attention import Attend, put_in_place
from .fp8_attention import attend_in_fp8
from .fp8_linear import Fp8Linear

# Rows of a batch: guidance branches of a step. Two and three are one program.
_BATCHES = (1, 2)
# The largest difference of a compiled block's result, by its spread: in bf16, where the sums are rounded
# elsewhere, and in 32-bit floats.
_TOLERANCES = {torch.bfloat16: 0.1, torch.float16: 0.02, torch.float32: 1e-3}
# Of sums in fp8, the whole difference by the whole result: what is rounded elsewhere may become another
# number of 3 bits.
_FP8_TOLERANCE = 0.1
# Programs that one function may have before torch gives up compiling it: two kinds of batch, and room.
_PROGRAMS_MAX = 16


class CompileFailure(Exception):
    """Why the blocks run as they are."""


@dataclass(frozen=True, eq=False)
class _Kind:
    """Blocks that share a program. `inputs`: what a block of the kind is called with."""

    name: str
    blocks: Sequence[Any]
    inputs: Callable[[SoldSize, int], tuple[Any, ...]]


class CompiledBlocks:
    def __init__(self, module: Any, attend: Attend, device: torch.device, dtype: torch.dtype) -> None:
        self._module = module
        self._attend = attend
        self._device = device
        self._dtype = dtype
        self._in_fp8 = any(isinstance(part, Fp8Linear) for part in module.modules())
        self._kinds = [
            _Kind("double", list(module.double_blocks), self._double_inputs),
            _Kind("single", list(module.single_blocks), self._single_inputs),
        ]
        self._plain = {id(block): block.forward for kind in self._kinds for block in kind.blocks}

    def put_in_place(self, sizes: Sequence[SoldSize]) -> list[Comparison]:
        """Compiles and checks, at each of `sizes`; the blocks are the compiled ones from now on.

        Raises CompileFailure, and leaves them as they were."""
        if os.environ.get("TORCHDYNAMO_DISABLE") == "1":
            raise CompileFailure("TORCHDYNAMO_DISABLE is 1")
        with torch.inference_mode():
            cases = [(kind, size, batch) for kind in self._kinds for size in sizes for batch in _BATCHES]
            plain = {case: self._run(*case) for case in cases}
            try:
                self._compile()
                return [self._compare(case, plain[case]) for case in cases if plain[case] is not None]
            except CompileFailure:
                self.take_back()
                raise
            except Exception as error:
                self.take_back()
                said = str(error).strip().split("\n")[0] or type(error).__name__
                raise CompileFailure(f"it does not compile: {said[:200]}") from error

    def take_back(self) -> None:
        """The blocks run as they are again."""
        for kind in self._kinds:
            for block in kind.blocks:
                block.forward = self._plain[id(block)]
        _plain_kernels.restore()
        put_in_place(self._attend)

    def _compile(self) -> None:
        config = importlib.import_module("torch._dynamo.config")
        for name in ("recompile_limit", "cache_size_limit"):
            if hasattr(config, name):
                setattr(config, name, max(getattr(config, name), _PROGRAMS_MAX))
        if torch.__version__ < "2.5":
            # Without it each block would be compiled for itself; later it is the default.
            config.inline_inbuilt_nn_modules = True
        _plain_kernels.replace()
        _CHOSEN[:] = [self._attend]
        # What it scales into fp8 is compiled with what is around it.
        put_in_place(attend_in_fp8 if self._attend is attend_in_fp8 else _attention_op)
        for kind in self._kinds:
            for block in kind.blocks:
                block.forward = torch.compile(self._plain[id(block)])

    def _compare(
        self, case: tuple[_Kind, SoldSize, int], plain: tuple[torch.Tensor, float] | None
    ) -> Comparison:
        kind, size, batch = case
        assert plain is not None
        ours = self._run(kind, size, batch)
        if ours is None:
            raise CompileFailure(f"a compiled {kind.name} block needs more memory than there is")
        right, plain_s = plain
        difference, right = ours[0].float() - right.float(), right.float()
        if self._in_fp8:
            apart, tolerance = float(difference.norm() / right.norm()), _FP8_TOLERANCE
        else:
            apart, tolerance = float(difference.abs().max() / right.std()), _TOLERANCES[self._dtype]
        # A NaN is not within the tolerance either.
        if not apart <= tolerance:
            raise CompileFailure(f"a compiled {kind.name} block's result is {apart:.3g} of its spread away")
        return Comparison(kind.name, len(kind.blocks), size.positions, batch, plain_s, ours[1])

    def _run(self, kind: _Kind, size: SoldSize, batch: int) -> tuple[torch.Tensor, float] | None:
        """The result, on the host, and the seconds, of the kind's first block; its last one has run as well.
        None when there is not memory enough."""
        try:
            inputs = kind.inputs(size, batch)
            for block in (kind.blocks[0], kind.blocks[-1]):
                block.forward(*inputs)
            synchronize(self._device)
            started_at = time.monotonic()
            result = kind.blocks[0].forward(*inputs)
            synchronize(self._device)
            seconds = time.monotonic() - started_at
        except RuntimeError as error:
            if classify(error).code != "out_of_memory":
                raise
            return None
        parts = result if isinstance(result, tuple) else (result,)
        # A sample does: the whole of the longest clip is half a gigabyte.
        return torch.cat([part[:, :: max(1, part.shape[1] // 512)].cpu() for part in parts], 1), seconds

    def _double_inputs(self, size: SoldSize, batch: int) -> tuple[Any, ...]:
        image, text, vec, places = self._drawn(size, batch)
        return (_long(image), _long(text), vec, places)

    def _single_inputs(self, size: SoldSize, batch: int) -> tuple[Any, ...]:
        image, text, vec, places = self._drawn(size, batch)
        return (_long(torch.cat((text, image), 1)), vec, places)

    def _drawn(self, size: SoldSize, batch: int) -> tuple[Any, ...]:
        """Numbers like a network's own, always the same ones."""
        generator = torch.Generator(self._device).manual_seed(size.positions)
        width, text = self._module.hidden_size, size.positions - size.tokens

        def draw(*shape: int) -> torch.Tensor:
            return torch.randn(shape, generator=generator, device=self._device, dtype=self._dtype)

        ids = torch.zeros(batch, size.positions, 3, device=self._device, dtype=self._dtype)
        ids[:, text:] = torch.arange(size.tokens, device=self._device)[:, None] % 32
        places = self._module.pe_embedder(ids)
        places = tuple(_long(part) for part in places) if isinstance(places, tuple) else places
        return draw(batch, size.tokens, width), draw(batch, text, width), _rows(draw(batch, width)), places


def _rows(tensor: torch.Tensor) -> torch.Tensor:
    if tensor.shape[0] > 1:
        torch._dynamo.mark_dynamic(tensor, 0)
    return tensor


def _long(tensor: torch.Tensor) -> torch.Tensor:
    torch._dynamo.mark_dynamic(tensor, 1)
    return _rows(tensor)


# What `_attention_op` calls: a compiler must not look into it.
_CHOSEN: list[Attend] = []


@torch.library.custom_op("sluice_open_sora::attention", mutates_args=())
def _attention_op(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    # The compiler counts on the layout that `_` below has.
    return _CHOSEN[0](q, k, v).contiguous()


@_attention_op.register_fake
def _(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    return torch.empty(q.shape, dtype=q.dtype, device=q.device)


class _Rope:
    """liger_kernel's, in plain torch, which the compiler fuses with what is around it."""

    @staticmethod
    def apply(
        q: torch.Tensor, k: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        def turned(part: torch.Tensor) -> torch.Tensor:
            first, second = part.chunk(2, dim=-1)
            other = torch.cat((-second, first), dim=-1)
            return (part * cos.unsqueeze(1) + other * sin.unsqueeze(1)).to(part.dtype)

        return turned(q), turned(k)


class _RmsNorm:
    """As `_Rope`."""

    @staticmethod
    def apply(x: torch.Tensor, scale: torch.Tensor, epsilon: float, *_: Any) -> torch.Tensor:
        wide = x.float()
        return (wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + epsilon)).to(x.dtype) * scale


class _PlainKernels:
    """Open-Sora's own kernels, and the plain ones in their place."""

    def __init__(self) -> None:
        self._own: list[tuple[Any, str, Any]] = []

    def replace(self) -> None:
        if self._own:
            return
        from opensora.models.mmdit import layers, math

        for module, name, plain in (
            (math, "LigerRopeFunction", _Rope),
            (layers, "LigerRMSNormFunction", _RmsNorm),
        ):
            self._own.append((module, name, getattr(module, name)))
            setattr(module, name, plain)

    def restore(self) -> None:
        for module, name, own in self._own:
            setattr(module, name, own)
        self._own.clear()


_plain_kernels = _PlainKernels()
