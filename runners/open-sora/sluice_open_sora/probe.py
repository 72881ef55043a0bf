"""`python -m sluice_open_sora.probe [--models JSON]`: describes a GPU host for `sluice doctor`.

Prints one JSON object. Loads no weights. `--models` is the `models` of the runner protocol's load: own
models, whose files are looked at too.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import sys
import sysconfig
from typing import Any, Mapping

from sluice_runner.failure import RunnerFailure
from sluice_runner.model_weights import ModelWeights, parse_models
from sluice_runner.probe_parts import describe_torch, describe_weights, package_version
from sluice_runner.settings import SettingError, read_choice
from sluice_runner.weight_file import WeightHeader, read_header

from .attention_choice import ATTENTION, ATTENTION_SETTING
from .precision import check_precisions
from .served_model import check_fit, open_models
from .sold_sizes import sold_sizes

# The weights of Open-Sora's configuration files at commit d0cd5ac, relative to OPENSORA_HOME.
WEIGHTS = (
    "ckpts/Open_Sora_v2.safetensors",
    "ckpts/hunyuan_vae.safetensors",
    "ckpts/google/t5-v1_1-xxl",
    "ckpts/openai/clip-vit-large-patch14",
)
FLUX_WEIGHTS = ("ckpts/flux1-dev.safetensors", "ckpts/flux1-dev-ae.safetensors")
# The number and width of the video model's heads (configs/diffusion/inference/256px.py).
HEADS = (24, 128)
PACKAGES = (
    "torchvision",
    "mmengine",
    "diffusers",
    "transformers",
    "peft",
    "colossalai",
    "liger-kernel",
    "flash-attn",
    "av",
    "pillow",
)


def main() -> None:
    parser = argparse.ArgumentParser(prog="sluice_open_sora.probe")
    parser.add_argument("--models", default="[]")
    models = parser.parse_args().models
    home = os.environ.get("OPENSORA_HOME") or None
    wanted = WEIGHTS + (FLUX_WEIGHTS if os.environ.get("OPENSORA_T2I2V") == "1" else ())
    found = {
        "python": list(sys.version_info[:3]),
        "torch": describe_torch(),
        "packages": {name: package_version(name) for name in PACKAGES},
        "compiler": find_compiler(os.environ),
        "python_headers": os.path.isfile(os.path.join(sysconfig.get_paths()["include"], "Python.h")),
        "package_found": home is not None and os.path.isdir(os.path.join(home, "opensora")),
        "commit": None if home is None else read_commit(home),
        "weights": []
        if home is None
        else [{"path": path, **describe_weights(os.path.join(home, path))} for path in wanted],
        "models": describe_models(json.loads(models), home),
        "attention": describe_attention(json.loads(models), os.environ),
    }
    print(json.dumps(found))


def find_compiler(environment: Mapping[str, str]) -> str | None:
    """The C compiler that torch.compile would take (triton.runtime.build): CC, or else gcc or clang."""
    named = environment.get("CC")
    names = [named] if named else ["gcc", "clang"]
    found = (shutil.which(name, path=environment.get("PATH")) for name in names)
    return next((path for path in found if path is not None), None)


def describe_attention(models: Any, environment: Mapping[str, str]) -> dict[str, Any] | None:
    """Which kernel a runner would choose now on the first device, of which times; None without a device."""
    try:
        import torch
    except Exception:
        return None
    kind = environment.get("OPENSORA_DEVICE") or "cuda"
    if kind == "cuda" and not torch.cuda.is_available():
        return None
    from .open_sora.attention import Heads, settle_attention, settle_fp8_attention, stand_in_for_flash_attn
    from .open_sora.fp8_linear import check_fp8_sums

    stand_in_for_flash_attn()
    try:
        described = parse_models(models) if models else ()
        lengths = [size.positions for size in sold_sizes(described)]
        heads = Heads(*HEADS, torch.bfloat16)
        wanted = read_choice(environment, ATTENTION_SETTING, ATTENTION, "auto")
        device = torch.device(kind)
        kernel, said = settle_attention(wanted, heads, lengths, device)
        if any(model.precision == "fp8-sums" for model in described):
            check_fp8_sums(device)
            said += f"; with fp8-sums {settle_fp8_attention(kernel, heads, lengths, device)[1]}"
        return {"kernel": kernel, "said": said, "problem": None}
    except (RunnerFailure, SettingError) as error:
        return {"kernel": None, "said": "", "problem": str(error)}
    except RuntimeError as error:
        # Such as a device that another process has filled.
        return {"kernel": None, "said": "", "problem": f"not tried: {str(error).splitlines()[0][:200]}"}


def read_commit(home: str) -> str | None:
    """Reads, without git, the commit that a git checkout stands on; None when it is no checkout."""
    try:
        folder = os.path.join(home, ".git")
        if os.path.isfile(folder):
            # A worktree or submodule: `gitdir: PATH`.
            folder = os.path.join(home, _text(folder).partition(":")[2].strip())
        head = _text(os.path.join(folder, "HEAD")).strip()
        if not head.startswith("ref: "):
            return head
        name = head.removeprefix("ref: ")
        if os.path.isfile(os.path.join(folder, name)):
            return _text(os.path.join(folder, name)).strip()
        packed = re.search(
            rf"^([0-9a-f]{{40}}) {re.escape(name)}$", _text(os.path.join(folder, "packed-refs")), re.M
        )
        return packed and packed[1]
    except OSError:
        return None


def describe_models(models: Any, home: str | None) -> list[dict[str, Any]]:
    """One description for each model; a single one, with the id `models`, for a list that cannot be read."""
    try:
        return [] if models == [] else [describe_model(model, home) for model in parse_models(models)]
    except RunnerFailure as failure:
        return [{"id": "models", "files": [], "precision": None, "problem": failure.message}]


def describe_model(model: ModelWeights, home: str | None) -> dict[str, Any]:
    """Bytes and parameters of each of its files, and what would keep a runner from serving it.

    Whether they fit the base model is checked only when the base model's own file is whole."""
    paths = [
        path
        for path in (model.checkpoint, None if model.lora is None else model.lora.path)
        if path is not None
    ]
    described = [describe_weights(path) for path in paths]
    problem = None
    try:
        (served,) = open_models((model,))
        check_precisions((model,), is_split=False)
        base = None if home is None else _header_or_none(os.path.join(home, WEIGHTS[0]))
        if base is not None:
            check_fit(served, {name: entry.shape for name, entry in base.entries.items()}, base.entries)
    except RunnerFailure as failure:
        problem = failure.message
    files = [
        {"path": path, "bytes": one["bytes"], "parameters": one["parameters"]}
        for path, one in zip(paths, described)
    ]
    return {"id": model.id, "files": files, "precision": model.precision, "problem": problem}


def _header_or_none(path: str) -> WeightHeader | None:
    try:
        header = read_header(path)
    except (OSError, ValueError):
        return None
    return header if header.bytes == header.bytes_expected else None


def _text(path: str) -> str:
    with open(path, encoding="utf-8") as file:
        return file.read()


if __name__ == "__main__":
    main()
