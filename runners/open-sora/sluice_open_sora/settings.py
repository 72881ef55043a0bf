"""The runner's settings: environment variables that the worker passes on (OPENSORA_*, and the devices)."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import Literal, Mapping, MutableMapping

from sluice_runner.encode_queue import DEFAULT_ENCODER
from sluice_runner.settings import (
    OFFLOAD,
    RunnerSettings,
    SettingError,
    read_choice,
    read_devices,
    read_milliseconds,
    read_words,
)

from .attention_choice import (
    ATTENTION,
    ATTENTION_SETTING,
    FP8_ATTENTION,
    FP8_SETTING,
    AttentionSetting,
    Fp8Setting,
)
from .compile_choice import COMPILE, COMPILE_SETTING, NORMS_SETTING, CompileSetting
from .largest_clip import LargestClip, read_largest_clip

# Over several devices the sequence or the tensors are split, by Open-Sora itself; or the guidance branches,
# and the sequence of each (rank_layout.py).
Parallel = Literal["sequence", "tensor", "guidance"]
# Guidance branches of a step: those that its scales need, or all three, as Open-Sora itself runs them.
Branches = Literal["needed", "all"]
BRANCHES: tuple[Branches, ...] = ("needed", "all")
PARALLEL: tuple[Parallel, ...] = ("sequence", "tensor", "guidance")


@dataclass(frozen=True)
class Settings(RunnerSettings):
    # The folder of an Open-Sora checkout with its weights; None = unset, which is refused where it is needed.
    home: str | None
    parallel: Parallel
    # Mode t2i2v: FLUX.1-dev, whose licence is non-commercial, is loaded only when the operator says so.
    t2i2v: bool
    branches: Branches
    attention: AttentionSetting
    compile: CompileSetting
    # These two are set by this runner alone, for ranks that start again; auto = not settled yet.
    fp8_attention: Fp8Setting
    compile_norms: CompileSetting
    # None = by the device's memory.
    largest_clip: LargestClip | None


def read_settings(environment: Mapping[str, str]) -> Settings:
    """Raises SettingError."""
    device_variable, ranks = read_devices(environment)
    compiled = read_choice(environment, COMPILE_SETTING, COMPILE, "auto")
    if compiled == "on" and ranks > 1:
        # Before tens of gigabytes are read.
        raise SettingError(
            f'{COMPILE_SETTING} is "on", and {device_variable} names {ranks} devices; '
            "allowed are auto and off: over several devices nothing is compiled"
        )
    return Settings(
        device_variable=device_variable,
        ranks=ranks,
        offload=read_choice(environment, "OPENSORA_OFFLOAD", OFFLOAD, "never"),
        checkpoint_ms=read_milliseconds(environment, "OPENSORA_CHECKPOINT_MS", 30_000),
        load_ms_max=read_milliseconds(environment, "OPENSORA_LOAD_MS_MAX", 1_800_000),
        encoder=read_words(environment, "OPENSORA_ENCODER_COMMAND", DEFAULT_ENCODER),
        home=environment.get("OPENSORA_HOME") or None,
        parallel=read_choice(environment, "OPENSORA_PARALLEL", PARALLEL, "sequence"),
        t2i2v=read_choice(environment, "OPENSORA_T2I2V", ("0", "1"), "0") == "1",
        branches=read_choice(environment, "OPENSORA_GUIDANCE_BRANCHES", BRANCHES, "needed"),
        attention=read_choice(environment, ATTENTION_SETTING, ATTENTION, "auto"),
        compile=compiled,
        fp8_attention=read_choice(environment, FP8_SETTING, FP8_ATTENTION, "auto"),
        compile_norms=read_choice(environment, NORMS_SETTING, COMPILE, "auto"),
        largest_clip=read_largest_clip(environment),
    )


# What torch calls its settings of the device's allocator: before and since 2.9.
ALLOCATOR_VARIABLES = ("PYTORCH_CUDA_ALLOC_CONF", "PYTORCH_ALLOC_CONF")


def set_allocator(environment: MutableMapping[str, str]) -> None:
    """Before torch is imported. Clips of many sizes leave holes that no other size fits into; segments that
    grow leave none. The operator's own settings stand."""
    if not any(environment.get(name) for name in ALLOCATOR_VARIABLES):
        environment[ALLOCATOR_VARIABLES[0]] = "expandable_segments:True"


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
