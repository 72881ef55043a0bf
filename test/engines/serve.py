"""What both servers share: the generator that stands in for the device, and the port."""

from __future__ import annotations

import asyncio
import json
import socket
import sys
from pathlib import Path

import uvicorn

MODEL = "wan"
CLIP = Path(sys.argv[1])


def say(**said: object) -> None:
    """One line of JSON to the test."""
    print(json.dumps(said), flush=True)


async def generate(prompt: str, **asked: object) -> bytes:
    """The bytes of the clip. A prompt that begins with `fail` fails; one with `wait` never ends."""
    say(prompt=prompt, **asked)
    if prompt.startswith("fail"):
        raise RuntimeError("a kernel broke")
    if prompt.startswith("wait"):
        await asyncio.Event().wait()
    return CLIP.read_bytes()


def serve(app) -> None:
    """Serves on a free port of this machine until the process is killed."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        say(port=listening.getsockname()[1])
        uvicorn.Server(uvicorn.Config(app, log_level="warning", loop="asyncio")).run(sockets=[listening])
