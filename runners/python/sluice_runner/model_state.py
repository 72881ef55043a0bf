"""Which model the runner has: one state at a time, and a table of the changes that are allowed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Hashable, Mapping

from .makes import OPEN_SORA_MAKES, Makes
from .pipeline import Readiness
from .requests import Load


@dataclass(frozen=True)
class Served:
    """What the first load settled, and no switch changes.

    `identities` tell each model's own weights from others, by model id; `settled` is what ranks that start
    later are told of the first ones' decisions (Loaded)."""

    load: Load
    readiness: Readiness
    identities: Mapping[str, str]
    settled: Mapping[str, str] = field(default_factory=dict)

    def seat_of(self, model: str) -> Hashable:
        """Models of one seat can be changed for each other in place. A folder and a precision have their own;
        what was quantized is no longer the numbers that a file changes, so each of its files has one too."""
        weights = next((weights for weights in self.load.models if weights.id == model), None)
        if weights is None:
            return None
        files = None if weights.precision is None else (weights.checkpoint, weights.lora)
        return (weights.folder, weights.precision, files)

    def makes_of(self, model: str) -> Makes:
        own = [weights.makes for weights in self.load.models if weights.id == model]
        return own[0] if own else OPEN_SORA_MAKES


@dataclass(frozen=True)
class NoModel:
    """Nothing was loaded yet, or the first load failed; there are no ranks."""


@dataclass(frozen=True)
class Loading:
    """The first load: the ranks load `load.model`, and check the files of all its models."""

    load: Load


@dataclass(frozen=True)
class Ready:
    """All ranks have loaded. `model`: what they were started with. `weights`: the model whose weights are on
    the device; None from the moment a single rank changes them until it reports a step with the new ones."""

    served: Served
    model: str
    weights: str | None


@dataclass(frozen=True)
class Switching:
    """The ranks start again, with `model`: another one, or the same after an error of a rank or with offload.
    `previous`: the last model that ranks finished loading."""

    served: Served
    model: str
    previous: str


@dataclass(frozen=True)
class Lost:
    """There are no ranks any more, `why`; the worker must start a new runner. `reported`: a video failed with
    it, so the worker knows. Otherwise nobody would ask for a new runner, so this one has to end by itself."""

    why: str
    reported: bool


State = NoModel | Loading | Ready | Switching | Lost

_FOLLOWERS: Mapping[type, tuple[type, ...]] = {
    NoModel: (Loading,),
    Loading: (Ready, NoModel),
    Ready: (Ready, Switching, Lost),
    Switching: (Ready, Switching, Lost),
    # `load` takes a runner that lost its ranks back to the beginning.
    Lost: (Loading,),
}


class IllegalChange(AssertionError):
    """A mistake in this program: a state was entered from one that may not come before it."""


class ModelState:
    """`change` is the only way to another state."""

    def __init__(self) -> None:
        self._now: State = NoModel()

    @property
    def now(self) -> State:
        return self._now

    def change(self, to: State) -> None:
        """Raises IllegalChange, and keeps the state, when `to` may not follow it."""
        if type(to) not in _FOLLOWERS[type(self._now)] or not _is_consistent(self._now, to):
            raise IllegalChange(f"{to} may not follow {self._now}")
        self._now = to


def _is_consistent(now: State, to: State) -> bool:
    """Ranks get ready with the model they were started with; only a first load changes what is served."""
    if isinstance(now, Loading) and isinstance(to, Ready):
        return to.served.load == now.load and to.model == now.load.model
    if isinstance(now, (Ready, Switching)) and isinstance(to, (Ready, Switching)):
        return to.served is now.served and (isinstance(to, Switching) or to.model == now.model)
    return True
