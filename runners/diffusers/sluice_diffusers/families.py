"""The pipelines this runner knows, by family: what it must know of one to stop and resume it.

Facts from diffusers 0.42.1, src/diffusers/pipelines. A pipeline is here once its tests pass
(tests/test_pipelines.py): it has `callback_on_step_end`, and a clip that was resumed at any step is the same
bytes as one that was not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Mapping

from sluice_runner.generation import Condition

# With which requirements.txt beside the package installs the library.
DIFFUSERS_VERSION = "0.42.1"


@dataclass(frozen=True)
class Family:
    name: str
    # The mode that each pipeline makes.
    pipelines: Mapping[str, Literal["t2v", "i2v"]]
    # Where the channels are in what the transformer takes and returns.
    channels_at: int
    # Components that are called at each step.
    denoisers: tuple[str, ...] = ("transformer",)
    # The autoencoder keeps 32-bit floats: in half of them it shows bands (the library's pages of Wan).
    vae_in_fp32: bool = False
    # Decodes in tiles: a whole clip at once takes more memory than the rest of the model.
    tiles_vae: bool = False
    conditions: tuple[Condition, ...] = ("head",)
    # What stands for the input image in the text that its pipeline makes of a prompt.
    image_word: str | None = None
    # Its pipelines return a sound beside the frames.
    sound: bool = False


FAMILIES = (
    Family(
        "Wan",
        {"WanPipeline": "t2v", "WanImageToVideoPipeline": "i2v"},
        channels_at=1,
        denoisers=("transformer", "transformer_2"),
        vae_in_fp32=True,
        conditions=("head", "loop"),
    ),
    Family("LTX", {"LTXPipeline": "t2v", "LTXImageToVideoPipeline": "i2v"}, channels_at=-1),
    Family(
        "LTX-2",
        {"LTX2Pipeline": "t2v", "LTX2ImageToVideoPipeline": "i2v"},
        channels_at=-1,
        tiles_vae=True,
        sound=True,
    ),
    Family(
        "HunyuanVideo",
        {"HunyuanVideoPipeline": "t2v", "HunyuanVideoImageToVideoPipeline": "i2v"},
        channels_at=1,
        tiles_vae=True,
        image_word="<image>",
    ),
    Family(
        "CogVideoX",
        {"CogVideoXPipeline": "t2v", "CogVideoXImageToVideoPipeline": "i2v"},
        channels_at=2,
        tiles_vae=True,
    ),
    Family("Mochi", {"MochiPipeline": "t2v"}, channels_at=1, tiles_vae=True),
)
KNOWN_PIPELINES = tuple(name for family in FAMILIES for name in family.pipelines)


def family_of(pipeline: str) -> Family | None:
    return next((family for family in FAMILIES if pipeline in family.pipelines), None)
