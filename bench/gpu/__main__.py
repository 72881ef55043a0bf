"""Full-size Open-Sora 2.0 with random weights on one GPU: what a step, a text, a decode and a clip cost.

    OPENSORA_HOME=/opt/Open-Sora python bench/gpu [--out FOLDER] [--minutes 10] [--only PART]

Needs Python, torch with CUDA and a checkout of Open-Sora, commit d0cd5ac, with the libraries it imports; no
weights, and no Node. Speed and memory do not depend on the numbers in the weights, so they are drawn on the
device. Prints each row as soon as it is measured, and writes rows.jsonl and table.md into FOLDER. A run that
is cut off leaves the rows before. `--size tiny --device cpu` goes through all of it without a GPU: its
numbers mean nothing.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

# In the folder of a checkout, which stays as it is.
sys.dont_write_bytecode = True
from report import write_table  # noqa: E402

HERE = Path(__file__).resolve().parent
RUNNERS = HERE.parent.parent / "runners"
# What is run, and which share of the time that is left then is for it.
PARTS = {
    "network": (("network.py", "--rows-of", "parts"), 0.55),
    "8-bits": (("network.py", "--rows-of", "8-bits"), 0.5),
    "runner": (("with_runner.py",), 0.6),
    "runner-8-bits": (("with_runner.py", "--precision", "fp8-sums"), 1.0),
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench/gpu")
    parser.add_argument("--out", default="gpu-bench")
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--size", choices=("full", "tiny"), default="full")
    parser.add_argument("--only", choices=tuple(PARTS))
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    given = parser.parse_args()
    if not os.path.isdir(os.path.join(os.environ.get("OPENSORA_HOME") or "", "opensora")):
        sys.exit("OPENSORA_HOME is not set to a checkout of hpcaitech/Open-Sora, commit d0cd5ac")
    out = Path(given.out).resolve()
    out.mkdir(parents=True, exist_ok=True)
    rows = out / "rows.jsonl"
    rows.write_text("")
    environment = {
        **os.environ,
        "OPENSORA_HOME": os.path.abspath(os.environ["OPENSORA_HOME"]),
        "OPENSORA_DEVICE": given.device,
        "SIZE": given.size,
        "PYTHONPATH": os.pathsep.join((*map(str, (RUNNERS / "open-sora", RUNNERS / "python")), *installed())),
        "PYTHONDONTWRITEBYTECODE": "1",
        "HF_HUB_OFFLINE": "1",
    }
    # As the runner sets it.
    environment.setdefault("PYTORCH_CUDA_ALLOC_CONF", "expandable_segments:True")
    ends_at = time.monotonic() + given.minutes * 60
    codes = []
    for part in PARTS if given.only is None else (given.only,):
        # Each in a process of its own, which leaves the device as it found it.
        (script, *more), share = PARTS[part]
        seconds = (ends_at - time.monotonic()) * (share if given.only is None else 1)
        command = [sys.executable, str(HERE / script), "--rows", str(rows), "--seconds", str(seconds), *more]
        codes.append(subprocess.run(command, env=environment).returncode)
        write_table(rows, out / "table.md")
    print(f"\n{out / 'table.md'}")
    return max(codes)


def installed() -> list[str]:
    """Where packages were installed beside Python's own place."""
    return [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]


if __name__ == "__main__":
    sys.exit(main())
