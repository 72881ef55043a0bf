"""For tests: folders laid out as the library lays out a pipeline, by the standard library."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from runner_tests.tiny_weights import write_weights


def write_folder(path: Path, class_name: str = "WanPipeline", **components: str | None) -> str:
    """A pipeline of one transformer in two files, one text encoder, and a tokenizer. Returns its path.

    `components`: more of them, by the class they have; None = the index leaves it out."""
    given: dict[str, Any] = {
        "transformer": ["diffusers", "WanTransformer3DModel"],
        "text_encoder": ["transformers", "UMT5EncoderModel"],
        "tokenizer": ["transformers", "T5TokenizerFast"],
        **{name: [None, None] if kind is None else ["diffusers", kind] for name, kind in components.items()},
    }
    path.mkdir(parents=True, exist_ok=True)
    (path / "model_index.json").write_text(json.dumps({"_class_name": class_name, **given}))
    for name, (library, _) in given.items():
        if library is not None:
            (path / name).mkdir(exist_ok=True)
    parts = ("diffusion_pytorch_model-1.safetensors", "diffusion_pytorch_model-2.safetensors")
    transformer = path / "transformer"
    (transformer / "config.json").write_text("{}")
    for index, part in enumerate(parts):
        write_weights(transformer / part, {f"w{index}": ((2,), [1.0, 2.0])})
    index = {"weight_map": {"w0": parts[0], "w1": parts[1]}}
    (transformer / "diffusion_pytorch_model.safetensors.index.json").write_text(json.dumps(index))
    (path / "text_encoder/config.json").write_text("{}")
    write_weights(path / "text_encoder/model.safetensors", {"t": ((1,), [1.0])})
    (path / "tokenizer/tokenizer_config.json").write_text("{}")
    for name in components:
        if components[name] is not None:
            (path / name / "scheduler_config.json").write_text("{}")
    return str(path)


WAN = {"t2v": "WanPipeline", "i2v": "WanImageToVideoPipeline"}


def described(folder: str | None = None, **changes: Any) -> dict[str, Any]:
    """An entry of a load."""
    return {
        "id": "wan",
        **({} if folder is None else {"folder": folder}),
        "pipelines": WAN,
        "makes": {
            "modes": ["t2v", "i2v"],
            "frames": {"multiple": 4, "remainder": 1, "min": 5, "max": 121},
            "sides": {"multiple": 32, "pixels_max": 921_600},
            "steps": {"min": 1, "max": 100},
            "tokens": {"temporal": 4, "spatial": 16, "patch": [1, 2, 2]},
            "fps": 24,
            "sound": False,
        },
        **changes,
    }
