"""A LoRA's file: which layers it changes, and by how much. Names as PEFT and diffusers write them.

    base_model.model.LAYER.lora_A.weight   LAYER.lora_down.weight   LAYER.lora.down.weight     [rank, inputs]
    base_model.model.LAYER.lora_B.weight   LAYER.lora_up.weight     LAYER.lora.up.weight       [outputs, rank]
                                           LAYER.alpha                                         one number

The prefixes `transformer.` and `diffusion_model.` are taken as well as PEFT's or none. A layer's weight
becomes W + strength * scale * up @ down with scale = alpha / rank; without an alpha, scale = 1. PEFT writes
alpha into adapter_config.json, which is read beside a file that has PEFT's own name,
adapter_model.safetensors.
"""

from __future__ import annotations

import json
import math
import os
import re
from dataclasses import dataclass
from typing import Any

from sluice_runner.weight_file import WeightFile

_DOWN = r"lora_A(?:\.default)?\.weight|lora_down\.weight|lora\.down\.weight"
_UP = r"lora_B(?:\.default)?\.weight|lora_up\.weight|lora\.up\.weight"
_PREFIX = r"base_model\.model\.|transformer\.|diffusion_model\."
_NAME = re.compile(rf"(?:{_PREFIX})?(?P<layer>.+?)\.(?:(?P<down>{_DOWN})|(?P<up>{_UP})|(?P<alpha>alpha))")
_PEFT_FILE, _PEFT_SETTINGS = "adapter_model.safetensors", "adapter_config.json"
# With these settings of PEFT a file means something else than the sum above.
_PEFT_OTHER_KINDS = ("use_dora", "fan_in_fan_out", "alpha_pattern")


@dataclass(frozen=True)
class LoraLayer:
    """`down` and `up` are names in the file; the layer's own weight is [outputs, inputs]."""

    down: str
    up: str
    outputs: int
    inputs: int
    scale: float


class LoraFile(WeightFile):
    """`layers`: by the name of the weight each changes, such as double_blocks.0.img_attn.q_proj.weight."""

    def __init__(self, path: str) -> None:
        """Raises OSError, or ValueError that names what is no LoRA of a known form."""
        super().__init__(path)
        found: dict[str, dict[str, str]] = {}
        for name in self.entries:
            match = _NAME.fullmatch(name)
            if match is None:
                raise ValueError(
                    f"{name} is no name of a LoRA; "
                    "allowed are lora_A, lora_B, lora_down, lora_up and alpha of a layer"
                )
            (kind,) = (kind for kind in ("down", "up", "alpha") if match[kind] is not None)
            parts = found.setdefault(match["layer"], {})
            if kind in parts:
                raise ValueError(f"{name} and {parts[kind]} both change {match['layer']}")
            parts[kind] = name
        if not found:
            raise ValueError(f"{os.path.basename(path)} holds no tensor")
        settings = _peft_settings(path)
        self.layers = {
            f"{layer}.weight": self._layer(layer, parts, settings) for layer, parts in found.items()
        }

    @property
    def scales(self) -> list[tuple[str, float]]:
        return sorted((name, layer.scale) for name, layer in self.layers.items())

    def _layer(self, layer: str, parts: dict[str, str], settings: dict[str, Any]) -> LoraLayer:
        if "down" not in parts or "up" not in parts:
            both = "a layer needs both halves, lora_A and lora_B or lora_down and lora_up"
            raise ValueError(f"{layer} has only {', '.join(parts.values())}; {both}")
        down, up = self.entries[parts["down"]].shape, self.entries[parts["up"]].shape
        if len(down) != 2 or len(up) != 2 or down[0] != up[1] or down[0] == 0:
            raise ValueError(
                f"{layer}: {list(down)} and {list(up)} do not fit each other; "
                "allowed are [rank, inputs] and [outputs, rank]"
            )
        rank = down[0]
        alpha = self.scalar(parts["alpha"]) if "alpha" in parts else float(settings.get("lora_alpha", rank))
        divisor = math.sqrt(rank) if "alpha" not in parts and settings.get("use_rslora") else rank
        if not math.isfinite(alpha):
            raise ValueError(f"{layer}: alpha is {alpha}; allowed is a finite number")
        return LoraLayer(parts["down"], parts["up"], up[0], down[1], alpha / divisor)


def _peft_settings(path: str) -> dict[str, Any]:
    """Reads adapter_config.json beside PEFT's file; {} for other files. Raises OSError, ValueError."""
    beside = os.path.join(os.path.dirname(path), _PEFT_SETTINGS)
    if os.path.basename(path) != _PEFT_FILE or not os.path.isfile(beside):
        return {}
    with open(beside, encoding="utf-8") as file:
        settings = json.load(file)
    if not isinstance(settings, dict) or type(settings.get("lora_alpha", 1)) not in (int, float):
        raise ValueError(f"{_PEFT_SETTINGS} is no object with a number lora_alpha")
    for name in _PEFT_OTHER_KINDS:
        if settings.get(name):
            raise ValueError(
                f"{_PEFT_SETTINGS}: {name} is {json.dumps(settings[name])[:80]}, which is not supported"
            )
    return settings
