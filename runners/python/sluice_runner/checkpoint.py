"""Checkpoints: latents between two steps, in the safetensors format.

The format (https://github.com/huggingface/safetensors#format) needs no library: 8 bytes of little-endian
header length; the header, `{"__metadata__": {text: text}, name: {"dtype", "shape", "data_offsets"}}`; the
data.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import struct
from dataclasses import dataclass
from typing import Any, Mapping

from .failure import RunnerFailure

# Counted up when the same generation is computed otherwise: another clip would come of an older checkpoint.
FORMAT = "sluice-open-sora-checkpoint-2"
FILE_NAME = "checkpoint.safetensors"
BYTES_PER_ITEM = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "U8": 1, "BOOL": 1}
# What the safetensors library itself allows for a header.
HEADER_BYTES_MAX = 100_000_000


@dataclass(frozen=True)
class Tensor:
    """Little-endian bytes of one array. `dtype` is safetensors' name for it, such as BF16."""

    dtype: str
    shape: tuple[int, ...]
    data: bytes


@dataclass(frozen=True)
class Checkpoint:
    """`step` finished steps, and what is needed to go on from there."""

    step: int
    tensors: Mapping[str, Tensor]


def write_checkpoint(folder: str, parameters: str, checkpoint: Checkpoint) -> str:
    """Writes checkpoint.safetensors in `folder`, whole or not at all (atomic rename), and returns its path.

    `parameters`: parameter_hash()."""
    path = os.path.join(folder, FILE_NAME)
    header: dict[str, Any] = {}
    offset = 0
    for name, tensor in checkpoint.tensors.items():
        header[name] = {
            "dtype": tensor.dtype,
            "shape": list(tensor.shape),
            "data_offsets": [offset, offset + len(tensor.data)],
        }
        offset += len(tensor.data)
    metadata = {"format": FORMAT, "parameters": parameters, "step": str(checkpoint.step)}
    metadata["digest"] = _digest(metadata, header, (tensor.data for tensor in checkpoint.tensors.values()))
    text = json.dumps({"__metadata__": metadata, **header}).encode()
    # Tensors start at a multiple of eight, as the library writes them.
    text += b" " * (-len(text) % 8)
    with open(f"{path}.part", "wb") as file:
        file.write(struct.pack("<Q", len(text)))
        file.write(text)
        for tensor in checkpoint.tensors.values():
            file.write(tensor.data)
        file.flush()
        os.fsync(file.fileno())
    os.replace(f"{path}.part", path)
    return path


def read_checkpoint(path: str, parameters: str, steps: int) -> Checkpoint:
    """Reads what an earlier attempt at the same generation wrote.

    Raises RunnerFailure `bad_input` when it is missing, damaged or another generation's."""
    try:
        with open(path, "rb") as file:
            content = file.read()
    except OSError as error:
        raise RunnerFailure("bad_input", f"resume.path cannot be read: {error}") from None
    try:
        metadata, header, data = _split(content)
        tensors = {name: _tensor(entry, data) for name, entry in header.items()}
        if metadata.get("format") != FORMAT:
            raise ValueError(f"its format is {metadata.get('format')!r}; allowed is {FORMAT!r}")
        step = int(metadata["step"])
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, struct.error) as error:
        raise RunnerFailure("bad_input", f"resume.path is not a checkpoint of this runner: {error}") from None
    claimed = metadata.pop("digest", None)
    if claimed != _digest(metadata, header, (tensor.data for tensor in tensors.values())):
        raise RunnerFailure("bad_input", "resume.path is a damaged checkpoint: its digest does not match")
    if metadata.get("parameters") != parameters:
        raise RunnerFailure(
            "bad_input", "resume.path is a checkpoint of another generation: its parameters differ"
        )
    if not 0 < step < steps:
        raise RunnerFailure("bad_input", f"resume.path holds {step} steps; allowed are 1 to {steps - 1}")
    return Checkpoint(step, tensors)


def _split(content: bytes) -> tuple[dict[str, str], dict[str, Any], bytes]:
    (length,) = struct.unpack_from("<Q", content)
    if length > min(HEADER_BYTES_MAX, len(content) - 8):
        raise ValueError("its header is cut off")
    header = json.loads(content[8 : 8 + length])
    metadata = header.pop("__metadata__")
    if not isinstance(metadata, dict):
        raise ValueError("it has no metadata")
    return metadata, header, content[8 + length :]


def _tensor(entry: Any, data: bytes) -> Tensor:
    begin, end = entry["data_offsets"]
    shape = tuple(entry["shape"])
    if any(type(number) is not int or number < 0 for number in (begin, end, *shape)):
        raise ValueError("a tensor's place is no whole number")
    if end > len(data) or end - begin != math.prod(shape) * BYTES_PER_ITEM[entry["dtype"]]:
        raise ValueError("a tensor is cut off")
    return Tensor(entry["dtype"], shape, data[begin:end])


def _digest(metadata: Mapping[str, str], header: Mapping[str, Any], parts: Any) -> str:
    digest = hashlib.sha256(json.dumps([dict(metadata), dict(header)], sort_keys=True).encode())
    for part in parts:
        digest.update(part)
    return digest.hexdigest()
