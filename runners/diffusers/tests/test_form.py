from __future__ import annotations

import unittest
from pathlib import Path

from runner_tests.source_form import SourceForm

TESTS = Path(__file__).resolve().parent


class Source(SourceForm, unittest.TestCase):
    source, tests, files_min = TESTS.parent / "sluice_diffusers", TESTS, 13
