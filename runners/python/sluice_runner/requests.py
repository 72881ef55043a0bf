"""Reads and checks the worker's requests (packages/shared/src/runner-protocol.ts)."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import Any, NoReturn

from .failure import RunnerFailure
from .generation import Generation, Reference, parse_generation
from .model_weights import ModelWeights, parse_models


@dataclass(frozen=True)
class Load:
    """`models`: all that are to be served; empty = `model` alone, with the runner's own weights."""

    model: str
    models: tuple[ModelWeights, ...] = ()


@dataclass(frozen=True)
class Resume:
    """A checkpoint of an earlier attempt, and how many finished steps the worker says it has."""

    step: int
    path: str


@dataclass(frozen=True)
class Generate:
    id: str
    request: Generation
    workdir: str
    resume: Resume | None
    references: tuple[Reference, ...]


@dataclass(frozen=True)
class Cancel:
    id: str


@dataclass(frozen=True)
class Yield:
    id: str


@dataclass(frozen=True)
class Shutdown:
    pass


Request = Load | Generate | Cancel | Yield | Shutdown


def parse_json(line: bytes) -> Any:
    """Raises RunnerFailure `bad_input`, also for NaN and Infinity, which Python takes by default."""

    def refuse(name: str) -> NoReturn:
        raise ValueError(f"{name} is no JSON number")

    try:
        return json.loads(line, parse_constant=refuse)
    except (ValueError, RecursionError) as error:
        raise RunnerFailure("bad_input", f"the request is not JSON: {error}") from None


def parse_request(value: Any) -> Request:
    """Raises RunnerFailure `bad_input`. Unknown fields are ignored, but refused in a generation."""
    if not isinstance(value, dict):
        raise RunnerFailure("bad_input", "a request must be an object")
    kind = value.get("type")
    if kind == "load":
        return _load(value)
    if kind == "generate":
        return Generate(
            id=_text(value, "id"),
            request=parse_generation(value.get("request")),
            workdir=_folder(value),
            resume=_resume(value.get("resume")),
            references=_references(value.get("references")),
        )
    if kind == "cancel":
        return Cancel(_text(value, "id"))
    if kind == "yield":
        return Yield(_text(value, "id"))
    if kind == "shutdown":
        return Shutdown()
    raise RunnerFailure(
        "bad_input", f"type is {json.dumps(kind)[:80]}; allowed are load, generate, cancel, yield, shutdown"
    )


def id_of(value: Any) -> str | None:
    """Returns the id of a request that may be broken otherwise."""
    found = value.get("id") if isinstance(value, dict) else None
    return found if isinstance(found, str) else None


def _load(value: dict[str, Any]) -> Load:
    model = _text(value, "model")
    if "models" not in value:
        return Load(model)
    models = parse_models(value["models"])
    ids = [weights.id for weights in models]
    if model not in ids:
        raise RunnerFailure(
            "bad_input",
            f"model is {json.dumps(model)[:80]}; allowed is one of models: {', '.join(ids)[:200]}",
        )
    return Load(model, models)


def _text(value: dict[str, Any], name: str) -> str:
    if not isinstance(value.get(name), str):
        raise RunnerFailure("bad_input", f"{name} is {json.dumps(value.get(name))[:80]}; allowed is text")
    return value[name]


def _folder(value: dict[str, Any]) -> str:
    path = _text(value, "workdir")
    if not os.path.isabs(path) or not os.path.isdir(path):
        raise RunnerFailure(
            "bad_input",
            f"workdir is {json.dumps(path)[:200]}; allowed is the absolute path of an existing folder",
        )
    return path


def _resume(value: Any) -> Resume | None:
    if value is None:
        return None
    if (
        not isinstance(value, dict)
        or type(value.get("step")) is not int
        or value["step"] < 0
        or not isinstance(value.get("path"), str)
    ):
        raise RunnerFailure("bad_input", "resume must be an object with a step of at least 0 and a path")
    return Resume(value["step"], value["path"])


def _references(value: Any) -> tuple[Reference, ...]:
    if value is None:
        return ()
    if not isinstance(value, list):
        raise RunnerFailure("bad_input", "references must be a list")
    found: list[Reference] = []
    for item in value:
        if (
            not isinstance(item, dict)
            or item.get("position") not in ("head", "tail")
            or not isinstance(item.get("path"), str)
        ):
            raise RunnerFailure(
                "bad_input", "each of references must have a position, head or tail, and a path"
            )
        if not os.path.isfile(item["path"]):
            raise RunnerFailure("bad_input", f"references: {json.dumps(item['path'])[:200]} is no file")
        found.append(Reference(item["position"], item["path"]))
    if len({reference.position for reference in found}) != len(found):
        raise RunnerFailure(
            "bad_input", "references name a position twice; allowed are one head and one tail"
        )
    return tuple(found)
