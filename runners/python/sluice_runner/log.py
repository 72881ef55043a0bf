"""The log: lines on stderr, which the worker writes into its own."""

from __future__ import annotations

import sys


def log(line: str) -> None:
    print(f"runner: {line}", file=sys.stderr, flush=True)
