"""Open-Sora 2.0 at full size with random numbers made on the device, for a configuration of mmengine.

Nothing is downloaded, and none of Open-Sora's files is changed or copied. What a bare machine lacks is stood
in for (stand_ins.py). To be imported before anything of Open-Sora's. SIZE=tiny makes all of it small.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import sys
from pathlib import Path
from typing import Any, Callable

import torch

HERE = Path(__file__).resolve().parent
sys.path[:0] = [os.environ["OPENSORA_HOME"], str(HERE.parent.parent / "runners/open-sora/tests")]

import stand_ins  # noqa: E402

IS_TINY = os.environ.get("SIZE") == "tiny"
DEVICE = torch.device(os.environ.get("OPENSORA_DEVICE") or "cuda")
# Imported by Open-Sora and never called to make a clip on one device.
NEVER_CALLED = ("colossalai", "tensornvme", "pandarallel", "wandb")
REPLACEABLE = ("flash_attn", "liger_kernel", "av", "openai", "dill", "ftfy")
# Where they are installed they still want CUDA.
CUDA_ONLY = ("flash_attn", "liger_kernel")


def _is_lacking(name: str) -> bool:
    return importlib.util.find_spec(name) is None or (DEVICE.type == "cpu" and name in CUDA_ONLY)


LACKING = (*NEVER_CALLED, *(name for name in REPLACEABLE if _is_lacking(name)))
if DEVICE.type == "cpu":
    os.environ["TORCHDYNAMO_DISABLE"] = "1"
stand_ins.install(LACKING, DEVICE)
if "flash_attn" in LACKING:
    # For the runner's choice of a kernel it is not there.
    stand_ins.put("flash_attn", STANDS_IN_FOR="not installed")

from opensora.models.hunyuan_vae.autoencoder_kl_causal_3d import (  # noqa: E402
    AutoEncoder3DConfig,
    AutoencoderKLCausal3D,
)
from opensora.models.mmdit.model import MMDiTConfig, MMDiTModel  # noqa: E402
from opensora.registry import MODELS  # noqa: E402


def _built(make: Callable[[], torch.nn.Module], where: dict[str, Any], seed: int) -> torch.nn.Module:
    """In its dtype from the start: Open-Sora's own builder would make 47.6 GB of 32-bit floats first.

    With offload the numbers are drawn on the device too: on the host it would take over a minute."""
    device, dtype = torch.device(where["device_map"]), where["torch_dtype"]
    torch.manual_seed(seed)
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        with torch.device(DEVICE):
            module = make()
    finally:
        torch.set_default_dtype(before)
    with torch.no_grad():
        for parameter in module.parameters():
            # What Open-Sora starts with zeroes would leave out its part of the network.
            if parameter.dim() > 1 and float(parameter.flatten()[0]) == 0:
                parameter.normal_(std=parameter.shape[1:].numel() ** -0.5)
    return module.to(device, dtype).eval().requires_grad_(False)


@MODELS.register_module("random_flux")
def random_flux(device_map: Any, torch_dtype: torch.dtype, **described: Any) -> torch.nn.Module:
    config = MMDiTConfig(cache_dir=None, **described)
    return _built(lambda: MMDiTModel(config), {"device_map": device_map, "torch_dtype": torch_dtype}, 1)


@MODELS.register_module("random_vae")
def random_vae(device_map: Any, torch_dtype: torch.dtype, **described: Any) -> torch.nn.Module:
    config = AutoEncoder3DConfig(**described)
    where = {"device_map": device_map, "torch_dtype": torch_dtype}
    return _built(lambda: AutoencoderKLCausal3D(config), where, 2)


@MODELS.register_module("random_text")
class RandomText(torch.nn.Module):
    """The encoder of T5-XXL or CLIP-L at its published size. Its tokens are drawn from a hash of the text,
    since tokenizers are downloads."""

    def __init__(self, kind: str, max_length: int, **where: Any) -> None:
        super().__init__()
        import transformers

        self.kind = kind
        self.max_length = max_length
        if kind == "t5":
            widths = dict(d_model=48, d_kv=16, d_ff=96, num_layers=2, num_heads=3)
            if not IS_TINY:
                widths = dict(d_model=4096, d_kv=64, d_ff=10240, num_layers=24, num_heads=64)
            t5 = transformers.T5Config(vocab_size=32128, feed_forward_proj="gated-gelu", **widths)
            self.encoder = _built(lambda: transformers.T5EncoderModel(t5), where, 3)
        else:
            widths = dict(hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=2)
            if not IS_TINY:
                widths = dict(
                    hidden_size=768, intermediate_size=3072, num_hidden_layers=12, num_attention_heads=12
                )
            clip = transformers.CLIPTextConfig(vocab_size=49408, **widths)
            self.encoder = _built(lambda: transformers.CLIPTextModel(clip), where, 3)

    def forward(self, text: list[str], added_tokens: int = 0, seq_align: int = 1) -> torch.Tensor:
        rows = []
        for line in text:
            seed = int.from_bytes(hashlib.sha256(line.encode()).digest()[:7], "little")
            generator = torch.Generator().manual_seed(seed)
            rows.append(torch.randint(3, 32000, (self.max_length,), generator=generator))
        device = next(self.parameters()).device
        encoded = self.encoder(input_ids=torch.stack(rows).to(device))
        return encoded.last_hidden_state if self.kind == "t5" else encoded.pooler_output
