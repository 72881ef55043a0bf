"""What the runner says to the worker: one method per reply of packages/shared/src/runner-protocol.ts."""

from __future__ import annotations

from typing import Any, Callable, Mapping

from .failure import RunnerFailure
from .makes import MODES
from .log import log
from .pipeline import Phase, Readiness

# The id of the progress that says a model is still loading; no video has it.
LOAD_ID = "load"


class Replies:
    """`send` writes one reply, whole."""

    def __init__(self, send: Callable[[dict[str, Any]], None]) -> None:
        self._send = send

    def ready(self, readiness: Readiness) -> None:
        split = readiness.sequence_ranks
        self._send(
            {
                "type": "ready",
                "device": readiness.device,
                "devices": readiness.devices,
                "vram_bytes": readiness.vram_bytes,
                "models": list(readiness.models),
                "modes": [mode for mode in MODES if mode in readiness.modes],
                "limits": {
                    "frames_max": readiness.frames_max,
                    "pixels_max": readiness.pixels_max,
                    **({"sequence_devices": split} if split > 1 else {}),
                },
                **({"uses": dict(readiness.uses)} if readiness.uses else {}),
            }
        )

    def started(self, video_id: str) -> None:
        self._send({"type": "started", "id": video_id})

    def progress(self, video_id: str, phase: Phase, step: int, steps: int) -> None:
        self._send({"type": "progress", "id": video_id, "phase": phase, "step": step, "steps": steps})

    def load_progress(self) -> None:
        self.progress(LOAD_ID, "load", 0, 1)

    def checkpoint(self, video_id: str, step: int, path: str) -> None:
        self._send({"type": "checkpoint", "id": video_id, "step": step, "path": path})

    def cancelled(self, video_id: str, step: int) -> None:
        self._send({"type": "cancelled", "id": video_id, "step": step})

    def yielded(self, video_id: str, step: int, path: str | None) -> None:
        """`path`: the checkpoint; None when there is none, so the next attempt starts as this one did."""
        self._send(
            {"type": "yielded", "id": video_id, "step": step, **({} if path is None else {"path": path})}
        )

    def released(self, video_id: str) -> None:
        self._send({"type": "released", "id": video_id})

    def finished(self, video_id: str, outcome: Mapping[str, Any]) -> None:
        self._send({"type": "finished", "id": video_id, **outcome})

    def failed(self, video_id: str, failure: RunnerFailure) -> None:
        log(f"{video_id} failed: {failure.code}: {failure.message}")
        self._send({"type": "failed", "id": video_id, **_fields(failure)})

    def load_failed(self, failure: RunnerFailure) -> None:
        self._send({"type": "failed", **_fields(failure)})


def _fields(failure: RunnerFailure) -> dict[str, Any]:
    return {"code": failure.code, "message": failure.message, "retryable": failure.retryable}
