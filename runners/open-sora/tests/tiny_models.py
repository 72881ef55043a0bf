"""Test scaffolding: `python tests/tiny_models.py FOLDER [CONFIG]` writes own weights for the model of
tiny_config.py or CONFIG, as trainers leave them.

base.safetensors is that model's own random weights; tuned.safetensors others. `peft/` is a LoRA of rank 4 as
PEFT saves it, with its alpha beside it; diffusers.safetensors one of rank 2 on other layers, alpha within;
merged.safetensors is the base with `peft/` at strength 0.75 added by this file's own arithmetic.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

sys.path[:0] = [os.environ["OPENSORA_HOME"], os.path.dirname(os.path.abspath(__file__))]
os.chdir(os.environ["OPENSORA_HOME"])

import cpu_scaffolding  # noqa: E402
import torch  # noqa: E402
from mmengine.config import Config  # noqa: E402
from safetensors.torch import save_file  # noqa: E402

PEFT_ALPHA, PEFT_RANK, MERGED_STRENGTH = 8, 4, 0.75


def main(folder: Path, config: str) -> None:
    described = dict(Config.fromfile(config).model)
    described.pop("type")
    base = cpu_scaffolding.scrambled_flux(
        device_map="cpu", torch_dtype=torch.bfloat16, **described
    ).state_dict()
    generator = torch.Generator().manual_seed(7)

    def noise(shape: tuple[int, ...], spread: float) -> torch.Tensor:
        return torch.randn(shape, generator=generator) * spread

    save_file({name: tensor.clone() for name, tensor in base.items()}, folder / "base.safetensors")
    tuned = {
        name: (tensor.float() + noise(tuple(tensor.shape), 0.02)).to(torch.bfloat16)
        for name, tensor in base.items()
    }
    save_file(tuned, folder / "tuned.safetensors")

    attention = [
        name
        for name in base
        if name.endswith("img_attn.q_proj.weight") or name.endswith("img_attn.proj.weight")
    ]
    peft, merged = {}, {name: tensor.clone() for name, tensor in base.items()}
    for name in attention:
        outputs, inputs = base[name].shape
        down, up = noise((PEFT_RANK, inputs), 0.1), noise((outputs, PEFT_RANK), 0.1)
        layer = f"base_model.model.{name.removesuffix('.weight')}"
        peft |= {f"{layer}.lora_A.weight": down, f"{layer}.lora_B.weight": up}
        added = MERGED_STRENGTH * PEFT_ALPHA / PEFT_RANK * (up @ down)
        merged[name] = (base[name].float() + added).to(torch.bfloat16)
    (folder / "peft").mkdir()
    save_file(peft, folder / "peft/adapter_model.safetensors")
    (folder / "peft/adapter_config.json").write_text(
        json.dumps({"peft_type": "LORA", "r": PEFT_RANK, "lora_alpha": PEFT_ALPHA})
    )
    save_file(merged, folder / "merged.safetensors")

    diffusers = {}
    for name in (name for name in base if name.startswith("single_blocks.") and base[name].dim() == 2):
        outputs, inputs = base[name].shape
        layer = name.removesuffix(".weight")
        diffusers |= {
            f"{layer}.lora_down.weight": noise((2, inputs), 0.1),
            f"{layer}.lora_up.weight": noise((outputs, 2), 0.1),
        }
        diffusers[f"{layer}.alpha"] = torch.tensor(1.0)
    save_file(diffusers, folder / "diffusers.safetensors")


if __name__ == "__main__":
    main(
        Path(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else str(Path(__file__).parent / "tiny_config.py")
    )
