"""Which of Open-Sora's own configuration files are used, and whether what they name is there."""

from __future__ import annotations

import json
import os
from typing import Any, Mapping

from sluice_runner.failure import RunnerFailure

from ..rank_layout import allowed_ranks
from ..settings import Settings, visible_home

# They differ in parallelism: 256px.py has none, 768px.py splits the sequence (plugins/sp.py), 256px_tp.py the
# tensors (plugins/tp.py). The resolution in a name means nothing here: it comes with each request.
_FILES = {"none": "256px.py", "sequence": "768px.py", "tensor": "256px_tp.py", "guidance": "256px.py"}
_FOLDER = "configs/diffusion/inference"
# opensora.utils.sampling reads it from the environment, and divides by it to pack the latent.
_SPATIAL_COMPRESSION = 16
# Parts of a configuration that are built from weights.
WEIGHTED_PARTS = ("model", "ae", "t5", "clip", "img_flux", "img_flux_ae")


def read_configuration(settings: Settings, ranks: int) -> Any:
    """Returns the mmengine Config of this runner. Changes to OPENSORA_HOME, since the Config's paths are
    relative to it.

    Raises SettingError, RunnerFailure."""
    home = visible_home(settings)
    os.chdir(home)
    from opensora.utils.config import read_config

    path = os.environ.get("OPENSORA_CONFIG") or os.path.join(
        _FOLDER, _FILES["none" if ranks == 1 else settings.parallel]
    )
    if not os.path.isfile(path):
        raise RunnerFailure(
            "model_missing",
            f"no configuration at {os.path.abspath(path)}; OPENSORA_HOME must be Open-Sora's commit d0cd5ac",
        )
    config = read_config(path)
    if settings.t2i2v and config.get("img_flux") is None:
        config.merge_from_dict(read_config(os.path.join(_FOLDER, "plugins/t2i2v.py")).to_dict())
    os.environ["AE_SPATIAL_COMPRESSION"] = str(config.get("ae_spatial_compression") or _SPATIAL_COMPRESSION)
    missing = missing_weights(config)
    if missing:
        # Open-Sora would start to download tens of gigabytes instead.
        raise RunnerFailure(
            "model_missing", f"no weights at {', '.join(os.path.join(home, path) for path in missing)}"
        )
    return config


def missing_weights(config: Mapping[str, Any]) -> list[str]:
    """Paths that a configuration names, relative to OPENSORA_HOME, with no file or only an empty folder."""
    named = [config[part].get("from_pretrained") for part in WEIGHTED_PARTS if config.get(part) is not None]
    return [
        path
        for path in named
        if path and not (os.path.isfile(path) or (os.path.isdir(path) and os.listdir(path)))
    ]


def sequence_ranks(config: Mapping[str, Any], ranks: int) -> int:
    """Devices a sequence is split over: the configured size or the devices there are, the smaller
    (opensora.utils.cai)."""
    plugin = config.get("plugin_config") or {}
    return min(int(plugin.get("sp_size", 1)), ranks)


def check_heads(config: Mapping[str, Any], ranks: int, device_variable: str) -> None:
    """Raises RunnerFailure when the network's attention heads do not go evenly into the ranks."""
    heads = int(config["model"]["num_heads"])
    if heads % ranks != 0:
        allowed = ", ".join(map(str, allowed_ranks(heads)))
        raise RunnerFailure(
            "model_missing",
            f"{device_variable} names {ranks} devices; with OPENSORA_PARALLEL=guidance "
            f"allowed are {allowed}, since the network has {heads} heads",
        )


def check_ranks(config: Mapping[str, Any], ranks: int, device_variable: str) -> None:
    """Raises RunnerFailure when the variable names more devices than the configuration can use: some would
    repeat the others' work."""
    plugin = config.get("plugin_config") or {}
    most = max(int(plugin.get("sp_size", 1)), int(plugin.get("tp_size", 1)))
    if config.get("plugin") == "hybrid" and ranks > most:
        raise RunnerFailure(
            "model_missing",
            f"{device_variable} names {ranks} devices; the configuration allows {json.dumps(most)}",
        )
