"""One video's steps: where they start, what goes into a checkpoint, how long each phase took."""

from __future__ import annotations

import time
from typing import Any, Callable, Mapping

import torch

from sluice_runner.checkpoint import Tensor
from sluice_runner.pipeline import Job, StepGate
from sluice_runner.with_torch.device import synchronize
from sluice_runner.with_torch.tensors import pack_tensor, unpack_tensor

from .block_pace import BlockPace

# The denoise loop (I2VDenoiser) runs text + image, negative + image and negative in one batch.
GUIDANCE_COPIES = 3
CONDITION_IMAGE = "condition_image"


class Steps:
    """The stand-ins of watched_parts.py call it. `resumable_every`: a video may be resumed at each so many
    steps, since only the latent is kept between them."""

    def __init__(self, job: Job, gate: StepGate, device: torch.device, resumable_every: int = 1) -> None:
        self._job = job
        self._gate = gate
        self._pace = BlockPace(device)
        self._device = device
        self._done = 0
        self._resumable_every = resumable_every
        # The last step at which the video may be resumed, and the latent then.
        self._kept_step = job.start_step
        self._kept: torch.Tensor | None = None
        # What the autoencoder made of the input images. It samples its posterior, so a resumed attempt takes
        # what the first attempt got.
        self._references: list[torch.Tensor] = []
        # PNG bytes of the image that mode t2i2v made first.
        self.condition_image: bytes | None = None
        self._encode_at = time.monotonic()
        self._denoise_at: float | None = None
        self._decode_at: float | None = None

    @property
    def step(self) -> int:
        """The step that is being made."""
        return self._done - 1

    def before_step(self, *, img: torch.Tensor, **_: Any) -> torch.Tensor | None:
        """Called with the latent at every step. Returns what replaces its result; None = run the step."""
        step = self._done
        self._done += 1
        if step < self._job.start_step:
            # The loop adds a multiple of this to the latent, which so stays as it is.
            return torch.zeros_like(img)
        synchronize(self._device)
        if self._denoise_at is None:
            self._denoise_at = time.monotonic()
        if step == self._job.start_step and self._job.resume is not None:
            # In place: the loop goes on from the very tensor it passed here.
            img.copy_(self._stored("latent").repeat(GUIDANCE_COPIES, *(1 for _ in img.shape[1:])))
        if self._resumable_every == 1:
            self._gate.boundary(step, lambda: self._capture(img))
            return None
        if self._kept is None or step % self._resumable_every == 0:
            self._kept_step, self._kept = step, img[: len(img) // GUIDANCE_COPIES].clone()
        self._gate.boundary(step, lambda: self._capture(self._kept), self._kept_step)
        return None

    def before_block(self) -> None:
        """Called before every block of the video model: a step may take longer than a worker's patience."""
        self._pace.wait()
        self._gate.alive("denoise", self.step, self._job.generation.num_steps)
        self._gate.heed_cancel(self.step)

    def before_image_block(self) -> None:
        """Called before every block of the image model."""
        self._pace.wait()
        self.alive()

    def before_image_step(self, **_: Any) -> None:
        """Called at every step of mode t2i2v's image model, where the video can be stopped at its step 0."""
        synchronize(self._device)
        self._gate.boundary(0, dict)
        self._gate.alive("encode")

    def before_text(self, *_: Any, **__: Any) -> None:
        self._gate.alive("encode")

    def encode_reference(
        self, pixels: torch.Tensor, encode: Callable[[torch.Tensor], torch.Tensor]
    ) -> torch.Tensor:
        name = f"reference.{len(self._references)}"
        resumed = self._job.resume is not None and name in self._job.resume.tensors
        latent = self._stored(name) if resumed else encode(pixels)
        self._references.append(latent)
        return latent

    def before_decode(self) -> None:
        synchronize(self._device)
        self._decode_at = time.monotonic()
        # No checkpoint is written after the last step, so there is nothing to capture.
        self._gate.boundary(self._job.generation.num_steps, dict)
        self._gate.alive("decode")

    def alive(self) -> None:
        """Called by every layer of the autoencoders."""
        if self._decode_at is None:
            self._gate.alive("encode")
            self._gate.heed_cancel(self._job.start_step)
        else:
            self._gate.alive("decode")
            self._gate.heed_cancel(self._job.generation.num_steps)

    def stored_condition_image(self) -> bytes | None:
        """Returns the image that an earlier attempt made."""
        if self._job.resume is None:
            return None
        return self._job.resume.tensors[CONDITION_IMAGE].data

    def timings(self) -> dict[str, float]:
        """Seconds by phase, once all are over."""
        now = time.monotonic()
        denoise_at = self._denoise_at or now
        decode_at = self._decode_at or now
        return {
            "encode": denoise_at - self._encode_at,
            "denoise": decode_at - denoise_at,
            "decode": now - decode_at,
        }

    def _capture(self, img: torch.Tensor) -> Mapping[str, Tensor]:
        """`img`: the latent, once or as often as the batch has it."""
        captured = {"latent": pack_tensor(img[:1])}
        for number, reference in enumerate(self._references):
            captured[f"reference.{number}"] = pack_tensor(reference)
        if self.condition_image is not None:
            captured[CONDITION_IMAGE] = Tensor("U8", (len(self.condition_image),), self.condition_image)
        return captured

    def _stored(self, name: str) -> torch.Tensor:
        assert self._job.resume is not None
        return unpack_tensor(self._job.resume.tensors[name], self._device)
