"""Test scaffolding: `python tests/installed.py [FILE]` names each line of FILE, or of the requirements.txt
beside it, that is installed in another version or not at all, and exits 1 when there is one."""

from __future__ import annotations

import sys
from importlib import metadata
from pathlib import Path

REQUIREMENTS = Path(__file__).resolve().parent / "requirements.txt"


def main() -> int:
    wrong = []
    requirements = Path(sys.argv[1]) if len(sys.argv) > 1 else REQUIREMENTS
    for line in requirements.read_text().splitlines():
        if line == "" or line.startswith("#"):
            continue
        name, _, version = line.partition("==")
        try:
            # Wheels of torch for one device add its name: 2.13.0+cpu.
            found = metadata.version(name).partition("+")[0]
        except metadata.PackageNotFoundError:
            found = "not installed"
        if found != version:
            wrong.append(f"{name} is {found}; {version} is meant")
    print("\n".join(wrong))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
