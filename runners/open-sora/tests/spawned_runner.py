"""For tests: the Open-Sora runner as a child process, by default with the pipeline in plain Python."""

from __future__ import annotations

import json
import unittest
from pathlib import Path
from typing import Any

from runner_tests.spawned_runner import (
    COPY_ENCODER,
    SHARED_FOLDER,
    SpawnedProgram,
    is_running,
    some_request,
)

TESTS = Path(__file__).resolve().parent
PACKAGE_FOLDER = TESTS.parent
# What PYTHONPATH needs for this runner.
PYTHON_FOLDERS = f"{PACKAGE_FOLDER}:{SHARED_FOLDER}"
PLAIN_PIPELINE = f"{TESTS / 'plain_pipeline.py'}:PlainPipeline"


class SpawnedRunner(SpawnedProgram):
    def __init__(
        self, environment: dict[str, str] | None = None, pipeline: str | None = PLAIN_PIPELINE
    ) -> None:
        arguments = [] if pipeline is None else ["--pipeline", pipeline]
        encoder = {"OPENSORA_ENCODER_COMMAND": json.dumps(COPY_ENCODER)}
        environment = {**encoder, **(environment or {})}
        super().__init__("sluice_open_sora", [PACKAGE_FOLDER], arguments, **environment)

    def load(self, model: str = "open-sora-2", models: list[dict[str, Any]] | None = None) -> dict[str, Any]:
        return super().load(model, models)


class RunnerTest(unittest.TestCase):
    """Tests that start runners; each is ended, and must have been able to end."""

    maxDiff = None

    def start(
        self,
        environment: dict[str, str] | None = None,
        load: bool = True,
        models: list[dict[str, Any]] | None = None,
        **more: Any,
    ) -> SpawnedRunner:
        """`models`: those it serves; the first is loaded."""
        runner = SpawnedRunner(environment, **more)
        self.addCleanup(runner.close)
        if load:
            runner.load("open-sora-2" if models is None else models[0]["id"], models)
        return runner
