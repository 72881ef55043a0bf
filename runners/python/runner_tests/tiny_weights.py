"""For tests: safetensors files of a few numbers, by the standard library."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Mapping, Sequence

Numbers = tuple[Sequence[int], Sequence[float]]


def write_weights(path: Path, tensors: Mapping[str, Numbers], dtype: str = "F64") -> str:
    """Writes each tensor, given as shape and numbers, as F64 or F32. Returns the path."""
    header, data = {}, b""
    for name, (shape, numbers) in tensors.items():
        packed = struct.pack(f"<{len(numbers)}{'d' if dtype == 'F64' else 'f'}", *numbers)
        header[name] = {
            "dtype": dtype,
            "shape": list(shape),
            "data_offsets": [len(data), len(data) + len(packed)],
        }
        data += packed
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)
    return str(path)


def write_gain(path: Path, level: float, length: int = 240) -> str:
    """A whole model of the plain pipeline: what its target is multiplied with."""
    return write_weights(
        path, {"gain.weight": ((length, 1), [level + index / 1000 for index in range(length)])}
    )


def write_gain_lora(path: Path, level: float, length: int = 240, alpha: float | None = None) -> str:
    """A LoRA of rank 2 for the plain pipeline."""
    halves: dict[str, Numbers] = {
        "base_model.model.gain.lora_A.weight": ((2, 1), [1.0, 0.5]),
        "base_model.model.gain.lora_B.weight": (
            (length, 2),
            [level + index / 500 for index in range(2 * length)],
        ),
    }
    return write_weights(path, {**halves, **({} if alpha is None else {"gain.alpha": ((), [alpha])})})
