"""The rank group and the model it has: loads, switches, and ends it (model_state.py)."""

from __future__ import annotations

import time
from typing import Any, Iterable, Protocol

from .failure import RunnerFailure
from .log import log
from .loop import Loop
from .model_state import Loading, Lost, ModelState, NoModel, Ready, Served, Switching
from .model_weights import ModelWeights, request_of_models
from .pipeline import Loaded, Readiness
from .rank_group import GroupStart, RankGroup
from .replies import Replies
from .requests import Load
from .settings import RunnerSettings

# A first load says so this often, in seconds.
NEWS_S = 1.0


class ModelEvents(Protocol):
    """What a change of the ranks means for the video that has them (current_video.py)."""

    def on_loaded(self) -> None:
        """All ranks are ready for a video."""

    def on_switch_failed(self, failure: RunnerFailure) -> None:
        """The ranks could not be started again and are gone; must call `go_back` or `lose`."""

    def on_ranks_died(self, how: str) -> None:
        """The ranks are gone; must call `lose`."""

    def on_video_message(self, rank: int, message: dict[str, Any]) -> None:
        """A rank says something about a video."""


class Models:
    """There is a rank group in the states Loading, Ready and Switching."""

    def __init__(self, settings: RunnerSettings, pipeline_spec: str, loop: Loop, replies: Replies) -> None:
        self._settings = settings
        self._pipeline_spec = pipeline_spec
        self._loop = loop
        self._replies = replies
        self._state = ModelState()
        self._events: ModelEvents | None = None
        self._group: RankGroup | None = None
        # Ranks of the present group that have loaded, and what they said.
        self._loaded: dict[int, Loaded] = {}
        self._started_at = self._news_at = 0.0
        # Whether memory ran out while a model loaded whole, with nothing made yet.
        self._loads_with_offload_alone = False

    def listen(self, events: ModelEvents) -> None:
        self._events = events

    @property
    def ranks(self) -> int:
        return self._settings.ranks

    @property
    def weights(self) -> str | None:
        """The model whose weights are on the device; None while they change or a model loads."""
        now = self._state.now
        return now.weights if isinstance(now, Ready) else None

    @property
    def is_offloaded(self) -> bool:
        return self._group is not None and self._group.offload

    @property
    def must_end_runner(self) -> bool:
        """The ranks are gone, and no video failed with them: the worker does not know."""
        now = self._state.now
        return isinstance(now, Lost) and not now.reported

    def served(self) -> Served:
        """What videos can be made of. Raises RunnerFailure when there is no model, or none any more."""
        now = self._state.now
        if isinstance(now, Lost):
            raise RunnerFailure(
                "device_lost", f"{now.why}; this runner must be started again", retryable=True
            )
        if isinstance(now, (NoModel, Loading)):
            raise RunnerFailure("model_missing", "no model is loaded; send load first")
        return now.served

    def load(self, request: Load) -> None:
        """The same request again says `ready` again; another one while there are ranks is refused."""
        now = self._state.now
        if isinstance(now, (NoModel, Lost)):
            self._state.change(Loading(request))
            self._start_group(request.model, request.models, offload=self._offload_default)
            return
        asked = now.load if isinstance(now, Loading) else now.served.load
        if request != asked:
            why = f"this runner has taken another load, of {asked.model!r}"
            message = f"model {request.model!r} cannot be loaded: {why}"
            self._replies.load_failed(RunnerFailure("model_missing", message))
        elif not isinstance(now, Loading):
            self._replies.ready(now.served.readiness)

    def must_restart_for(self, model: str) -> bool:
        """Whether ranks have to start again for a video of `model`, since they last finished loading."""
        now = self._state.now
        if not isinstance(now, (Ready, Switching)):
            return False
        last = now.model if isinstance(now, Ready) else now.previous
        return self._must_restart(now.served, last, model)

    def turn_to(self, model: str) -> bool:
        """Returns whether the ranks can take a video of `model` now; otherwise `on_loaded` follows.

        One rank switches in place when the video comes, unless the other model has a folder or a precision of
        its own: a new process surely has all of the device's memory. Ranks that offload for one video that
        ran out of memory start again without. Over several ranks the weights lie split or copied, and one
        that failed alone would leave the rest waiting: they all start again with another model."""
        now = self._state.now
        if isinstance(now, (Ready, Switching)) and self._must_restart(now.served, now.model, model):
            self._restart(model, offload=self._offload_default)
            return False
        return isinstance(now, Ready)

    def restart(self) -> None:
        """Starts the ranks again as they were."""
        now = self._state.now
        assert isinstance(now, Ready)
        self._restart(now.model, offload=self._offload_default)

    def restart_with_offload(self, model: str) -> None:
        self._restart(model, offload=True)

    @property
    def can_go_back(self) -> bool:
        """A switch to another model is on its way, or failed: there is one that worked before."""
        now = self._state.now
        return isinstance(now, Switching) and now.model != now.previous

    def go_back(self) -> None:
        """Starts the ranks again with the model before the switch."""
        now = self._state.now
        assert isinstance(now, Switching)
        self._restart(now.previous, offload=self._offload_default)

    def lose(self, why: str, *, reported: bool) -> None:
        """Ends the ranks for good; `reported`: a video fails with it (Lost)."""
        self._end_group()
        self._state.change(Lost(why, reported))

    def send_video(self, model: str, message: dict[str, Any]) -> None:
        """Hands the ranks a video of `model`, to whose weights a single rank switches first."""
        now = self._state.now
        assert isinstance(now, Ready) and self._group is not None
        if model != now.weights:
            self._state.change(Ready(now.served, now.model, None))
        self._group.send_all(message)

    def on_weights_in_use(self, model: str) -> None:
        """The ranks have begun to make something of `model`: its weights are on the device."""
        now = self._state.now
        assert isinstance(now, Ready)
        if now.weights != model:
            self._state.change(Ready(now.served, now.model, model))

    def send_leader(self, message: dict[str, Any]) -> None:
        assert self._group is not None
        self._group.send_leader(message)

    def tick(self, now: float) -> None:
        """Says that a first load goes on, and gives up a load that takes too long."""
        if self._group is None or isinstance(self._state.now, Ready):
            return
        bound_ms = self._settings.load_ms_max
        if now - self._started_at > bound_ms / 1000:
            message = f"the model has not loaded within {bound_ms} ms"
            self._fail_load(RunnerFailure("internal", message, retryable=True))
        elif isinstance(self._state.now, Loading) and now - self._news_at >= NEWS_S:
            self._news_at = now
            self._replies.load_progress()

    def close(self) -> None:
        """Ends the ranks now."""
        self._end_group()

    # RankEvents

    def on_rank_message(self, rank: int, message: dict[str, Any]) -> None:
        if message["type"] == "ready":
            # What vars() took apart on the other side; JSON has no tuples.
            said: dict[str, Any] = {
                key: tuple(value) if isinstance(value, list) else value
                for key, value in message["readiness"].items()
            }
            loaded = Loaded(Readiness(**said), message["identities"], message["settled"])
            self._on_rank_loaded(rank, loaded)
        elif message["type"] == "failed" and "id" not in message:
            self._fail_load(RunnerFailure(message["code"], message["message"], message["retryable"]))
        else:
            self._listener.on_video_message(rank, message)

    def on_rank_death(self, how: str) -> None:
        log(how)
        self._end_group()
        if isinstance(self._state.now, Loading):
            self._state.change(NoModel())
            self._replies.load_failed(RunnerFailure("device_lost", how, retryable=True))
        else:
            self._listener.on_ranks_died(how)

    # Parts

    @property
    def _listener(self) -> ModelEvents:
        assert self._events is not None
        return self._events

    @property
    def _offload_default(self) -> bool:
        return self._settings.offload == "always" or self._loads_with_offload_alone

    def _must_restart(self, served: Served, one: str, other: str) -> bool:
        return not self._is_in_place(served, one, other) or self.is_offloaded != self._offload_default

    def _is_in_place(self, served: Served, one: str, other: str) -> bool:
        """Whether ranks that were started with one model can make the other's videos."""
        return one == other or (self.ranks == 1 and served.seat_of(one) == served.seat_of(other))

    def _restart(self, model: str, *, offload: bool) -> None:
        now = self._state.now
        assert isinstance(now, (Ready, Switching))
        previous = now.model if isinstance(now, Ready) else now.previous
        self._end_group()
        self._state.change(Switching(now.served, model, previous))
        self._start_group(model, self._models_with(model), offload=offload)

    def _models_with(self, model: str) -> list[ModelWeights]:
        """Returns the models that ranks are started with beside `model`: all at the first load, which checks
        their files; later only those that they can switch to in place."""
        now = self._state.now
        if isinstance(now, Loading):
            return list(now.load.models)
        assert isinstance(now, (Ready, Switching))
        served = now.served
        return [weights for weights in served.load.models if self._is_in_place(served, model, weights.id)]

    def _may_load_with_offload(self, failure: RunnerFailure) -> bool:
        is_short = failure.code == "out_of_memory" and not self.is_offloaded
        # Several ranks never use offload (Open-Sora's pipeline).
        return is_short and self._settings.offload == "retry" and self.ranks == 1

    def _start_group(self, model: str, models: Iterable[ModelWeights], *, offload: bool) -> None:
        self._started_at = time.monotonic()
        self._loaded = {}
        now = self._state.now
        settled = now.served.settled if isinstance(now, (Ready, Switching)) else {}
        start = GroupStart(self._pipeline_spec, self.ranks, offload, settled)
        self._group = RankGroup(start, self._loop, self)
        pids = " ".join(map(str, self._group.pids))
        log(f"{self.ranks} rank(s) load {model}{' with offload' if offload else ''}: {pids}")
        self._group.send_all({"type": "load", "model": model, "models": request_of_models(models)})

    def _end_group(self) -> None:
        if self._group is not None:
            self._group.kill()
        self._group = None
        self._loaded = {}

    def _on_rank_loaded(self, rank: int, loaded: Loaded) -> None:
        now, identities = self._state.now, loaded.identities
        assert isinstance(now, (Loading, Switching))
        if isinstance(now, Switching) and any(
            identities[id] != now.served.identities[id] for id in identities
        ):
            what = f"the weights of model {now.model!r} were replaced since this runner loaded"
            self._fail_load(RunnerFailure("model_missing", f"{what}; start the worker again"))
            return
        self._loaded[rank] = loaded
        if len(self._loaded) < self.ranks:
            return
        if any(other.identities != identities for other in self._loaded.values()):
            # A checkpoint of theirs would be no rank's own.
            each = (f"rank {number}: {_uses_of(self._loaded[number])}" for number in range(self.ranks))
            said = "; ".join(each)
            self._fail_load(RunnerFailure("model_missing", f"the ranks do not compute alike: {said}"))
            return
        log(f"loaded in {time.monotonic() - self._started_at:.1f} s")
        if isinstance(now, Loading):
            leading = self._loaded[0]
            served = Served(now.load, leading.readiness, identities, leading.settled)
            self._state.change(Ready(served, now.load.model, now.load.model))
            self._replies.ready(served.readiness)
        else:
            self._state.change(Ready(now.served, now.model, now.model))
        self._listener.on_loaded()

    def _fail_load(self, failure: RunnerFailure) -> None:
        if self._may_load_with_offload(failure):
            log(f"the model does not fit whole; loading again with offload: {failure.message}")
            now = self._state.now
            assert isinstance(now, (Loading, Switching))
            self._loads_with_offload_alone = True
            model = now.load.model if isinstance(now, Loading) else now.model
            self._end_group()
            self._start_group(model, self._models_with(model), offload=True)
            return
        self._end_group()
        if isinstance(self._state.now, Loading):
            self._state.change(NoModel())
            self._replies.load_failed(failure)
        else:
            self._listener.on_switch_failed(failure)


def _uses_of(loaded: Loaded) -> str:
    return ", ".join(f"{name} {used}" for name, used in loaded.readiness.uses.items())
