"""The video that has the device, and how far it is."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from typing import Any, Literal

from .generation import Generation
from .requests import Generate

FRAMES_FILE = "frames.rgb"


@dataclass
class Video:
    """The video that has the device."""

    order: Generate
    parameters: str
    # Finished steps this attempt began with, and those done by now.
    start_step: int
    step: int
    # What a new rank group goes on from; None = the beginning.
    resume_path: str | None
    wish: Literal["cancel", "yield"] | None = None
    # The last checkpoint this attempt wrote: step and path.
    checkpoint: tuple[int, str] | None = None
    # Whether the ranks have it; not while they load.
    sent: bool = False
    # When it began to wait for ranks that load another model's weights, and the seconds that took; one rank switches by itself and says.
    load_asked_at: float | None = None
    load_s: float | None = None
    # Whether it was started again with offload after memory ran out.
    offloaded: bool = False
    # Ranks that are done with it, each with its last message.
    done: dict[int, dict[str, Any]] = field(default_factory=dict)
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
