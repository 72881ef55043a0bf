"""Lets an engine's own HTTP layer be imported without its device code: modules that are named here are
found, and whatever is asked of them is a class that does nothing."""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import sys
from types import ModuleType


class _Anything(type):
    """Stands as a base class, an annotation, a decorator or a value; so do its attributes."""

    def __getattr__(cls, name: str) -> type:
        if name.startswith("__"):
            raise AttributeError(name)
        return _anything(name)

    def __call__(cls, *args, **kwargs):
        if not cls.__dict__.get("_is_stand_in", False):
            return super().__call__(*args, **kwargs)
        # A decorator gives back what it decorates.
        return args[0] if len(args) == 1 and callable(args[0]) else _anything(cls.__name__)

    def __getitem__(cls, _key):
        return cls

    def __iter__(cls):
        return iter(())

    def __enter__(cls):
        return cls

    def __exit__(cls, *_):
        return None


def _pydantic_any(_cls, _source, _handler):
    from pydantic_core import core_schema

    return core_schema.any_schema()


def _anything(name: str) -> type:
    members = {
        "_is_stand_in": True,
        "__get_pydantic_core_schema__": classmethod(_pydantic_any),
        "__init_subclass__": classmethod(lambda _cls, **_: None),
    }
    return _Anything(name, (), members)


class _StandIn(ModuleType):
    def __init__(self, name: str, real: tuple[str, ...]) -> None:
        super().__init__(name)
        self._real = real

    def __getattr__(self, name: str) -> object:
        if name.startswith("__"):
            raise AttributeError(name)
        full = f"{self.__name__}.{name}"
        if any(_is_below(real, (full,)) for real in self._real):
            return importlib.import_module(full)
        value = _anything(name)
        setattr(self, name, value)
        return value


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds everything below the names. What is `real` is left to Python; packages above it are empty."""

    def __init__(self, names: tuple[str, ...], real: tuple[str, ...]) -> None:
        self.names, self.real = names, real

    def find_spec(self, name, path=None, target=None):
        if not _is_below(name, self.names) or _is_below(name, self.real):
            return None
        spec = importlib.machinery.ModuleSpec(name, self, is_package=True)
        if any(_is_below(real, (name,)) for real in self.real):
            found = importlib.machinery.PathFinder.find_spec(name, path)
            if found is None or found.submodule_search_locations is None:
                raise SystemExit(f"{name} is not installed")
            spec.submodule_search_locations = found.submodule_search_locations
        return spec

    def create_module(self, spec):
        return _StandIn(spec.name, self.real)

    def exec_module(self, module):
        pass


def _is_below(name: str, above: tuple[str, ...]) -> bool:
    return any(name == one or name.startswith(f"{one}.") for one in above)


def stand_in_for(*names: str, real: tuple[str, ...] = ()) -> None:
    """Modules of these names and below are stand-ins from now on, but for those that are real."""
    sys.meta_path.insert(0, _Finder(names, real))
