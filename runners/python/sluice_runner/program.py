"""The runner process: requests on stdin, replies on fd 3, logs on stdout and stderr."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from typing import Callable, NoReturn

from .lines import LineBuffer
from .log import log
from .loop import Loop
from .replies import Replies
from .reply_channel import REPLY_FD, ReplyChannel, is_reply_channel
from .runner import Runner
from .settings import RunnerSettings, SettingError

# Exit code of a start that cannot work: no reply channel, or a setting that cannot be used.
EXIT_UNUSABLE = 2
CHUNK_BYTES = 65_536


def run_program(name: str, default_pipeline: str, settings_for: Callable[[str], RunnerSettings]) -> int:
    """Runs until stdin ends, a `shutdown`, or nobody reads the replies; returns the exit code.

    `settings_for`: returns the settings with which a pipeline can be started (its spec: load_pipeline), and
    raises SettingError."""
    parser = argparse.ArgumentParser(prog=name)
    parser.add_argument(
        "--pipeline", default=default_pipeline, help="module:name or file.py:name of another pipeline"
    )
    pipeline_spec: str = parser.parse_args().pipeline
    if not is_reply_channel(REPLY_FD):
        _refuse(
            "file descriptor 3 is not open; replies go there, so start it from a worker, or by hand with 3>&1"
        )
    # Neither ranks nor encoders may keep it open after this process.
    os.set_inheritable(REPLY_FD, False)
    try:
        settings = settings_for(pipeline_spec)
    except SettingError as error:
        _refuse(str(error))
    # Ctrl-C and a service manager signal the whole process group; the worker then yields its videos through
    # this process, which ends with its stdin. Ranks and encoders inherit this.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    return _serve(settings, pipeline_spec)


def _serve(settings: RunnerSettings, pipeline_spec: str) -> int:
    loop = Loop()
    channel = ReplyChannel(REPLY_FD, on_reader_gone=lambda: loop.stop(0))
    runner = Runner(settings, pipeline_spec, loop, Replies(channel.send))
    lines = LineBuffer()

    def read_requests() -> None:
        chunk = os.read(0, CHUNK_BYTES)
        for line in lines.feed(chunk) if chunk else lines.end():
            runner.receive(line)
        if not chunk:
            loop.forget(0)
            runner.shut_down()

    loop.watch(0, read_requests)
    try:
        return loop.run(runner.tick)
    finally:
        runner.close()


def _refuse(why: str) -> NoReturn:
    log(why)
    sys.exit(EXIT_UNUSABLE)
