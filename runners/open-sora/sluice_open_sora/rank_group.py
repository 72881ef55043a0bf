"""The rank processes of one runner: started together, ended together.

They get the environment torchrun would give them, but are children of the runner in its own process group: torchrun starts its ranks in
sessions of their own (torch.distributed.elastic, SubprocessHandler: start_new_session=True), where killing the runner's group would
leave them behind with the device.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from typing import Any, Callable

from .loop import Loop
from .messages import MessageSocket

# A rank whose socket closed is about to be gone; one that is not gets killed.
DEATH_S_MAX = 2.0


class RankGroup:
    """`on_message(rank, message)`; `on_death(how)` once, when a rank is gone that nobody killed. After `kill` neither is called."""

    def __init__(
        self,
        pipeline_spec: str,
        ranks: int,
        offload: bool,
        loop: Loop,
        on_message: Callable[[int, dict[str, Any]], None],
        on_death: Callable[[str], None],
    ) -> None:
        self.ranks = ranks
        self.offload = offload
        self._loop = loop
        self._on_message = on_message
        self._on_death = on_death
        self._alive = True
        self._controls: list[MessageSocket] = []
        self._processes: list[subprocess.Popen[bytes]] = []
        links = [socket.socketpair() for _ in range(1, ranks)]
        port = _free_port() if ranks > 1 else 0
        for rank in range(ranks):
            ours, theirs = socket.socketpair()
            own_links = [near for near, _ in links] if rank == 0 else [links[rank - 1][1]]
            fds = [theirs.fileno(), *(link.fileno() for link in own_links)]
            command = [sys.executable, "-m", "sluice_open_sora.rank", "--pipeline", pipeline_spec]
            command += ["--rank", str(rank), "--ranks", str(ranks), "--control-fd", str(fds[0])]
            command += ["--link-fds", ",".join(map(str, fds[1:])), *(["--offload"] if offload else [])]
            environment = {**os.environ, **(_torchrun_environment(rank, ranks, port) if ranks > 1 else {})}
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, env=environment, pass_fds=fds)
            theirs.close()
            control = MessageSocket(ours)
            self._processes.append(process)
            self._controls.append(control)
            loop.watch(ours, lambda rank=rank: self._read(rank))  # type: ignore[misc]
        for near, far in links:
            near.close()
            far.close()

    @property
    def pids(self) -> list[int]:
        return [process.pid for process in self._processes]

    def send_all(self, message: dict[str, Any]) -> None:
        for rank in range(self.ranks):
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

    def _send(self, rank: int, message: dict[str, Any]) -> None:
        try:
            self._controls[rank].send(message)
        except OSError:
            # Its end is read from the same socket.
            pass

    def _read(self, rank: int) -> None:
        messages = self._controls[rank].receive()
        if messages is None:
            self._die(rank)
            return
        for message in messages:
            # Taking an earlier message may have ended the group.
            if self._alive:
                self._on_message(rank, message)

    def _die(self, rank: int) -> None:
        process = self._processes[rank]
        try:
            code = process.wait(DEATH_S_MAX)
            how = f"ended with {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        except subprocess.TimeoutExpired:
            how = "closed its socket"
        self.kill()
        self._on_death(f"rank {rank} of {self.ranks} {how}")


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
        # As torchrun does unless told otherwise: ranks that each take all cores slow each other down.
        "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1"),
    }


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
