"""What is to be generated."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

from .failure import RunnerFailure
from .makes import MODES, Mode

Position = Literal["head", "tail"]
Condition = Literal["head", "tail", "loop"]
CONDITIONS = ("head", "tail", "loop")

# The widest range of a model of the catalogue is 0 to 30. Far more overflows in 16-bit floats; a scale below
# 0 leads away from the prompt.
GUIDANCE_MAX = 100

# torch.Generator.manual_seed, which gets the seed, refuses more.
SEED_MAX = 2**63 - 1


@dataclass(frozen=True)
class Generation:
    """The request of packages/shared/src/generation.ts. Sides in pixels, fps in frames per second."""

    model: str
    mode: Mode
    prompt: str
    negative_prompt: str
    width: int
    height: int
    num_frames: int
    fps: int
    num_steps: int
    seed: int
    # Present exactly when the model has them.
    guidance: float | None = None
    guidance_img: float | None = None
    motion_score: int | None = None
    # Mode i2v only: where the input image stands, and the SHA-256 (hex) of its file. So say the references.
    i2v_condition: Condition | None = None
    reference_sha256: str | None = None


@dataclass(frozen=True)
class Reference:
    """An input image, with which the clip starts (`head`) or ends (`tail`), as a local file."""

    position: Position
    path: str


_POSITIVE = ("width", "height", "num_frames", "fps", "num_steps")
_TEXTS = ("model", "prompt", "negative_prompt")
_NUMBERS = ("guidance", "guidance_img")
_OPTIONAL = ("guidance", "guidance_img", "motion_score", "i2v_condition", "reference_sha256")


def parse_generation(value: Any) -> Generation:
    """Raises RunnerFailure `bad_input` that names the field, what was given and what is allowed."""
    if not isinstance(value, dict):
        raise _refused("request", value, "an object")
    names = [field.name for field in fields(Generation)]
    for name in value:
        if name not in names:
            raise RunnerFailure("bad_input", f"request.{name} is unknown; allowed are {', '.join(names)}")
    for name in names:
        if name not in value and name not in _OPTIONAL:
            raise RunnerFailure("bad_input", f"request.{name} is missing")
    for name in _TEXTS:
        if not isinstance(value[name], str) or not _is_unicode(value[name]):
            raise _refused(f"request.{name}", value[name], "text without lone surrogates and NUL")
    for name in (name for name in _NUMBERS if name in value):
        if type(value[name]) not in (int, float) or not 0 <= value[name] <= GUIDANCE_MAX:
            raise _refused(f"request.{name}", value[name], f"a number from 0 to {GUIDANCE_MAX}")
    for name in _POSITIVE:
        if type(value[name]) is not int or value[name] < 1:
            raise _refused(f"request.{name}", value[name], "a whole number above 0")
    if "motion_score" in value and type(value["motion_score"]) is not int:
        raise _refused("request.motion_score", value["motion_score"], "a whole number")
    if type(value["seed"]) is not int or not 0 <= value["seed"] <= SEED_MAX:
        raise _refused("request.seed", value["seed"], f"a whole number from 0 to {SEED_MAX}")
    if value["mode"] not in MODES:
        raise _refused("request.mode", value["mode"], ", ".join(MODES))
    if "i2v_condition" in value and value["i2v_condition"] not in CONDITIONS:
        raise _refused("request.i2v_condition", value["i2v_condition"], ", ".join(CONDITIONS))
    sha256 = value.get("reference_sha256", "0" * 64)
    if not isinstance(sha256, str) or len(sha256) != 64 or not set(sha256) <= set("0123456789abcdef"):
        raise _refused("request.reference_sha256", sha256, "64 hexadecimal digits")
    numbers = {name: float(value[name]) for name in _NUMBERS if name in value}
    return Generation(**{**value, **numbers})


def request_of(generation: Generation) -> dict[str, Any]:
    """Returns what `parse_generation` reads.

    Fields that were not given are left out: a field added later changes the hash of no request without it."""
    return {name: value for name, value in asdict(generation).items() if value is not None}


def parameter_hash(generation: Generation, references: tuple[Reference, ...], weights: str = "") -> str:
    """SHA-256 (hex) over all that the latents depend on. Raises OSError.

    That is the request, the bytes of the input images, and what tells the model's own weights from others
    (`weights`: Loaded.identities; "" = the installation's)."""
    images = [[reference.position, _file_hash(reference.path)] for reference in references]
    # Sorted keys, and floats throughout: neither the order nor the form of numbers in a request matters.
    text = json.dumps(
        [request_of(generation), images, *([weights] if weights else [])], sort_keys=True, ensure_ascii=True
    )
    return hashlib.sha256(text.encode()).hexdigest()


def _file_hash(path: str) -> str:
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


def _is_unicode(text: str) -> bool:
    return not any(0xD800 <= ord(letter) <= 0xDFFF for letter in text) and "\0" not in text


def _refused(field: str, given: object, allowed: str) -> RunnerFailure:
    return RunnerFailure(
        "bad_input", f"{field} is {json.dumps(given, default=str)[:80]}; allowed is {allowed}"
    )
