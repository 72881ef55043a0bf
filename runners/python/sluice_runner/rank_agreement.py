"""All ranks do the same at every step boundary: rank 0 decides, and sends its decision to the others.

A rank that stopped alone would leave the rest waiting for ever inside a collective operation.
"""

from __future__ import annotations

import socket
import struct
from typing import Literal

from .failure import RunnerFailure

Decision = Literal["go", "cancel", "yield"]
_DECISIONS: tuple[Decision, ...] = ("go", "cancel", "yield")
# The decision, and the step it is for.
_FORM = struct.Struct("<BI")


class Leader:
    """Rank 0's side: one socket per follower."""

    def __init__(self, followers: list[socket.socket]) -> None:
        self._followers = followers

    @property
    def is_alone(self) -> bool:
        return self._followers == []

    def agree(self, step: int, decision: Decision) -> Decision:
        """Raises RunnerFailure `device_lost` when a follower is gone."""
        message = _FORM.pack(_DECISIONS.index(decision), step)
        for number, follower in enumerate(self._followers, start=1):
            try:
                follower.sendall(message)
            except OSError as error:
                raise RunnerFailure(
                    "device_lost", f"rank {number} is gone: {error}", retryable=True
                ) from None
        return decision


class Follower:
    """Any other rank's side."""

    def __init__(self, leader: socket.socket) -> None:
        self._leader = leader

    def agree(self, step: int, decision: Decision = "go") -> Decision:
        """Waits for rank 0's decision at `step`.

        Raises RunnerFailure: `device_lost` when rank 0 is gone, `internal` when it is at another step.
        """
        message = b""
        while len(message) < _FORM.size:
            try:
                chunk = self._leader.recv(_FORM.size - len(message))
            except OSError as error:
                raise RunnerFailure("device_lost", f"rank 0 is gone: {error}", retryable=True) from None
            if chunk == b"":
                raise RunnerFailure("device_lost", "rank 0 is gone", retryable=True)
            message += chunk
        index, leading_step = _FORM.unpack(message)
        if leading_step != step:
            raise RunnerFailure(
                "internal", f"rank 0 is at step {leading_step}, this rank at {step}", retryable=True
            )
        return _DECISIONS[index]
