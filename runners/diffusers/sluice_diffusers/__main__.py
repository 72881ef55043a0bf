"""`python -m sluice_diffusers`: requests on stdin, replies on fd 3, logs on stdout and stderr.

By hand, with the replies on the terminal:

    PYTHONPATH=runners/diffusers:runners/python python3 -m sluice_diffusers 3>&1
"""

from __future__ import annotations

import os
import sys

from sluice_runner.program import run_program

from .offline import keep_offline
from .settings import Settings, read_settings

PIPELINE = "sluice_diffusers.with_library.pipeline:DiffusersPipeline"


def settings_for(_pipeline_spec: str) -> Settings:
    """Raises SettingError."""
    return read_settings(os.environ)


if __name__ == "__main__":
    # Before the processes with the libraries start, which take their environment from here.
    keep_offline(os.environ)
    sys.exit(run_program("sluice_diffusers", PIPELINE, settings_for))
