"""One video's steps, seen from outside the pipeline that makes them.

Stand-ins take the place of the transformer's `forward` and of the scheduler's class for the time of one call
of the pipeline. A resumed call starts at its first step like any other, so the pipeline's own loop is never
cut: for steps that are done the transformer answers zeros, and the scheduler what it answered at the last of
them; with that one it gets its memory back, and the generator its state.
"""

from __future__ import annotations

import functools
import json
import time
from contextlib import contextmanager
from typing import Any, Callable, Iterator, Mapping

import numpy
import torch

from sluice_runner.checkpoint import Tensor
from sluice_runner.failure import RunnerFailure
from sluice_runner.log import log
from sluice_runner.pipeline import Job, StepGate
from sluice_runner.with_torch.device import synchronize
from sluice_runner.with_torch.tensors import pack_tensor, unpack_tensor

from ..families import Family
from ..kept_state import NotKept, put_together, take_apart, take_value

STATE = "state"
GENERATOR = "generator"


class Steps:
    def __init__(self, job: Job, gate: StepGate, family: Family, generator: torch.Generator) -> None:
        self._job = job
        self._gate = gate
        self._family = family
        self._generator = generator
        self._device = generator.device
        self._done = 0
        self._has_begun = False
        # Schedulers in the order in which they step: LTX-2 has one for frames and one for sound.
        self._schedulers: list[Any] = []
        # What each returned last.
        self._results: dict[int, Any] = {}
        self._encode_at = time.monotonic()
        self._denoise_at: float | None = None
        self._decode_at: float | None = None

    @contextmanager
    def watching(self, pipeline: Any) -> Iterator[None]:
        """Puts the stand-ins in, and takes them out again whatever happens."""
        forwards = []
        for name in self._family.denoisers:
            module = getattr(pipeline, name, None)
            if module is not None:
                # With offload the library has put its own `forward` there.
                forwards.append((module, module.__dict__.get("forward")))
                module.forward = self._stand_in(module)
        scheduler = pipeline.scheduler
        # A new one each time: what an earlier video left in it must not count.
        pipeline.scheduler = _watched(type(scheduler).from_config(scheduler.config), self._on_step)
        try:
            yield
        finally:
            pipeline.scheduler = scheduler
            for module, forward in forwards:
                if forward is None:
                    del module.forward
                else:
                    module.forward = forward

    def after_step(self, *_: Any) -> dict[str, Any]:
        """The pipeline's callback_on_step_end. Raises Stopped."""
        self._done += 1
        start = self._job.start_step
        if self._done == start:
            self._generator.set_state(self._stored(GENERATOR).cpu())
        if self._done > start:
            synchronize(self._device)
            self._gate.boundary(self._done, self._capture)
        if self._done == self._job.generation.num_steps:
            self._decode_at = time.monotonic()
            self._gate.alive("decode")
        return {}

    def alive(self) -> None:
        """Called by every layer of every model."""
        if self._denoise_at is None:
            self._gate.alive("encode")
        elif self._decode_at is None:
            self._gate.alive("denoise", self._done, self._job.generation.num_steps)
        else:
            self._gate.alive("decode")

    def check_count(self) -> None:
        """Raises RunnerFailure when the pipeline made another number of steps than was asked for."""
        asked = self._job.generation.num_steps
        if self._done != asked:
            raise RunnerFailure("internal", f"the pipeline made {self._done} steps; asked was {asked}")

    def timings(self) -> dict[str, float]:
        """Seconds by phase, once all are over."""
        now = time.monotonic()
        denoise_at, decode_at = self._denoise_at or now, self._decode_at or now
        return {
            "encode": denoise_at - self._encode_at,
            "denoise": decode_at - denoise_at,
            "decode": now - decode_at,
        }

    # Stand-ins

    def _stand_in(self, module: Any) -> Callable[..., Any]:
        forward = module.forward

        @functools.wraps(forward)
        def watched(*args: Any, **kwargs: Any) -> Any:
            if self._done < self._job.start_step:
                return self._zeros(module, kwargs)
            if not self._has_begun:
                self._has_begun = True
                synchronize(self._device)
                self._denoise_at = time.monotonic()
                self._gate.boundary(self._done, self._capture)
            return forward(*args, **kwargs)

        return watched

    def _zeros(self, module: Any, given: Mapping[str, Any]) -> tuple[torch.Tensor, ...]:
        """What the transformer returns, of the right shape: guidance is still computed with it."""
        config = module.config
        frames = self._zeros_like(given["hidden_states"], config.out_channels or config.in_channels)
        if "audio_hidden_states" not in given:
            return (frames,)
        return frames, self._zeros_like(given["audio_hidden_states"], config.audio_out_channels)

    def _zeros_like(self, hidden: torch.Tensor, channels: int) -> torch.Tensor:
        shape = list(hidden.shape)
        shape[self._family.channels_at] = channels
        return torch.zeros(shape, dtype=hidden.dtype, device=hidden.device)

    def _on_step(self, scheduler: Any, step: Callable[[], Any]) -> Any:
        if not any(known is scheduler for known in self._schedulers):
            self._schedulers.append(scheduler)
        place = next(index for index, known in enumerate(self._schedulers) if known is scheduler)
        if self._done >= self._job.start_step:
            self._results[place] = step()
            return self._results[place]
        is_last = self._done == self._job.start_step - 1
        if is_last or place not in self._results:
            attributes, result = self._stored_state()["schedulers"][place]
            # Read anew at the last: nothing can have changed them in place.
            tensors = self._stored_tensors()
            self._results[place] = put_together(result, tensors)
            if is_last:
                vars(scheduler).update(put_together(attributes, tensors))
        return self._results[place]

    # Checkpoints

    def _capture(self) -> Mapping[str, Tensor] | None:
        """None when a scheduler's memory cannot be kept."""
        tensors: list[Any] = []
        schedulers = []
        try:
            for place, scheduler in enumerate(self._schedulers):
                attributes, own = take_apart(vars(scheduler), _is_tensor, len(tensors))
                tensors += own
                result, own = take_value(self._results[place], _is_tensor, len(tensors))
                tensors += own
                schedulers.append([attributes, result])
        except NotKept as error:
            log(f"no checkpoint is taken: {type(scheduler).__name__}: {error}")
            return None
        where = [_where(tensor) for tensor in tensors]
        text = json.dumps({"schedulers": schedulers, "where": where}).encode()
        kept = {STATE: Tensor("U8", (len(text),), text), GENERATOR: pack_tensor(self._generator.get_state())}
        for index, tensor in enumerate(tensors):
            kept[f"tensor.{index}"] = pack_tensor(torch.as_tensor(tensor))
        return kept

    def _stored_state(self) -> dict[str, Any]:
        assert self._job.resume is not None
        state: dict[str, Any] = json.loads(self._job.resume.tensors[STATE].data)
        return state

    def _stored_tensors(self) -> list[Any]:
        """Each where it was: on the device, on the host, or numpy's."""
        tensors = []
        for index, where in enumerate(self._stored_state()["where"]):
            tensor = self._stored(f"tensor.{index}")
            placed = tensor.to(self._device) if where == "device" else tensor
            tensors.append(placed.numpy() if where == "numpy" else placed)
        return tensors

    def _stored(self, name: str) -> torch.Tensor:
        assert self._job.resume is not None
        return unpack_tensor(self._job.resume.tensors[name], torch.device("cpu"))


def _is_tensor(value: Any) -> bool:
    return isinstance(value, (torch.Tensor, numpy.ndarray))


def _where(tensor: Any) -> str:
    if not isinstance(tensor, torch.Tensor):
        return "numpy"
    return "host" if tensor.device.type == "cpu" else "device"


def _watched(scheduler: Any, on_step: Callable[[Any, Callable[[], Any]], Any]) -> Any:
    """Returns the same scheduler with a class of the same name whose `step` goes through `on_step`.

    A class, not an attribute: LTX-2 copies its scheduler."""
    original = type(scheduler)

    @functools.wraps(original.step)
    def step(self: Any, *args: Any, **kwargs: Any) -> Any:
        return on_step(self, lambda: original.step(self, *args, **kwargs))

    scheduler.__class__ = type(original.__name__, (original,), {"step": step})
    return scheduler
