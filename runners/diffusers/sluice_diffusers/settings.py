"""The runner's settings: variables that the worker passes on (SLUICE_DIFFUSERS_*, and the devices)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Mapping

from sluice_runner.encode_queue import DEFAULT_ENCODER
from sluice_runner.settings import (
    Offload,
    RunnerSettings,
    SettingError,
    read_choice,
    read_devices,
    read_milliseconds,
    read_words,
)

Device = Literal["cuda", "cpu"]
Dtype = Literal["auto", "bf16", "fp16", "fp32"]
# How much of a model the library keeps on the device: all; or one component at a time, from the second try of
# a video that ran out of memory on, or always.
OffloadKind = Literal["none", "retry", "model"]
Quantization = Literal["none", "fp8", "int8", "nf4"]
Tiling = Literal["auto", "0", "1"]
_DEVICES: tuple[Device, ...] = ("cuda", "cpu")
_DTYPES: tuple[Dtype, ...] = ("auto", "bf16", "fp16", "fp32")
_OFFLOADS: tuple[OffloadKind, ...] = ("none", "retry", "model")
_QUANTIZATIONS: tuple[Quantization, ...] = ("none", "fp8", "int8", "nf4")
_TILINGS: tuple[Tiling, ...] = ("auto", "0", "1")
# What they are to the shared part, which starts a video again with offload after memory ran out.
_POLICY: Mapping[OffloadKind, Offload] = {
    "none": "never",
    "retry": "retry",
    "model": "always",
}


@dataclass(frozen=True)
class Settings(RunnerSettings):
    device: Device
    # auto = bf16 on a GPU, fp32 on a CPU.
    dtype: Dtype
    # Of transformers and text encoders: fp8 keeps them in 8 bits and computes in `dtype` (the library's
    # layerwise casting), int8 and nf4 are bitsandbytes'.
    quantization: Quantization
    # Whether the autoencoder decodes in tiles; auto = where a model needs it (families.py).
    vae_tiling: Tiling


def read_settings(environment: Mapping[str, str]) -> Settings:
    """Raises SettingError."""
    device_variable, devices = read_devices(environment)
    if devices > 1:
        raise SettingError(
            f"{device_variable} names {devices} devices; allowed is one for each slot of this runner"
        )
    offload = read_choice(environment, "SLUICE_DIFFUSERS_OFFLOAD", _OFFLOADS, "none")
    return Settings(
        device_variable=device_variable,
        ranks=1,
        offload=_POLICY[offload],
        checkpoint_ms=read_milliseconds(environment, "SLUICE_DIFFUSERS_CHECKPOINT_MS", 30_000),
        load_ms_max=read_milliseconds(environment, "SLUICE_DIFFUSERS_LOAD_MS_MAX", 1_800_000),
        encoder=read_words(environment, "SLUICE_DIFFUSERS_ENCODER_COMMAND", DEFAULT_ENCODER),
        device=read_choice(environment, "SLUICE_DIFFUSERS_DEVICE", _DEVICES, "cuda"),
        dtype=read_choice(environment, "SLUICE_DIFFUSERS_DTYPE", _DTYPES, "auto"),
        quantization=read_choice(environment, "SLUICE_DIFFUSERS_QUANTIZATION", _QUANTIZATIONS, "none"),
        vae_tiling=read_choice(environment, "SLUICE_DIFFUSERS_VAE_TILING", _TILINGS, "auto"),
    )
