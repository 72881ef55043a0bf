"""A file of weights in the safetensors format: its header, and what tells it from others.

checkpoint.py describes the format. No tensor is read whole here: a file of 24 GB is checked in about a
thousand short reads.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import struct
from dataclasses import dataclass
from typing import Any, Mapping

# What the safetensors library itself allows for a header.
HEADER_BYTES_MAX = 100_000_000
# Of each tensor. Training changes a tensor from its first numbers on; hashing all 24 GB would take a minute.
SAMPLE_BYTES = 1024
_ITEM_BITS = {
    "F64": 64,
    "I64": 64,
    "U64": 64,
    "F32": 32,
    "I32": 32,
    "U32": 32,
    "F16": 16,
    "BF16": 16,
    "I16": 16,
    "U16": 16,
}
_ITEM_BITS |= {"I8": 8, "U8": 8, "BOOL": 8, "F8_E4M3": 8, "F8_E5M2": 8}
_SCALARS = {"F64": "<d", "F32": "<f", "F16": "<e", "I64": "<q", "I32": "<i"}


@dataclass(frozen=True)
class Entry:
    """One tensor; `begin` and `end` are places in the file, in bytes."""

    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int


@dataclass(frozen=True)
class WeightHeader:
    """`bytes`: the size of the file; `bytes_expected`: the size that its header implies."""

    text: bytes
    entries: Mapping[str, Entry]
    bytes: int
    bytes_expected: int

    @property
    def parameters(self) -> int:
        return sum(math.prod(entry.shape) for entry in self.entries.values())


def read_header(path: str) -> WeightHeader:
    """Raises OSError, or ValueError for no safetensors file. One that is cut off has two different sizes."""
    try:
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            (length,) = struct.unpack("<Q", file.read(8))
            if length > min(HEADER_BYTES_MAX, size - 8):
                raise ValueError("its header is cut off")
            text = file.read(length)
        header = json.loads(text)
        header.pop("__metadata__", None)
        entries = {name: _entry(value, 8 + length) for name, value in header.items()}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, struct.error):
        raise ValueError(f"{os.path.basename(path)} is no safetensors file") from None
    return WeightHeader(
        text, entries, size, max((entry.end for entry in entries.values()), default=8 + length)
    )


class WeightFile:
    """A file that must not change after the runner loaded: every switch of models reads it again."""

    def __init__(self, path: str) -> None:
        """Raises OSError, or ValueError for a file that is no safetensors file or is cut off."""
        self.path = path
        header = read_header(path)
        if header.bytes != header.bytes_expected:
            raise ValueError(
                f"{os.path.basename(path)} has {header.bytes} bytes, its header says {header.bytes_expected}"
            )
        self.entries = header.entries
        self.fingerprint = _fingerprint(path, header)

    def verify(self) -> None:
        """Raises OSError, or ValueError when the file was replaced."""
        if _fingerprint(self.path, read_header(self.path)) != self.fingerprint:
            raise ValueError(
                f"{os.path.basename(self.path)} was replaced since this runner loaded; start the worker again"
            )

    def scalar(self, name: str) -> float:
        """Reads the tensor called `name`, which must have one number. Raises OSError, ValueError."""
        entry = self.entries[name]
        if math.prod(entry.shape) != 1 or (entry.dtype not in _SCALARS and entry.dtype != "BF16"):
            raise ValueError(f"{name} is {entry.dtype} of shape {list(entry.shape)}; allowed is one number")
        with open(self.path, "rb") as file:
            file.seek(entry.begin)
            data = file.read(entry.end - entry.begin)
        if entry.dtype == "BF16":
            # BF16 is the upper half of a 32-bit float.
            return float(struct.unpack("<f", b"\0\0" + data)[0])
        return float(struct.unpack(_SCALARS[entry.dtype], data)[0])


def _entry(value: Any, data_at: int) -> Entry:
    begin, end = value["data_offsets"]
    shape, dtype = tuple(value["shape"]), value["dtype"]
    if any(type(number) is not int or number < 0 for number in (begin, end, *shape)) or not isinstance(
        dtype, str
    ):
        raise ValueError("a tensor's place is no whole number")
    bits = _ITEM_BITS.get(dtype)
    if end < begin or (bits is not None and (end - begin) * 8 != math.prod(shape) * bits):
        raise ValueError("a tensor's size is not that of its shape")
    return Entry(dtype, shape, data_at + begin, data_at + end)


def _fingerprint(path: str, header: WeightHeader) -> str:
    """SHA-256 (hex) over header, size, and the first bytes of every tensor: the same on every host."""
    digest = hashlib.sha256(header.text)
    digest.update(str(header.bytes).encode())
    with open(path, "rb") as file:
        for entry in sorted(header.entries.values(), key=lambda entry: entry.begin):
            file.seek(entry.begin)
            digest.update(file.read(min(SAMPLE_BYTES, entry.end - entry.begin)))
    return digest.hexdigest()
