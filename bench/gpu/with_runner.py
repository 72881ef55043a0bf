"""The real runner (python -m sluice_open_sora) on the same weights: load, clips, cancel, yield, resume bit
for bit, and the longest time it was silent."""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from report import Report

HERE = Path(__file__).resolve().parent
RUNNERS = HERE.parent.parent / "runners"
IS_TINY = os.environ.get("SIZE") == "tiny"
FULL, TINY = (
    {"width": width, "height": height, "num_frames": frames}
    for width, height, frames in ((336, 192, 129), (48, 32, 9))
)
SIZE = TINY if IS_TINY else FULL
STEPS = 12
MODEL = "open-sora-2"
# No reply for so long: the runner hangs.
SILENCE_S_MAX = 300


class Runner:
    def __init__(self) -> None:
        reading, writing = os.pipe()
        environment = {
            **os.environ,
            "OPENSORA_CONFIG": str(HERE / "config.py"),
            "OPENSORA_CHECKPOINT_MS": "600000",
        }
        if not _has("av") or not _has("PIL"):
            copy = str(RUNNERS / "python/runner_tests/copy_frames_encoder.py")
            environment["OPENSORA_ENCODER_COMMAND"] = json.dumps([sys.executable, copy])
        self._process = subprocess.Popen(
            [sys.executable, "-m", "sluice_open_sora"],
            stdin=subprocess.PIPE,
            pass_fds=(writing, 3),
            preexec_fn=lambda: os.dup2(writing, 3),
            env=environment,
        )
        os.close(writing)
        self._replies: queue.Queue[dict[str, Any] | None] = queue.Queue()
        threading.Thread(target=self._read, args=(reading,), daemon=True).start()

    def send(self, message: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write((json.dumps(message) + "\n").encode())
        self._process.stdin.flush()

    def reply(self) -> dict[str, Any]:
        reply = self._replies.get(timeout=SILENCE_S_MAX)
        if reply is None:
            sys.exit("the runner ended")
        return reply

    def end(self) -> int:
        assert self._process.stdin is not None
        self._process.stdin.close()
        return self._process.wait(60)

    def _read(self, fd: int) -> None:
        with open(fd, "rb") as stream:
            for line in stream:
                self._replies.put(json.loads(line))
        self._replies.put(None)


class Videos:
    """Makes videos one by one, and a row of each."""

    def __init__(self, runner: Runner, report: Report, model: str) -> None:
        self._runner = runner
        self._model = model
        self._report = report
        self._count = 0

    def make(self, what: str, **more: Any) -> tuple[dict[str, Any], str]:
        """Returns the reply that ended it, and a hash of the clip. `wish` and `at_step`: to be sent then;
        `resume`: of generate; the others change the request."""
        wish, at_step, resume = (more.pop(name, None) for name in ("wish", "at_step", "resume"))
        self._count += 1
        video = f"video-{self._count}"
        asked = request(**{"model": self._model, **more})
        order = {"type": "generate", "id": video, "workdir": tempfile.mkdtemp(), "request": asked}
        started_at = heard_at = time.monotonic()
        wished_at: float | None = None
        released_s, silence_s = None, 0.0
        self._runner.send({**order, **({} if resume is None else {"resume": resume})})
        while True:
            reply = self._runner.reply()
            now = time.monotonic()
            silence_s, heard_at = max(silence_s, now - heard_at), now
            if reply.get("id") != video:
                continue
            if wish is not None and wished_at is None and reply.get("step", 0) >= at_step:
                wished_at = now
                self._runner.send({"type": wish, "id": video})
            if reply["type"] == "released":
                released_s = round(now - started_at, 2)
            if reply["type"] in ("finished", "failed", "cancelled", "yielded"):
                break
        self._report.row(
            f"the runner, {self._model}: {what}",
            ended=reply["type"],
            why=reply.get("message"),
            **{f"{name}_s": round(seconds, 2) for name, seconds in reply.get("timings", {}).items()},
            released_s=released_s,
            whole_s=round(now - started_at, 2),
            longest_silence_s=round(silence_s, 2),
            took_s=None if wished_at is None else round(now - wished_at, 2),
            peak_GiB=None if "peak_vram_bytes" not in reply else round(reply["peak_vram_bytes"] / 2**30, 1),
        )
        if reply["type"] != "finished":
            return reply, ""
        return reply, hashlib.sha256(Path(reply["files"]["video"]).read_bytes()).hexdigest()


def request(**changes: Any) -> dict[str, Any]:
    return {
        "mode": "t2v",
        "prompt": "a paper boat",
        "negative_prompt": "",
        **SIZE,
        "fps": 24,
        "num_steps": STEPS,
        "guidance": 7.5,
        "guidance_img": 3.0,
        "motion_score": 4,
        "seed": 42,
        **changes,
    }


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--precision", choices=("fp8-sums", "fp8", "int8"))
    given = parser.parse_args()
    report = Report(given.rows, given.seconds)
    runner = Runner()
    started_at = time.monotonic()
    models: list[dict[str, Any]] = [{"id": MODEL}, {"id": f"{MODEL}-fast", "step_cache": {"threshold": 0.05}}]
    if given.precision is not None:
        for model in models:
            model |= {"id": f"{model['id']}-{given.precision}", "precision": given.precision}
    exact, fast = (model["id"] for model in models)
    runner.send({"type": "load", "model": exact, "models": models})
    while (reply := runner.reply())["type"] not in ("ready", "failed"):
        pass
    took = round(time.monotonic() - started_at, 1)
    said = {name: reply[name] for name in ("device", "message", "uses", "vram_bytes") if name in reply}
    report.row(f"the runner, {exact}: load", ended=reply["type"], seconds=took, **said)
    if reply["type"] == "failed":
        return 1
    videos = Videos(runner, report, exact)
    clip = f"{SIZE['width']}x{SIZE['height']}, {SIZE['num_frames']} frames"
    if not IS_TINY:
        videos.make(f"the first clip, {clip}, 50 steps", num_steps=50)
        if report.has_time("the runner: a 768px clip, 2 steps", 80):
            videos.make("a 768px clip, 2 steps", width=1024, height=576, num_steps=2)
    _, whole = videos.make(f"a clip, {clip}, {STEPS} steps")
    _, again = videos.make("the same clip again")
    videos.make("a cancel", wish="cancel", at_step=2)
    left, _ = videos.make("a yield", wish="yield", at_step=STEPS // 2)
    resumed = ""
    if left["type"] == "yielded":
        resume = {"step": left["step"], "path": left["path"]}
        _, resumed = videos.make("the clip that was left", resume=resume)
    videos.make(f"a clip of {fast}", model=fast)
    code = runner.end()
    same = {"same_seed_same_bytes": whole == again, "resumed_to_the_same_bytes": whole == resumed}
    report.row(f"the runner, {exact}: its end", exit_code=code, **same)
    return 0 if code == 0 and all(same.values()) else 1


def _has(module: str) -> bool:
    import importlib.util

    return importlib.util.find_spec(module) is not None


if __name__ == "__main__":
    sys.exit(main())
