"""One thread that waits for everything the runner process listens to."""

from __future__ import annotations

import selectors
import time
from typing import Any, Callable

TICK_S = 0.5


class Loop:
    """Calls back when something can be read, and every TICK_S seconds."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._stopped: int | None = None

    def watch(self, source: Any, on_readable: Callable[[], None]) -> None:
        self._selector.register(source, selectors.EVENT_READ, on_readable)

    def forget(self, source: Any) -> None:
        self._selector.unregister(source)

    def stop(self, exit_code: int) -> None:
        """Ends `run` once the present callback returns; the first code stands."""
        if self._stopped is None:
            self._stopped = exit_code

    def run(self, on_tick: Callable[[], None]) -> int:
        """Returns the code given to `stop`."""
        tick_at = time.monotonic() + TICK_S
        while self._stopped is None:
            for key, _ in self._selector.select(max(0.0, tick_at - time.monotonic())):
                # An earlier callback of this round may have forgotten this one's source.
                if self._stopped is None and self._selector.get_map().get(key.fd) is key:
                    key.data()
            if time.monotonic() >= tick_at and self._stopped is None:
                tick_at = time.monotonic() + TICK_S
                on_tick()
        return self._stopped
