"""What a model can make: `makes` of the runner protocol's load. It judges requests, and counts tokens."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any

from .failure import RunnerFailure

Mode = str
MODES = ("t2v", "t2i2v", "i2v")
CONDITIONS = ("head", "tail", "loop")


@dataclass(frozen=True)
class Frames:
    """A clip has `multiple` * k + `remainder` frames, `min` to `max` of them."""

    multiple: int
    remainder: int
    min: int
    max: int

    def allows(self, frames: int) -> bool:
        return self.min <= frames <= self.max and (frames - self.remainder) % self.multiple == 0

    def __str__(self) -> str:
        rule = "" if self.multiple == 1 else f"{self.multiple}k+{self.remainder} "
        return f"{rule}from {self.min} to {self.max}"


@dataclass(frozen=True)
class Makes:
    """`temporal` and `spatial`: what the autoencoder divides frames and sides by; `patch`: latent frames,
    rows and columns that are one token."""

    modes: tuple[Mode, ...]
    frames: Frames
    side_multiple: int
    pixels_max: int
    steps_min: int
    steps_max: int
    temporal: int
    spatial: int
    patch: tuple[int, int, int]
    fps: int
    sound: bool
    # Where the image of mode i2v may stand; () = wherever the pipeline can put it.
    i2v_conditions: tuple[str, ...] = ()

    def video_tokens(self, width: int, height: int, frames: int) -> int:
        """Latent positions denoised in one step, as packages/shared/src/token-count.ts counts them."""
        latent_frames = 1 + math.ceil((frames - 1) / self.temporal)
        times, rows, columns = self.patch
        return (
            math.ceil(latent_frames / times)
            * math.ceil(height / (self.spatial * rows))
            * math.ceil(width / (self.spatial * columns))
        )


# For a `load` that says nothing of it (Open-Sora d0cd5ac: its README, and opensora.utils.sampling).
OPEN_SORA_MAKES = Makes(MODES, Frames(4, 1, 1, 129), 16, 768 * 768, 1, 100, 4, 8, (1, 2, 2), 24, False)


def parse_makes(field: str, value: Any) -> Makes:
    """Raises RunnerFailure `bad_input` that names the field, what was given and what is allowed."""
    given = _Fields(field, value)
    frames, sides, steps, tokens = (given.group(name) for name in ("frames", "sides", "steps", "tokens"))
    modes = given.value["modes"] if "modes" in given.value else None
    if not isinstance(modes, list) or modes == [] or any(mode not in MODES for mode in modes):
        raise _refused(f"{field}.modes", modes, f"a list of {', '.join(MODES)}")
    patch = tokens.value.get("patch")
    if not isinstance(patch, list) or len(patch) != 3 or any(type(n) is not int or n < 1 for n in patch):
        raise _refused(f"{tokens.name}.patch", patch, "three whole numbers above 0")
    sound = given.value.get("sound")
    if type(sound) is not bool:
        raise _refused(f"{field}.sound", sound, "true or false")
    return Makes(
        modes=tuple(modes),
        frames=Frames(
            frames.number("multiple"),
            frames.number("remainder", 0),
            frames.number("min"),
            frames.number("max"),
        ),
        side_multiple=sides.number("multiple"),
        pixels_max=sides.number("pixels_max"),
        steps_min=steps.number("min"),
        steps_max=steps.number("max"),
        temporal=tokens.number("temporal"),
        spatial=tokens.number("spatial"),
        patch=(patch[0], patch[1], patch[2]),
        fps=given.number("fps"),
        sound=sound,
        i2v_conditions=_conditions(f"{field}.i2v_conditions", given.value.get("i2v_conditions", [])),
    )


def _conditions(field: str, given: Any) -> tuple[str, ...]:
    if not isinstance(given, list) or any(condition not in CONDITIONS for condition in given):
        raise _refused(field, given, f"a list of {', '.join(CONDITIONS)}")
    return tuple(given)


def request_of_makes(makes: Makes) -> dict[str, Any]:
    """Returns what `parse_makes` reads."""
    return {
        "modes": list(makes.modes),
        **({"i2v_conditions": list(makes.i2v_conditions)} if makes.i2v_conditions else {}),
        "frames": vars(makes.frames),
        "sides": {"multiple": makes.side_multiple, "pixels_max": makes.pixels_max},
        "steps": {"min": makes.steps_min, "max": makes.steps_max},
        "tokens": {"temporal": makes.temporal, "spatial": makes.spatial, "patch": list(makes.patch)},
        "fps": makes.fps,
        "sound": makes.sound,
    }


class _Fields:
    """The fields of one object of a request, called `name`."""

    def __init__(self, name: str, value: Any) -> None:
        if not isinstance(value, dict):
            raise _refused(name, value, "an object")
        self.name = name
        self.value: dict[str, Any] = value

    def group(self, name: str) -> _Fields:
        return _Fields(f"{self.name}.{name}", self.value.get(name))

    def number(self, name: str, least: int = 1) -> int:
        given = self.value.get(name)
        if type(given) is not int or given < least:
            raise _refused(f"{self.name}.{name}", given, f"a whole number of at least {least}")
        return given


def _refused(field: str, given: object, allowed: str) -> RunnerFailure:
    said = json.dumps(given, default=str)[:200]
    return RunnerFailure("bad_input", f"{field} is {said}; allowed is {allowed}")
