"""Whether a loaded runner can make what a `generate` asks for."""

from __future__ import annotations

from .failure import RunnerFailure
from .makes import MODES, Makes
from .pipeline import Readiness
from .requests import Generate

# Latent positions the text adds to every sequence (T5 at max_length 512; Open-Sora d0cd5ac,
# configs/diffusion/inference/256px.py).
TEXT_TOKENS = 512
FPS_MAX = 120


def check_request(order: Generate, ready: Readiness, makes: Makes) -> None:
    """`makes`: what the model asked for can make.

    Raises RunnerFailure that names the field, what was given and what is allowed."""
    generation = order.request
    if generation.model not in ready.models:
        raise RunnerFailure(
            "model_missing", f"model {generation.model!r}; this runner makes {', '.join(ready.models)}"
        )
    width, height, multiple = generation.width, generation.height, makes.side_multiple
    pixels_max = min(makes.pixels_max, ready.pixels_max)
    if width % multiple != 0 or height % multiple != 0 or width * height > pixels_max:
        allowed = f"sides that are multiples of {multiple} and at most {pixels_max} pixels"
        raise _refused("width x height", f"{width}x{height}", allowed)
    if not makes.frames.allows(generation.num_frames):
        raise _refused("num_frames", generation.num_frames, str(makes.frames))
    if generation.num_frames > ready.frames_max:
        allowed = f"{makes.frames}, on this device up to {ready.frames_max}"
        raise _refused("num_frames", generation.num_frames, allowed)
    if not makes.steps_min <= generation.num_steps <= makes.steps_max:
        raise _refused("num_steps", generation.num_steps, f"{makes.steps_min} to {makes.steps_max}")
    if generation.fps > FPS_MAX:
        raise _refused("fps", generation.fps, f"1 to {FPS_MAX}")
    modes = [mode for mode in MODES if mode in makes.modes and mode in ready.modes]
    if generation.mode not in modes:
        raise _refused("mode", generation.mode, ", ".join(modes))
    if (generation.mode == "i2v") != (len(order.references) > 0):
        raise _refused(
            "references",
            f"{len(order.references)} image(s) with mode {generation.mode}",
            "a head, a tail or both with mode i2v, none else",
        )
    _check_split(order, ready.sequence_ranks, makes)


def _check_split(order: Generate, ranks: int, makes: Makes) -> None:
    """Open-Sora splits the sequence evenly over its sequence-parallel ranks
    (opensora/models/mmdit/distributed.py)."""
    width, height, frames = order.request.width, order.request.height, order.request.num_frames
    sequence = TEXT_TOKENS + makes.video_tokens(width, height, frames)
    if sequence % ranks != 0:
        split = [str(count) for count in range(1, ranks + 1) if sequence % count == 0]
        raise _refused(
            "width x height x num_frames",
            f"{width}x{height}x{frames} = {sequence} positions on {ranks} devices",
            f"a number of devices that divides it: {', '.join(split)}",
        )


def _refused(field: str, given: object, allowed: str) -> RunnerFailure:
    return RunnerFailure("bad_input", f"{field} is {given}; allowed is {allowed}")
