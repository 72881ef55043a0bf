"""All that a scheduler remembers between two steps, taken apart into JSON and tensors, and put back.

No scheduler is known by name: whatever its attributes hold is its state. One that holds something else than
numbers, words, lists and tensors cannot be kept (a noise sampler with a generator of its own, say): then no
checkpoint is taken, and a video starts again from its first step.
"""

from __future__ import annotations

from typing import Any, Callable, Mapping

# Attributes that are a scheduler's configuration, not its state.
_CONFIGURATION = ("_internal_dict",)


class NotKept(Exception):
    """Something in the state is of a kind that cannot be written; the message names it."""


def take_apart(
    attributes: Mapping[str, Any], is_tensor: Callable[[Any], bool], first: int = 0
) -> tuple[Any, list[Any]]:
    """Returns the state as JSON can hold it, and the tensors that it names by their place, from `first` on.

    Raises NotKept."""
    state = {name: value for name, value in attributes.items() if name not in _CONFIGURATION}
    return take_value(state, is_tensor, first)


def take_value(value: Any, is_tensor: Callable[[Any], bool], first: int = 0) -> tuple[Any, list[Any]]:
    """As `take_apart`, of anything."""
    tensors: list[Any] = []

    def apart(name: str, value: Any) -> Any:
        if value is None or type(value) in (bool, int, str):
            return value
        if type(value) is float:
            # As text: JSON has no infinity, and a schedule may end with one.
            return {"float": value.hex()}
        if is_tensor(value):
            tensors.append(value)
            return {"tensor": first + len(tensors) - 1}
        if type(value) in (list, tuple):
            parts = [apart(f"{name}[{index}]", part) for index, part in enumerate(value)]
            return {type(value).__name__: parts}
        if type(value) is dict and all(type(key) is str for key in value):
            return {"dict": {key: apart(f"{name}.{key}", part) for key, part in value.items()}}
        raise NotKept(f"{name.removeprefix('.')} is a {type(value).__name__}")

    return apart("", value), tensors


def put_together(value: Any, tensors: list[Any]) -> Any:
    """Returns what was taken apart."""
    if not isinstance(value, dict):
        return value
    ((kind, content),) = value.items()
    if kind == "float":
        return float.fromhex(content)
    if kind == "tensor":
        return tensors[content]
    if kind == "dict":
        return {key: put_together(part, tensors) for key, part in content.items()}
    parts = [put_together(part, tensors) for part in content]
    return tuple(parts) if kind == "tuple" else parts
