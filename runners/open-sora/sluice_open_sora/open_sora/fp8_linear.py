"""Linear layers whose weights are kept, and whose sums are made, in fp8 (e4m3): a factor for each row of the
weights, fixed, and one for each row of what comes in, made anew for each.

Not torchao's Float8DynamicActivationFloat8Weight: compiling Open-Sora's blocks with it did not end within two
minutes on an H100 (docs/gpu-performance.md). These are plain tensors, so all blocks share one program.
"""

from __future__ import annotations

from typing import Any

import torch

from sluice_runner.failure import RunnerFailure

FP8 = torch.float8_e4m3fn
LARGEST = 448.0
# A row of zeros has a factor too.
_LEAST = 1e-12
# Compute capability of the first devices that have it.
CAPABILITY_MIN = (8, 9)


class Fp8Linear(torch.nn.Module):
    """Takes and gives what `linear` did: [..., inputs] to [..., outputs]. `device`: where it is then."""

    def __init__(self, linear: torch.nn.Linear, device: torch.device) -> None:
        super().__init__()
        weight = linear.weight.detach().to(device)
        # [outputs, 1], in 32 bits.
        scale = weight.abs().amax(1, keepdim=True).float().clamp(min=_LEAST) / LARGEST
        self.weight = torch.nn.Parameter((weight.float() / scale).to(FP8), requires_grad=False)
        self.register_buffer("scale", scale.t().contiguous())
        bias = None if linear.bias is None else linear.bias.detach().to(device)
        self.bias = None if bias is None else torch.nn.Parameter(bias, requires_grad=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        rows = x.reshape(-1, x.shape[-1])
        # In the dtype of `x`: in 32 bits they would take four times the memory of what is kept of them.
        factor = (LARGEST / rows.abs().amax(1, keepdim=True).float().clamp(min=_LEAST)).to(x.dtype)
        sums = torch._scaled_mm(
            (rows * factor).to(FP8),
            self.weight.t(),
            scale_a=factor.float().reciprocal(),
            scale_b=self.scale,
            bias=self.bias,
            out_dtype=x.dtype,
            use_fast_accum=True,
        )
        return sums.reshape(*x.shape[:-1], -1)


def check_fp8_sums(device: torch.device) -> None:
    """Tries one layer. Raises RunnerFailure `model_missing` where the device or this torch does not have the
    sums, or has them wrong."""
    asked = 'precision is "fp8-sums"'
    if device.type == "cuda" and torch.cuda.get_device_capability(device) < CAPABILITY_MIN:
        had = ".".join(map(str, torch.cuda.get_device_capability(device)))
        needed = ".".join(map(str, CAPABILITY_MIN))
        said = f"{asked}; the device has compute capability {had}, needed is {needed} or later"
        raise RunnerFailure("model_missing", f"{said}; int8 and fp8 go on any")
    generator = torch.Generator(device).manual_seed(0)
    linear = torch.nn.Linear(256, 64, device=device, dtype=torch.bfloat16)
    inputs = torch.randn(33, 256, generator=generator, device=device, dtype=torch.bfloat16)
    with torch.inference_mode():
        right = linear(inputs).float()
        try:
            ours = Fp8Linear(linear, device)(inputs).float()
        except Exception as error:
            line = (str(error).strip().split("\n")[0] or type(error).__name__)[:120]
            raise RunnerFailure("model_missing", f"{asked}, which does not run here: {line}") from None
        apart = float((ours - right).norm() / right.norm())
    # Two factors of 3 bits each come to some 4 %. A NaN is not within it either.
    if not apart <= 0.1:
        raise RunnerFailure("model_missing", f"{asked}, which comes out {100 * apart:.0f} % wrong here")


def replace_linears(block: Any, device: torch.device) -> None:
    """Each linear layer below `block` but a LoRA's own, which are small: peft, which has them in
    dictionaries, gives its inputs their dtype."""
    for owner in list(block.modules()):
        if isinstance(owner, torch.nn.ModuleDict):
            continue
        for name, child in list(owner.named_children()):
            if isinstance(child, torch.nn.Linear):
                setattr(owner, name, Fp8Linear(child, device))
