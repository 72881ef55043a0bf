"""What every runner is set by, and how its settings are read: environment variables that the worker passes
on."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Literal, Mapping, TypeVar

# Whether a model's parts are kept on the device only while they are in use: never; from the second try of a
# video that ran out of memory on; or always.
Offload = Literal["never", "retry", "always"]
OFFLOAD: tuple[Offload, ...] = ("never", "retry", "always")

Word = TypeVar("Word", bound=str)


class SettingError(Exception):
    """A setting that cannot be used; the message names it, what was given and what is allowed."""


@dataclass(frozen=True)
class RunnerSettings:
    # What names this runner's devices: CUDA_VISIBLE_DEVICES, or another that SLUICE_DEVICE_VARIABLE names.
    device_variable: str
    # One per device that the variable names; one when it is unset.
    ranks: int
    offload: Offload
    # A checkpoint at the first step boundary after this many milliseconds.
    checkpoint_ms: int
    # A model that has not loaded after this many milliseconds is given up.
    load_ms_max: int
    # Started once per video with raw RGB24 frames on its stdin (encode_queue.py).
    encoder: tuple[str, ...]


def read_devices(environment: Mapping[str, str]) -> tuple[str, int]:
    """Returns the variable that names this runner's devices, and how many it names."""
    variable = environment.get("SLUICE_DEVICE_VARIABLE") or "CUDA_VISIBLE_DEVICES"
    devices = [device for device in environment.get(variable, "0").split(",") if device.strip()]
    return variable, max(1, len(devices))


def read_choice(environment: Mapping[str, str], name: str, allowed: tuple[Word, ...], default: Word) -> Word:
    """Raises SettingError."""
    given = environment.get(name) or default
    for word in allowed:
        if word == given:
            return word
    raise SettingError(f"{name} is {json.dumps(given)}; allowed are {', '.join(allowed)}")


def read_milliseconds(environment: Mapping[str, str], name: str, default: int) -> int:
    """Raises SettingError."""
    given = environment.get(name) or str(default)
    if not given.isascii() or not given.isdigit() or int(given) > 86_400_000:
        raise SettingError(
            f"{name} is {json.dumps(given)}; allowed are whole milliseconds from 0 to 86400000"
        )
    return int(given)


def read_words(environment: Mapping[str, str], name: str, default: tuple[str, ...]) -> tuple[str, ...]:
    """Raises SettingError."""
    given = environment.get(name)
    if not given:
        return default
    try:
        words = json.loads(given)
    except ValueError:
        words = None
    if not isinstance(words, list) or not words or not all(isinstance(word, str) and word for word in words):
        raise SettingError(
            f"{name} is {json.dumps(given)}; "
            'allowed is a JSON list of words, such as ["python3", "encode.py"]'
        )
    return tuple(words)
