"""How far the host may be before the device within a step."""

from __future__ import annotations

from collections import deque

import torch

# Enough that the device never waits for the host: at 256px a block takes some milliseconds.
BLOCKS_AHEAD = 4


class BlockPace:
    """Keeps the host at most BLOCKS_AHEAD blocks before the device.

    Without it a whole step is queued at once: then a sign of life says nothing of the device, and a cancel
    waits for all that is queued."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._queued: deque[torch.cuda.Event] = deque()

    def wait(self) -> None:
        """Called before each block."""
        if self._device.type != "cuda":
            return
        event = torch.cuda.Event()
        event.record()
        self._queued.append(event)
        if len(self._queued) > BLOCKS_AHEAD:
            self._queued.popleft().synchronize()
