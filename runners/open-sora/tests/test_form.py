"""The form of the runner's source: it compiles, its imports are there, its functions and lines are short."""

from __future__ import annotations

import ast
import re
import unittest
from collections.abc import Iterator
from pathlib import Path

from tests.spawned_runner import PACKAGE_FOLDER, TESTS

SOURCE = PACKAGE_FOLDER / "sluice_open_sora"
FUNCTION_LINES_MAX = 70
# `self` and `cls` not counted.
PARAMETERS_MAX = 4
COLUMNS_MAX = 110

Function = ast.FunctionDef | ast.AsyncFunctionDef


def faults_of(source: str) -> list[str]:
    """Functions that are too large and have no comment above with a reason (`parameters:`, `lines:`)."""
    lines = source.splitlines()
    return [fault for function in _functions(ast.parse(source)) for fault in _faults_of(function, lines)]


def _functions(tree: ast.Module) -> Iterator[Function]:
    return (node for node in ast.walk(tree) if isinstance(node, Function))


def _faults_of(function: Function, lines: list[str]) -> Iterator[str]:
    first = min([function.lineno, *(decorator.lineno for decorator in function.decorator_list)])
    above = lines[first - 2] if first > 1 else ""
    length = (function.end_lineno or function.lineno) - function.lineno + 1
    if length > FUNCTION_LINES_MAX and not re.search(r"#.* lines: \S", above):
        yield f"{function.name} has {length} lines; allowed are {FUNCTION_LINES_MAX}"
    count = _parameter_count(function.args)
    if count > PARAMETERS_MAX and not re.search(r"#.* parameters: \S", above):
        yield f"{function.name} has {count} parameters; allowed are {PARAMETERS_MAX}"


def _parameter_count(arguments: ast.arguments) -> int:
    named = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    rest = [each for each in (arguments.vararg, arguments.kwarg) if each is not None]
    return len([each for each in (*named, *rest) if each.arg not in ("self", "cls")])


def missing_imports(source: str, path: Path) -> list[str]:
    """Imports from this package or its tests that name a module or a name that is not there.

    Most of them are executed by no test here, since torch is not installed.
    """
    return [
        f"{target}: {alias.name}"
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.ImportFrom) and (target := _own_module(node, path)) is not None
        for alias in node.names
        if not _defines(target, alias.name)
    ]


def _own_module(node: ast.ImportFrom, path: Path) -> Path | None:
    """The module's file without `.py`, or its folder; None for a module of somebody else."""
    parts = [] if node.module is None else node.module.split(".")
    if node.level > 0:
        return path.parents[node.level - 1].joinpath(*parts)
    return PACKAGE_FOLDER.joinpath(*parts) if parts[0] in ("tests", "sluice_open_sora") else None


def _defines(module: Path, name: str) -> bool:
    if (module / f"{name}.py").exists() or (module / name).is_dir():
        return True
    file = module / "__init__.py" if module.is_dir() else module.with_suffix(".py")
    return file.exists() and name in _top_level_names(ast.parse(file.read_text(encoding="utf-8")))


def _top_level_names(tree: ast.Module) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            names.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            names.update(alias.asname or alias.name for alias in node.names)
    return names


class Source(unittest.TestCase):
    def test_every_import_of_its_own_names_what_is_there(self) -> None:
        for folder in (SOURCE, TESTS):
            for path in sorted(folder.rglob("*.py")):
                with self.subTest(path.name):
                    self.assertEqual(missing_imports(path.read_text(encoding="utf-8"), path), [])

    def test_every_file_compiles(self) -> None:
        for folder in (SOURCE, TESTS):
            for path in folder.rglob("*.py"):
                with self.subTest(path.name):
                    compile(path.read_text(encoding="utf-8"), str(path), "exec")

    def test_functions_are_short_and_have_few_parameters(self) -> None:
        paths = sorted(SOURCE.rglob("*.py"))
        self.assertGreater(len(paths), 30)
        for path in paths:
            with self.subTest(path.name):
                self.assertEqual(faults_of(path.read_text(encoding="utf-8")), [])

    def test_lines_fit_the_column_bound(self) -> None:
        for folder in (SOURCE, TESTS):
            for path in sorted(folder.rglob("*.py")):
                lines = path.read_text(encoding="utf-8").splitlines()
                with self.subTest(path.name):
                    self.assertEqual(
                        [n for n, line in enumerate(lines, start=1) if len(line) > COLUMNS_MAX], []
                    )


class Faults(unittest.TestCase):
    def test_an_import_of_a_module_or_a_name_that_is_gone_is_found(self) -> None:
        here = TESTS / "test_form.py"
        self.assertEqual(len(missing_imports("from tests.gone import REAL\n", here)), 1)
        self.assertEqual(len(missing_imports("from tests.test_form import gone\n", here)), 1)
        self.assertEqual(len(missing_imports("from .test_form import gone\n", here)), 1)
        self.assertEqual(missing_imports("from tests.test_form import faults_of\n", here), [])
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
