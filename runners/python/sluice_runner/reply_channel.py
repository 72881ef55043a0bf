"""Replies as JSON lines on a file descriptor of their own."""

from __future__ import annotations

import errno
import json
import os
import select
import stat
from typing import Any, Callable

REPLY_FD = 3


def is_reply_channel(fd: int) -> bool:
    """Whether this process got `fd` as something that can be written to."""
    try:
        mode = os.fstat(fd).st_mode
        os.write(fd, b"")
    except OSError:
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or stat.S_ISREG(mode) or stat.S_ISCHR(mode)


class ReplyChannel:
    """`on_reader_gone` is called when nobody reads any more."""

    def __init__(self, fd: int, on_reader_gone: Callable[[], None]) -> None:
        self._fd = fd
        self._on_reader_gone = on_reader_gone

    def send(self, reply: dict[str, Any]) -> None:
        """Returns once the line is written whole."""
        # Escaped to ASCII: a reader that splits lines at U+2028 too gets each reply in one piece.
        rest = json.dumps(reply, ensure_ascii=True, allow_nan=False).encode() + b"\n"
        while rest:
            try:
                rest = rest[os.write(self._fd, rest) :]
            except BlockingIOError:
                select.select([], [self._fd], [])
            except OSError as error:
                if error.errno not in (errno.EPIPE, errno.ECONNRESET, errno.ENOTCONN):
                    raise
                self._on_reader_gone()
                return
