"""`python -m runner_tests.timed MODULE SECONDS`: unittest, with each test's name and time as it ends.

A test, or the set-up of a class, that takes more than SECONDS ends the process; where it hangs is printed."""

from __future__ import annotations

import faulthandler
import sys
import time
import unittest
from typing import Any


def result_class(seconds: float) -> type[unittest.TextTestResult]:
    class Timed(unittest.TextTestResult):
        def startTest(self, test: unittest.TestCase) -> None:
            super().startTest(test)
            self._started_at = time.monotonic()
            faulthandler.dump_traceback_later(seconds, exit=True)
            print(f"{test.id()} ...", file=sys.stderr, flush=True)

        def stopTest(self, test: unittest.TestCase) -> None:
            super().stopTest(test)
            took = time.monotonic() - self._started_at
            print(f"{test.id()} took {took:.1f} s", file=sys.stderr, flush=True)
            # For what comes before the next test: the set-up of its class.
            faulthandler.dump_traceback_later(seconds, exit=True)

    return Timed


def main(module: str, seconds: float) -> int:
    faulthandler.dump_traceback_later(seconds, exit=True)
    suite = unittest.defaultTestLoader.loadTestsFromName(module)
    runner: Any = unittest.TextTestRunner(resultclass=result_class(seconds))
    return 0 if runner.run(suite).wasSuccessful() else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], float(sys.argv[2])))
