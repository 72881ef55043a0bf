"""`python -m sluice_open_sora`: requests on stdin, replies on fd 3, logs on stdout and stderr.

By hand, with the replies on the terminal:

    PYTHONPATH=runners/open-sora:runners/python OPENSORA_HOME=... python3 -m sluice_open_sora 3>&1
"""

from __future__ import annotations

import os
import sys

from sluice_runner.program import run_program

from .settings import Settings, read_settings, visible_home

PIPELINE = "sluice_open_sora.open_sora.pipeline:OpenSoraPipeline"


def settings_for(pipeline_spec: str) -> Settings:
    """Raises SettingError; another pipeline than Open-Sora's needs no checkout."""
    settings = read_settings(os.environ)
    if pipeline_spec == PIPELINE:
        visible_home(settings)
    return settings


if __name__ == "__main__":
    sys.exit(run_program("sluice_open_sora", PIPELINE, settings_for))
