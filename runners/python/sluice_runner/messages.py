"""Messages between the runner process and its ranks: JSON lines over a pair of sockets."""

from __future__ import annotations

import json
import socket
from typing import Any

from .lines import LineBuffer

CHUNK_BYTES = 65_536


class MessageSocket:
    """One end. Messages are small; sending blocks while the other end is slow."""

    def __init__(self, end: socket.socket) -> None:
        self.socket = end
        self._buffer = LineBuffer()

    def send(self, message: dict[str, Any]) -> None:
        """Raises OSError when the other end is gone."""
        self.socket.sendall(json.dumps(message, ensure_ascii=True).encode() + b"\n")

    def receive(self) -> list[dict[str, Any]] | None:
        """Waits for some bytes and returns the messages they complete; None when the other end is gone."""
        try:
            chunk = self.socket.recv(CHUNK_BYTES)
        except OSError:
            chunk = b""
        if chunk == b"":
            return None
        return [json.loads(line) for line in self._buffer.feed(chunk)]

    def close(self) -> None:
        self.socket.close()
