"""For tests: the real runner as a child process over real pipes, requests on stdin, replies on fd 3."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any, Callable

# runners/python: what PYTHONPATH needs for sluice_runner and runner_tests.
SHARED_FOLDER = Path(__file__).resolve().parent.parent
FIXTURES = SHARED_FOLDER.parent.parent / "packages/shared/fixtures/runner"
COPY_ENCODER = [sys.executable, str(SHARED_FOLDER / "runner_tests/copy_frames_encoder.py")]
# A bound for failing tests; passing ones wait for events.
WAIT_S_MAX = 60.0
# Every reply any test saw is appended here when it is set: the vitest test holds them to the protocol's
# schema.
REPLIES_LOG = os.environ.get("SLUICE_TEST_REPLIES")


class SpawnedProgram:
    """`module`: what `python -m` runs; `folders`: where it and what it imports lie."""

    def __init__(self, module: str, folders: list[Path], arguments: list[str], **environment: str) -> None:
        self.folder = tempfile.mkdtemp(prefix="runner-test-")
        self.replies: list[dict[str, Any]] = []
        self.errors = ""
        self._folders = 0
        self._news = threading.Condition()
        self._open_streams = 2
        reading, writing = os.pipe()
        self.process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env={
                "PATH": os.environ["PATH"],
                "PYTHONPATH": os.pathsep.join(str(folder) for folder in [*folders, SHARED_FOLDER]),
                "PYTHONDONTWRITEBYTECODE": "1",
                **environment,
            },
            # Fd 3 is open here by now, whatever it is; in the child it becomes the pipe.
            pass_fds=(3, writing),
            preexec_fn=lambda: os.dup2(writing, 3),
            start_new_session=True,
        )
        os.close(writing)
        threading.Thread(target=self._read_replies, args=(reading,), daemon=True).start()
        threading.Thread(target=self._read_errors, daemon=True).start()

    def send(self, *requests: dict[str, Any]) -> None:
        """All in one write, as they may come out of a pipe."""
        self.send_bytes(
            "".join(json.dumps(request, ensure_ascii=False) + "\n" for request in requests).encode()
        )

    def send_bytes(self, data: bytes) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(data)
        self.process.stdin.flush()

    def load(self, model: str, models: list[dict[str, Any]] | None = None) -> dict[str, Any]:
        self.send({"type": "load", "model": model, **({} if models is None else {"models": models})})
        return self.reply("ready")

    def order(self, video: str, request: dict[str, Any], **more: Any) -> dict[str, Any]:
        """A generate request with a new work folder."""
        self._folders += 1
        workdir = os.path.join(self.folder, str(self._folders))
        os.mkdir(workdir)
        return {"type": "generate", "id": video, "request": request, "workdir": workdir, **more}

    def generate(self, video: str, request: dict[str, Any], **more: Any) -> str:
        order = self.order(video, request, **more)
        self.send(order)
        return str(order["workdir"])

    def make(self, video: str, request: dict[str, Any], **more: Any) -> bytes:
        """The bytes of the finished video."""
        self.generate(video, request, **more)
        return Path(self.reply("finished", video)["files"]["video"]).read_bytes()

    def reply(
        self, kind: str, video: str | None = None, test: Callable[[dict[str, Any]], bool] = lambda reply: True
    ) -> dict[str, Any]:
        """The first such reply, already there or to come."""

        def look() -> dict[str, Any] | None:
            for reply in self.replies:
                if reply["type"] == kind and (video is None or reply.get("id") == video) and test(reply):
                    return reply
            return None

        return self.until(look, f"{kind} {video or ''}")

    def at_step(self, video: str, step: int) -> None:
        self.reply("progress", video, lambda reply: reply["phase"] == "denoise" and reply["step"] >= step)

    def of(self, video: str) -> list[dict[str, Any]]:
        return [reply for reply in self.replies if reply.get("id") == video]

    def until(self, look: Callable[[], Any], what: str) -> Any:
        """Waits, woken by each reply and line of the log, until `look` returns something true."""
        with self._news:
            found = self._news.wait_for(lambda: look() or (self._open_streams == 0 and "gone"), WAIT_S_MAX)
        if found == "gone" or not found:
            raise AssertionError(
                f"no {what}; last replies {self.replies[-5:]}; it said: {self.errors[-3000:]}"
            )
        return found

    def ranks(self) -> list[int]:
        """Pids of the rank processes started last, as the log names them."""
        lines = [line for line in self.errors.splitlines() if "rank(s) load" in line]
        return [int(pid) for pid in lines[-1].rpartition(":")[2].split()]

    def exit_code(self) -> int:
        return self.process.wait(WAIT_S_MAX)

    def close(self) -> int:
        assert self.process.stdin is not None
        try:
            self.process.stdin.close()
        except BrokenPipeError:
            pass
        try:
            code = self.exit_code()
        finally:
            if self.process.poll() is None:
                self.process.kill()
                self.process.wait()
        # Its last words are read before the pipe is closed under the reader.
        with self._news:
            self._news.wait_for(lambda: self._open_streams == 0, 10)
        shutil.rmtree(self.folder, ignore_errors=True)
        return code

    def _read_replies(self, fd: int) -> None:
        with open(fd, "rb") as stream:
            for line in stream:
                with self._news:
                    self.replies.append(json.loads(line))
                    self._news.notify_all()
                if REPLIES_LOG is not None:
                    with open(REPLIES_LOG, "ab") as log:
                        log.write(line)
        self._end_stream()

    def _read_errors(self) -> None:
        assert self.process.stderr is not None
        with self.process.stderr as stream:
            for line in stream:
                with self._news:
                    self.errors += line.decode("utf-8", "replace")
                    self._news.notify_all()
        self._end_stream()

    def _end_stream(self) -> None:
        with self._news:
            self._open_streams -= 1
            self._news.notify_all()


def some_request(**changes: Any) -> dict[str, Any]:
    """A small quick generation; override what a test is about."""
    return {
        "model": "open-sora-2",
        "mode": "t2v",
        "prompt": "a paper boat in the rain",
        "negative_prompt": "",
        "width": 64,
        "height": 32,
        "num_frames": 9,
        "fps": 24,
        "num_steps": 8,
        "guidance": 7.5,
        "guidance_img": 3,
        "motion_score": 4,
        "seed": 42,
        **changes,
    }


def is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"
