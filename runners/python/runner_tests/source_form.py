"""For tests: the form of a runner's source: it compiles, its imports are there, functions and lines are
short."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

# runners/: each folder in it may hold packages.
RUNNERS = Path(__file__).resolve().parent.parent.parent
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
    # The folder of a runner in which this file is: `tests` means another one in each.
    own = RUNNERS / path.relative_to(RUNNERS).parts[0]
    folders = [folder for folder in (own, RUNNERS / "python") if (folder / parts[0]).is_dir()]
    return folders[0].joinpath(*parts) if folders else None


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


def imports_without_packages(package: Path, folders: list[Path]) -> str:
    """Imports each module of a package, without its subfolders and the encoder, with the standard library and
    `folders` alone. Returns what that printed as errors."""
    modules = [path.stem for path in package.glob("*.py") if path.stem not in ("__init__", "encode_frames")]
    named = ", ".join(f"{package.name}.{name}" for name in modules)
    # Isolated, and without site-packages.
    imports = f"import sys; sys.path[:0] = {[str(folder) for folder in folders]!r}; import {named}"
    done = subprocess.run([sys.executable, "-I", "-S", "-B", "-c", imports], capture_output=True, text=True)
    return done.stderr


class SourceForm:
    """For a TestCase: `source` is a package's folder, `tests` that of its tests."""

    source: Path
    tests: Path
    # So many files are there at least: a test that finds none says nothing.
    files_min = 1

    def files(self) -> list[Path]:
        return sorted(path for folder in (self.source, self.tests) for path in folder.rglob("*.py"))

    def test_every_import_of_its_own_names_what_is_there(self: Any) -> None:
        for path in self.files():
            with self.subTest(path.name):
                self.assertEqual(missing_imports(path.read_text(encoding="utf-8"), path), [])

    def test_every_file_compiles(self: Any) -> None:
        for path in self.files():
            with self.subTest(path.name):
                compile(path.read_text(encoding="utf-8"), str(path), "exec")

    def test_functions_are_short_and_have_few_parameters(self: Any) -> None:
        paths = sorted(self.source.rglob("*.py"))
        self.assertGreaterEqual(len(paths), self.files_min)
        for path in paths:
            with self.subTest(path.name):
                self.assertEqual(faults_of(path.read_text(encoding="utf-8")), [])

    def test_lines_fit_the_column_bound(self: Any) -> None:
        for path in self.files():
            lines = path.read_text(encoding="utf-8").splitlines()
            with self.subTest(path.name):
                self.assertEqual([n for n, line in enumerate(lines, start=1) if len(line) > COLUMNS_MAX], [])
