from __future__ import annotations

import unittest

from runner_tests.source_form import SourceForm
from tests.spawned_runner import PACKAGE_FOLDER, TESTS


class Source(SourceForm, unittest.TestCase):
    source, tests, files_min = PACKAGE_FOLDER / "sluice_open_sora", TESTS, 12
