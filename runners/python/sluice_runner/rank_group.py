"""The rank processes of one runner: started together, ended together.

They get the environment torchrun would give them, but are children of the runner in its own process group.
torchrun starts its ranks in sessions of their own (torch.distributed.elastic, SubprocessHandler:
start_new_session=True): a kill of the runner's group would leave them behind with the device.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from dataclasses import dataclass, field
from typing import Any, Mapping, Protocol

from .loop import Loop
from .messages import MessageSocket

# A rank whose socket closed is about to be gone; one that is not gets killed.
DEATH_S_MAX = 2.0


@dataclass(frozen=True)
class GroupStart:
    """`pipeline`: see load_pipeline. `offload`: keep on the device only what is in use. `settled`: settings
    beside the environment's, which they overrule (Loaded)."""

    pipeline: str
    ranks: int
    offload: bool
    settled: Mapping[str, str] = field(default_factory=dict)


class RankEvents(Protocol):
    """After `kill` neither is called."""

    def on_rank_message(self, rank: int, message: dict[str, Any]) -> None: ...

    def on_rank_death(self, how: str) -> None:
        """Called once, when a rank is gone that nobody killed; the others have been killed by then."""


class RankGroup:
    def __init__(self, start: GroupStart, loop: Loop, events: RankEvents) -> None:
        self._start = start
        self._loop = loop
        self._events = events
        self._alive = True
        self._controls: list[MessageSocket] = []
        self._processes: list[subprocess.Popen[bytes]] = []
        links = [socket.socketpair() for _ in range(1, start.ranks)]
        port = _free_port() if start.ranks > 1 else 0
        for rank in range(start.ranks):
            own_links = [near for near, _ in links] if rank == 0 else [links[rank - 1][1]]
            self._spawn(rank, own_links, port)
        for near, far in links:
            near.close()
            far.close()

    @property
    def offload(self) -> bool:
        return self._start.offload

    @property
    def pids(self) -> list[int]:
        return [process.pid for process in self._processes]

    def send_all(self, message: dict[str, Any]) -> None:
        for rank in range(self._start.ranks):
            self._send(rank, message)

    def send_leader(self, message: dict[str, Any]) -> None:
        self._send(0, message)

    def kill(self) -> None:
        """Ends every rank now and waits for it; their devices are free then."""
        if not self._alive:
            return
        self._alive = False
        for process in self._processes:
            process.kill()
        for process in self._processes:
            process.wait()
        for control in self._controls:
            self._loop.forget(control.socket)
            control.close()

    def _spawn(self, rank: int, links: list[socket.socket], port: int) -> None:
        """`links`: rank 0's to each follower, or a follower's to rank 0 (rank_agreement.py)."""
        start = self._start
        ours, theirs = socket.socketpair()
        fds = [theirs.fileno(), *(link.fileno() for link in links)]
        command = [sys.executable, "-m", "sluice_runner.rank", "--pipeline", start.pipeline]
        command += ["--rank", str(rank), "--ranks", str(start.ranks), "--control-fd", str(fds[0])]
        command += ["--link-fds", ",".join(map(str, fds[1:])), *(["--offload"] if start.offload else [])]
        torchrun = _torchrun_environment(rank, start.ranks, port) if start.ranks > 1 else {}
        environment = {**os.environ, **torchrun, **start.settled}
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, env=environment, pass_fds=fds)
        theirs.close()
        self._processes.append(process)
        self._controls.append(MessageSocket(ours))
        self._loop.watch(ours, lambda: self._read(rank))

    def _send(self, rank: int, message: dict[str, Any]) -> None:
        try:
            self._controls[rank].send(message)
        except OSError:
            # The rank is gone; the same socket says so to `_read`.
            pass

    def _read(self, rank: int) -> None:
        messages = self._controls[rank].receive()
        if messages is None:
            self._die(rank)
            return
        for message in messages:
            # Taking an earlier message may have ended the group.
            if self._alive:
                self._events.on_rank_message(rank, message)

    def _die(self, rank: int) -> None:
        process = self._processes[rank]
        try:
            code = process.wait(DEATH_S_MAX)
            how = f"ended with {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        except subprocess.TimeoutExpired:
            how = "closed its socket"
        self.kill()
        self._events.on_rank_death(f"rank {rank} of {self._start.ranks} {how}")


def _torchrun_environment(rank: int, ranks: int, port: int) -> dict[str, str]:
    """What torch.distributed's env:// start and colossalai.launch_from_torch read."""
    return {
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(ranks),
        "LOCAL_WORLD_SIZE": str(ranks),
        "GROUP_RANK": "0",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        # torchrun's own default: ranks that each take all cores slow each other down.
        "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1"),
    }


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
