"""Whether a loaded runner can make what a `generate` asks for."""

from __future__ import annotations

from .failure import RunnerFailure
from .generation import MODES, TEXT_TOKENS, video_tokens
from .pipeline import Readiness
from .requests import Generate


def check_request(order: Generate, ready: Readiness) -> None:
    """Raises RunnerFailure that names the field, what was given and what is allowed."""
    generation = order.request
    if generation.model not in ready.models:
        raise RunnerFailure(
            "model_missing", f"model {generation.model!r}; this runner makes {', '.join(ready.models)}"
        )

    def refuse(field: str, given: object, allowed: str) -> RunnerFailure:
        return RunnerFailure("bad_input", f"{field} is {given}; allowed is {allowed}")

    for name in ("guidance", "guidance_img", "motion_score"):
        if getattr(generation, name) is None:
            raise RunnerFailure("bad_input", f"request.{name} is missing")
    width, height, multiple = generation.width, generation.height, ready.side_multiple
    if width % multiple != 0 or height % multiple != 0 or width * height > ready.pixels_max:
        allowed = f"sides that are multiples of {multiple} and at most {ready.pixels_max} pixels"
        raise refuse("width x height", f"{width}x{height}", allowed)
    if generation.num_frames > ready.frames_max:
        raise refuse("num_frames", generation.num_frames, f"4k+1 up to {ready.frames_max}")
    if generation.num_steps > ready.steps_max:
        raise refuse("num_steps", generation.num_steps, f"1 to {ready.steps_max}")
    if generation.fps > 120:
        raise refuse("fps", generation.fps, "1 to 120")
    if generation.mode not in ready.modes:
        raise refuse("mode", generation.mode, ", ".join(mode for mode in MODES if mode in ready.modes))
    if (generation.mode == "i2v") != (len(order.references) > 0):
        raise refuse(
            "references",
            f"{len(order.references)} image(s) with mode {generation.mode}",
            "a head, a tail or both with mode i2v, none else",
        )
    sequence = TEXT_TOKENS + video_tokens(generation)
    if sequence % ready.sequence_ranks != 0:
        # Open-Sora splits the sequence evenly over its sequence-parallel ranks
        # (opensora/models/mmdit/distributed.py).
        split = [str(ranks) for ranks in range(1, ready.sequence_ranks + 1) if sequence % ranks == 0]
        raise refuse(
            "width x height x num_frames",
            f"{width}x{height}x{generation.num_frames} = {sequence} positions "
            f"on {ready.sequence_ranks} devices",
            f"a number of devices that divides it: {', '.join(split)}",
        )
