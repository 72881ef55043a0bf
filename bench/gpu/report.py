"""Rows of what was measured: printed at once, kept as JSON lines, and made into one table."""

from __future__ import annotations

import contextlib
import json
import time
from pathlib import Path
from typing import Any, Iterator


class Report:
    def __init__(self, path: str, seconds: float) -> None:
        self._file = open(path, "a", encoding="utf-8")
        self.folder = Path(path).parent
        self._started_at = time.monotonic()
        self._seconds = seconds

    @property
    def seconds_left(self) -> float:
        return self._seconds - (time.monotonic() - self._started_at)

    def row(self, what: str, **numbers: Any) -> None:
        """A number that is None is left out."""
        known = {name: number for name, number in numbers.items() if number is not None}
        print(f"{what:64s} " + "  ".join(f"{name}={number}" for name, number in known.items()), flush=True)
        self._file.write(json.dumps({"what": what, **known}) + "\n")
        self._file.flush()

    @contextlib.contextmanager
    def part(self, what: str) -> Iterator[None]:
        """One that fails leaves the others: time on a GPU is short."""
        try:
            yield
        except Exception as error:
            said = str(error).strip().split("\n")[0][:200]
            self.row(what, failed=f"{type(error).__name__}: {said}")

    def has_time(self, what: str, seconds: float) -> bool:
        """Whether so many seconds are left; otherwise the row says that there was no time."""
        if self.seconds_left >= seconds:
            return True
        self.row(what, left_out="out of time")
        return False


def write_table(rows: Path, table: Path) -> None:
    lines = ["| what | measured |", "| --- | --- |"]
    for line in rows.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        what = row.pop("what")
        said = ", ".join(f"{name.replace('_', ' ')} {number}" for name, number in row.items())
        lines.append(f"| {what} | {said} |")
    table.write_text("\n".join(lines) + "\n", encoding="utf-8")
