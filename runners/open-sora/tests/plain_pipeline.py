"""Test scaffolding: a pipeline in plain Python, chosen with `--pipeline .../plain_pipeline.py:PlainPipeline`
and never by default.

It computes: a latent starts as noise and is pulled towards a target, a step at a time; with several ranks
each advances its shard and all exchange theirs over real sockets after every step, so ranks that part ways
hang or fail as they would inside NCCL. Its weights are one tensor, gain.weight [240, 1], which the target is
multiplied with: ones in the base model, numbers of real files in others. PLAIN_* settings make it slow, short
of memory, or dead at a step or in a switch of models.
"""

from __future__ import annotations

import array
import hashlib
import os
import random
import signal
import socket
import struct
import time
from typing import Callable, Mapping

from sluice_open_sora.served_model import ServedModel, check_fit, open_models
from sluice_runner.checkpoint import Tensor
from sluice_runner.failure import RunnerFailure
from sluice_runner.model_weights import ModelWeights
from sluice_runner.pipeline import Job, Loaded, Place, Readiness, Rendered, StepGate
from sluice_runner.weight_file import WeightFile

LATENT_LENGTH = 240
GAIN = "gain.weight"
# A switch writes the gain in so many parts.
PARTS = 10


class OutOfMemoryError(RuntimeError):
    """Has the name of torch's, by which `classify` knows it."""


class Collective:
    """An all-gather over TCP, as NCCL's: every rank must take part or all wait."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._peers: list[socket.socket] = []
        if place.ranks == 1:
            return
        address = (os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"]))
        if place.rank == 0:
            with socket.create_server(address) as server:
                while len(self._peers) < place.ranks - 1:
                    self._peers.append(server.accept()[0])
            self._peers.sort(key=lambda peer: struct.unpack("<I", _exactly(peer, 4))[0])
            return
        while True:
            try:
                peer = socket.create_connection(address)
                break
            except ConnectionRefusedError:
                time.sleep(0.02)
        peer.sendall(struct.pack("<I", place.rank))
        self._peers.append(peer)

    def gather(self, shard: bytes, whole: int) -> bytes:
        if self._place.ranks == 1:
            return shard
        if self._place.rank != 0:
            self._peers[0].sendall(shard)
            return _exactly(self._peers[0], whole)
        gathered = shard + b"".join(_exactly(peer, len(shard)) for peer in self._peers)
        for peer in self._peers:
            peer.sendall(gathered)
        return gathered


def _exactly(peer: socket.socket, count: int) -> bytes:
    got = b""
    while len(got) < count:
        chunk = peer.recv(count - len(got))
        if chunk == b"":
            raise RuntimeError("NCCL: a peer is gone")
        got += chunk
    return got


class PlainPipeline:
    def __init__(self, place: Place) -> None:
        self._place = place
        self._step_s = _number("PLAIN_STEP_MS", 0) / 1000
        self._decode_s = _number("PLAIN_DECODE_MS", 0) / 1000

    def load(self, model: str, models: tuple[ModelWeights, ...]) -> Loaded:
        opened = open_models(models) if models else (ServedModel(model),)
        time.sleep(_number("PLAIN_LOAD_MS", 0) / 1000)
        if not models and model not in ("open-sora-2", "animatic"):
            raise RunnerFailure("model_missing", f"no weights of {model}")
        if os.environ.get("PLAIN_LOAD_OUT_OF_MEMORY") and not self._place.offload:
            raise OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")
        if os.environ.get("PLAIN_LOAD_RAISES"):
            raise FileNotFoundError(f"no weights at {os.environ['PLAIN_LOAD_RAISES']}")
        if model == os.environ.get("PLAIN_LOAD_FAILS"):
            raise RunnerFailure("model_missing", f"model {model!r} does not load")
        self._served = {served.id: served for served in opened}
        for served in self._served.values():
            check_fit(served, {GAIN: (LATENT_LENGTH, 1)}, [GAIN])
        self._gain = _gain_of(self._served[model])
        self._collective = Collective(self._place)
        # As if it were measured: another process would find another one.
        self._uses = {"way": os.environ.get("PLAIN_WAY") or str(os.getpid())}
        readiness = Readiness(
            device="plain",
            devices=self._place.ranks,
            vram_bytes=0,
            models=tuple(self._served),
            modes=("t2v", "i2v"),
            frames_max=129,
            pixels_max=589_824,
            sequence_ranks=self._place.ranks,
            uses=self._uses,
        )
        identities = {served.id: served.identity for served in opened} if models else {}
        if os.environ.get("PLAIN_RANKS_DIFFER"):
            identities = {served.id: f"rank {self._place.rank}" for served in opened}
        return Loaded(readiness, identities, {"PLAIN_WAY": self._uses["way"]})

    def use(self, model: str, between: Callable[[int, int], None]) -> None:
        self._served[model].verify()
        gain = _gain_of(self._served[model])
        share = LATENT_LENGTH // PARTS
        for part in range(PARTS):
            between(part, PARTS)
            time.sleep(_number("PLAIN_SWITCH_MS", 0) / 1000 / PARTS)
            if part == PARTS // 2 and model == os.environ.get("PLAIN_SWITCH_FAILS"):
                raise RuntimeError("an error of a switch")
            if part == PARTS // 2 and model == os.environ.get("PLAIN_SWITCH_DIES"):
                os.kill(os.getpid(), signal.SIGKILL)
            if part == PARTS // 2 and model == os.environ.get("PLAIN_SWITCH_OUT_OF_MEMORY"):
                raise OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB")
            self._gain[part * share : (part + 1) * share] = gain[part * share : (part + 1) * share]

    def generate(self, job: Job, gate: StepGate) -> Rendered:
        generation = job.generation
        encode_at = time.monotonic()
        words = repr(
            (generation.prompt, generation.negative_prompt, generation.guidance, generation.motion_score)
        )
        images = "".join(
            f"{reference.position}{open(reference.path, 'rb').read()!r}" for reference in job.references
        )
        noise, target = (
            _numbers(f"{what} {generation.seed} {words} {images}") for what in ("noise", "target")
        )
        target = array.array("d", [level * gain for level, gain in zip(target, self._gain)])
        latent = noise if job.resume is None else array.array("d", job.resume.tensors["latent"].data)

        time.sleep(_number("PLAIN_ENCODE_MS", 0) / 1000)

        def capture() -> Mapping[str, Tensor]:
            return {"latent": Tensor("F64", (LATENT_LENGTH,), latent.tobytes())}

        steps = generation.num_steps
        denoise_at = time.monotonic()
        for step in range(job.start_step, steps):
            gate.boundary(step, capture)
            self._misbehave(step)
            until = time.monotonic() + self._step_s
            while time.monotonic() < until:
                time.sleep(min(0.01, self._step_s))
                gate.alive("denoise", step, steps)
                gate.heed_cancel(step)
            latent = self._advance(latent, target, steps)
        gate.boundary(steps, capture)
        decode_at = time.monotonic()
        until = decode_at + self._decode_s
        while time.monotonic() < until:
            time.sleep(0.01)
            gate.alive("decode")
        if self._place.rank == 0:
            _write_frames(job, latent)
        timings = {
            "encode": denoise_at - encode_at,
            "denoise": decode_at - denoise_at,
            "decode": time.monotonic() - decode_at,
        }
        return Rendered(timings, peak_vram_bytes=1000 + self._place.rank, uses=self._uses)

    def _advance(self, latent: array.array, target: array.array, steps: int) -> array.array:
        share = LATENT_LENGTH // self._place.ranks
        begin = self._place.rank * share
        pull = 1 - 0.03 ** (1 / steps)
        shard = array.array("d")
        for index in range(begin, begin + share):
            neighbours = (latent[index - 1] + latent[(index + 1) % LATENT_LENGTH]) / 2
            shard.append(
                latent[index]
                + pull * (target[index] - latent[index])
                + 0.3 * pull * (neighbours - latent[index])
            )
        return array.array("d", self._collective.gather(shard.tobytes(), LATENT_LENGTH * 8))

    def _misbehave(self, step: int) -> None:
        if self._place.rank != _number("PLAIN_BAD_RANK", self._place.ranks - 1):
            return
        if step == _number("PLAIN_DIES_AT", -1):
            os.kill(os.getpid(), signal.SIGKILL)
        if step == _number("PLAIN_HANGS_AT", -1):
            time.sleep(3600)
        if step == _number("PLAIN_RAISES_AT", -1):
            raise RuntimeError("an error of the pipeline")
        if step == _number("PLAIN_DEVICE_LOST_AT", -1):
            raise RuntimeError("CUDA error: an illegal memory access was encountered")
        short = _number("PLAIN_OUT_OF_MEMORY_AT", -1)
        if step == short and not (self._place.offload and os.environ.get("PLAIN_OFFLOAD_HELPS") == "1"):
            raise OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB")


def _gain_of(model: ServedModel) -> array.array:
    """gain.weight as the model has it: its own or the base's, and what its LoRA adds."""
    gain = (
        array.array("d", [1.0] * LATENT_LENGTH) if model.checkpoint is None else _read(model.checkpoint, GAIN)
    )
    if model.lora is not None:
        layer = model.lora.layers[GAIN]
        down, up = _read(model.lora, layer.down), _read(model.lora, layer.up)
        rank = len(down)
        for row in range(LATENT_LENGTH):
            gain[row] += (
                model.strength
                * layer.scale
                * sum(up[row * rank + index] * down[index] for index in range(rank))
            )
    return gain


def _read(file: WeightFile, name: str) -> array.array:
    entry = file.entries[name]
    with open(file.path, "rb") as opened:
        opened.seek(entry.begin)
        return array.array("d", opened.read(entry.end - entry.begin))


def _number(name: str, default: int) -> int:
    return int(os.environ.get(name) or default)


def _numbers(seed: str) -> array.array:
    source = random.Random(hashlib.sha256(seed.encode("utf-8", "surrogatepass")).digest())
    return array.array("d", [source.uniform(-1, 1) for _ in range(LATENT_LENGTH)])


def _write_frames(job: Job, latent: array.array) -> None:
    """Waves of the latent drift over the frame; each row is a slice of one long row, which plain Python cuts
    fast."""
    width, height, frames = job.generation.width, job.generation.height, job.generation.num_frames
    length = 2 * width + frames
    row = bytearray()
    for x in range(length):
        level = latent[x * LATENT_LENGTH // length]
        row += bytes(max(0, min(255, int(128 + 100 * level * weight))) for weight in (1.0, 0.6, -0.8))
    shifts = [int((latent[y * LATENT_LENGTH // height] + 1.2) * width / 4) % width for y in range(height)]
    with open(job.frames_path, "wb") as file:
        for frame in range(frames):
            file.write(b"".join(row[3 * (shift + frame) : 3 * (shift + frame + width)] for shift in shifts))
