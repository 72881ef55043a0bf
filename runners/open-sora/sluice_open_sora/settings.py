"""The runner's settings: environment variables that the worker passes on (OPENSORA_*, and the devices)."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass
from typing import Literal, Mapping, TypeVar

Parallel = Literal["sequence", "tensor"]
Offload = Literal["never", "retry", "always"]
PARALLEL: tuple[Parallel, ...] = ("sequence", "tensor")
OFFLOAD: tuple[Offload, ...] = ("never", "retry", "always")

Word = TypeVar("Word", bound=str)


class SettingError(Exception):
    """A setting that cannot be used; the message names it, what was given and what is allowed."""


@dataclass(frozen=True)
class Settings:
    # The folder of an Open-Sora checkout with its weights; None = unset, which is refused where it is needed.
    home: str | None
    # What names this runner's devices: CUDA_VISIBLE_DEVICES, or another that SLUICE_DEVICE_VARIABLE names.
    device_variable: str
    # One per device that the variable names; one when it is unset.
    ranks: int
    parallel: Parallel
    offload: Offload
    # Mode t2i2v: FLUX.1-dev, whose licence is non-commercial, is loaded only when the operator says so.
    t2i2v: bool
    # A checkpoint at the first step boundary after this many milliseconds.
    checkpoint_ms: int
    # A model that has not loaded after this many milliseconds is given up.
    load_ms_max: int
    # Started once per video with raw RGB24 frames on its stdin (encode_queue.py).
    encoder: tuple[str, ...]


def read_settings(environment: Mapping[str, str]) -> Settings:
    """Raises SettingError."""
    device_variable = environment.get("SLUICE_DEVICE_VARIABLE") or "CUDA_VISIBLE_DEVICES"
    devices = [device for device in environment.get(device_variable, "0").split(",") if device.strip()]
    return Settings(
        home=environment.get("OPENSORA_HOME") or None,
        device_variable=device_variable,
        ranks=max(1, len(devices)),
        parallel=_choice(environment, "OPENSORA_PARALLEL", PARALLEL, "sequence"),
        offload=_choice(environment, "OPENSORA_OFFLOAD", OFFLOAD, "never"),
        t2i2v=_choice(environment, "OPENSORA_T2I2V", ("0", "1"), "0") == "1",
        checkpoint_ms=_milliseconds(environment, "OPENSORA_CHECKPOINT_MS", 30_000),
        load_ms_max=_milliseconds(environment, "OPENSORA_LOAD_MS_MAX", 1_800_000),
        encoder=_words(
            environment, "OPENSORA_ENCODER_COMMAND", (sys.executable, "-m", "sluice_open_sora.encode_frames")
        ),
    )


def visible_home(settings: Settings) -> str:
    """Returns OPENSORA_HOME, which must be a folder that holds Open-Sora's package. Raises SettingError."""
    home = settings.home
    if home is None:
        raise SettingError("OPENSORA_HOME is not set; it names the folder of an Open-Sora 2.0 checkout")
    if not os.path.isdir(os.path.join(home, "opensora")):
        raise SettingError(
            f"OPENSORA_HOME is {json.dumps(home)}; "
            "allowed is a folder that holds Open-Sora's package opensora"
        )
    return os.path.abspath(home)


def _choice(environment: Mapping[str, str], name: str, allowed: tuple[Word, ...], default: Word) -> Word:
    given = environment.get(name) or default
    for word in allowed:
        if word == given:
            return word
    raise SettingError(f"{name} is {json.dumps(given)}; allowed are {', '.join(allowed)}")


def _milliseconds(environment: Mapping[str, str], name: str, default: int) -> int:
    given = environment.get(name) or str(default)
    if not given.isascii() or not given.isdigit() or int(given) > 86_400_000:
        raise SettingError(
            f"{name} is {json.dumps(given)}; allowed are whole milliseconds from 0 to 86400000"
        )
    return int(given)


def _words(environment: Mapping[str, str], name: str, default: tuple[str, ...]) -> tuple[str, ...]:
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
