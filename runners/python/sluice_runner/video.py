"""The video that has the device, and how far it is."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from typing import Any, Literal

from .generation import Generation
from .makes import Makes
from .requests import Generate

FRAMES_FILE = "frames.rgb"
SOUND_FILE = "sound.pcm"

# It waits for ranks that load; the ranks have it; or its frames are complete and wait for an encoder.
Stage = Literal["waiting", "sent", "rendered"]


@dataclass
class Video:
    order: Generate
    # What its model can make.
    makes: Makes
    # parameter_hash(): what a checkpoint of it must match.
    parameters: str
    # Finished steps this attempt began with, and those done by now.
    start_step: int
    step: int
    # The checkpoint a new rank group goes on from; None = the beginning.
    resume_path: str | None
    stage: Stage = "waiting"
    wish: Literal["cancel", "yield"] | None = None
    # The last checkpoint this attempt wrote: step and path.
    checkpoint: tuple[int, str] | None = None
    # When it began to wait for several ranks to load another model, and the seconds that took. A single rank
    # measures its switch itself.
    load_asked_at: float | None = None
    load_s: float | None = None
    # Whether it was started again with offload after memory ran out.
    offloaded: bool = False
    # The last message of each rank that is done with it.
    done: dict[int, dict[str, Any]] = field(default_factory=dict)
    # When the worker last heard of it (time.monotonic).
    news_at: float = field(default_factory=time.monotonic)

    @property
    def id(self) -> str:
        return self.order.id

    @property
    def generation(self) -> Generation:
        return self.order.request

    @property
    def frames_path(self) -> str:
        return os.path.join(self.order.workdir, FRAMES_FILE)

    @property
    def sound_path(self) -> str:
        return os.path.join(self.order.workdir, SOUND_FILE)

    def remove_frames(self) -> None:
        for path in (self.frames_path, self.sound_path):
            try:
                os.remove(path)
            except OSError:
                # Most videos that end early have none yet.
                pass
