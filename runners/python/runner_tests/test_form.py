from __future__ import annotations

import unittest
from pathlib import Path

from runner_tests.source_form import FUNCTION_LINES_MAX, SourceForm, faults_of, missing_imports

TESTS = Path(__file__).resolve().parent


class Source(SourceForm, unittest.TestCase):
    source, tests, files_min = TESTS.parent / "sluice_runner", TESTS, 30


class Faults(unittest.TestCase):
    def test_an_import_of_a_module_or_a_name_that_is_gone_is_found(self) -> None:
        here = TESTS / "test_form.py"
        self.assertEqual(len(missing_imports("from runner_tests.gone import REAL\n", here)), 1)
        self.assertEqual(len(missing_imports("from runner_tests.test_form import gone\n", here)), 1)
        self.assertEqual(len(missing_imports("from .test_form import gone\n", here)), 1)
        self.assertEqual(missing_imports("from runner_tests.source_form import faults_of\n", here), [])
        self.assertEqual(missing_imports("from torch import gone\n", here), [])

    def test_what_is_too_large_is_found_unless_a_comment_gives_the_reason(self) -> None:
        long = "def f():\n" + "    pass\n" * FUNCTION_LINES_MAX
        many = "class C:\n    def __init__(self, a, b, c, *, d, e): pass\n"
        self.assertEqual(faults_of(long), ["f has 71 lines; allowed are 70"])
        self.assertEqual(faults_of("# One table, 71 lines: each row is a case.\n" + long), [])
        self.assertEqual(faults_of(many), ["__init__ has 5 parameters; allowed are 4"])
        self.assertEqual(faults_of(many.replace("    def", "    # Five parameters: two pairs.\n    def")), [])
        self.assertEqual(
            faults_of("async def g(a, b, c, d, *rest): pass\n"), ["g has 5 parameters; allowed are 4"]
        )
        fits = "def f(a, b, c, d):\n" + "    pass\n" * (FUNCTION_LINES_MAX - 1)
        self.assertEqual(faults_of(fits), [])
