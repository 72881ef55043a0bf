"""The state of the model changes only as its table allows."""

from __future__ import annotations

import unittest

from sluice_runner.model_state import (
    IllegalChange,
    Loading,
    Lost,
    ModelState,
    NoModel,
    Ready,
    Served,
    State,
    Switching,
)
from sluice_runner.model_weights import ModelWeights
from sluice_runner.pipeline import Readiness
from sluice_runner.requests import Load
from sluice_runner.step_cache import StepCache

LOAD = Load("a")
READINESS = Readiness("h100", 1, 0, ("a", "b"), ("t2v",), 129, 589_824)
SERVED = Served(LOAD, READINESS, {})
LOADING = Loading(LOAD)
READY = Ready(SERVED, "a", "a")
SWITCHING = Switching(SERVED, "b", previous="a")
LOST = Lost("the rank is gone", reported=False)
# The way into each state.
WAYS: dict[type, tuple[State, ...]] = {
    NoModel: (),
    Loading: (LOADING,),
    Ready: (LOADING, READY),
    Switching: (LOADING, READY, SWITCHING),
    Lost: (LOADING, READY, LOST),
}
# Every state that may come next, in every form.
ALLOWED: dict[type, tuple[State, ...]] = {
    NoModel: (LOADING,),
    Loading: (READY, NoModel()),
    Ready: (Ready(SERVED, "a", None), Ready(SERVED, "a", "b"), SWITCHING, LOST),
    Switching: (Ready(SERVED, "b", "b"), Switching(SERVED, "a", previous="a"), LOST),
    Lost: (LOADING, Loading(Load("b"))),
}


def enter(kind: type) -> ModelState:
    state = ModelState()
    for step in WAYS[kind]:
        state.change(step)
    return state


class Changes(unittest.TestCase):
    def test_each_allowed_change_is_made(self) -> None:
        for kind, followers in ALLOWED.items():
            for to in followers:
                with self.subTest(f"{kind.__name__} to {to}"):
                    state = enter(kind)
                    state.change(to)
                    self.assertIs(state.now, to)

    def test_any_other_change_is_refused_and_leaves_the_state(self) -> None:
        for kind, followers in ALLOWED.items():
            refused = {type(to) for to in (NoModel(), LOADING, READY, SWITCHING, LOST)} - {
                type(to) for to in followers
            }
            for to in (NoModel(), LOADING, READY, SWITCHING, LOST):
                if type(to) in refused:
                    with self.subTest(f"{kind.__name__} to {type(to).__name__}"):
                        self.refuses(enter(kind), to)

    def test_ranks_are_ready_only_with_the_model_they_were_started_with(self) -> None:
        self.refuses(enter(Loading), Ready(SERVED, "b", "b"))
        self.refuses(enter(Ready), Ready(SERVED, "b", "b"))
        self.refuses(enter(Switching), READY)

    def test_what_is_served_never_changes_after_the_first_load(self) -> None:
        other = Served(Load("b"), SERVED.readiness, {})
        self.refuses(enter(Loading), Ready(other, "a", "a"))
        self.refuses(enter(Ready), Switching(other, "b", previous="a"))
        self.refuses(enter(Switching), Ready(other, "b", "b"))

    def refuses(self, state: ModelState, to: State) -> None:
        before = state.now
        with self.assertRaises(IllegalChange):
            state.change(to)
        self.assertIs(state.now, before)


class Seats(unittest.TestCase):
    def test_models_change_in_place_unless_folder_or_precision_differ_or_quantized_files_do(self) -> None:
        models = {
            "base": ModelWeights("base"),
            "tuned": ModelWeights("tuned", "/tuned"),
            "folder": ModelWeights("folder", folder="/folder"),
            "int8": ModelWeights("int8", precision="int8"),
            "int8 fast": ModelWeights("int8 fast", precision="int8", step_cache=StepCache(0.1)),
            "int8 tuned": ModelWeights("int8 tuned", "/tuned", precision="int8"),
            "fp8": ModelWeights("fp8", precision="fp8"),
        }
        served = Served(Load("base", tuple(models.values())), READINESS, {})
        seats = {id: served.seat_of(id) for id in models}
        self.assertEqual(seats["base"], seats["tuned"])
        self.assertEqual(seats["int8"], seats["int8 fast"])
        self.assertEqual(len(set(seats.values())), 5)
