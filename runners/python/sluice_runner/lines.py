"""JSON lines out of a byte stream."""

from __future__ import annotations


class LineBuffer:
    """Lines end with LF only: U+2028 and the like may stand in JSON unescaped, as part of a prompt."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, chunk: bytes) -> list[bytes]:
        """Returns the lines that `chunk` completes, without blank ones."""
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        return [line for line in lines if line.strip()]

    def end(self) -> list[bytes]:
        """Returns a last line without its LF, if any."""
        rest, self._rest = self._rest, b""
        return [rest] if rest.strip() else []
