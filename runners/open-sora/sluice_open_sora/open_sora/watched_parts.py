"""Stand-ins given to Open-Sora's prepare_api in place of its model, autoencoder and text encoders.

prepare_api uses of a model only `parameters()` and the call itself, which its denoise loop makes once per step (I2VDenoiser.denoise), and
of an autoencoder `parameters()`, `encode`, `decode` and `compression`. So a step boundary, a checkpoint, a resume and an offload need no
change in Open-Sora and no hook inside it.
"""

from __future__ import annotations

from typing import Any, Callable, Iterator

import torch

from .device import Residency


class WatchedModule:
    """Calls `before(...)` with the arguments of every call; its answer, unless None, stands for the call."""

    def __init__(
        self, module: Any, residency: Residency, part: str, before: Callable[..., Any | None]
    ) -> None:
        self._module = module
        self._residency = residency
        self._part = part
        self._before = before

    def parameters(self) -> Iterator[torch.nn.Parameter]:
        # Open-Sora reads the device from the first parameter before it uses the module.
        self._residency.use(self._part)
        return self._module.parameters()

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        answer = self._before(*args, **kwargs)
        if answer is not None:
            return answer
        self._residency.use(self._part)
        return self._module(*args, **kwargs)


class WatchedAutoencoder:
    """As WatchedModule, with a `before` for each direction."""

    def __init__(
        self,
        module: Any,
        residency: Residency,
        part: str,
        encode: Callable[[torch.Tensor, Callable[[torch.Tensor], torch.Tensor]], torch.Tensor],
        before_decode: Callable[[], None],
    ) -> None:
        self._module = module
        self._residency = residency
        self._part = part
        self._encode = encode
        self._before_decode = before_decode

    @property
    def compression(self) -> Any:
        return self._module.compression

    def parameters(self) -> Iterator[torch.nn.Parameter]:
        self._residency.use(self._part)
        return self._module.parameters()

    def encode(self, pixels: torch.Tensor) -> torch.Tensor:
        self._residency.use(self._part)
        return self._encode(pixels, self._module.encode)

    def decode(self, latent: torch.Tensor) -> torch.Tensor:
        self._before_decode()
        self._residency.use(self._part)
        return self._module.decode(latent)
