"""Stand-ins given to Open-Sora's prepare_api in place of its model, autoencoder and text encoders.

Of a model, prepare_api uses only `parameters()` and the call itself, which its denoise loop makes once per
step (I2VDenoiser.denoise); of an autoencoder `parameters()`, `encode`, `decode` and `compression`. So step
boundaries, checkpoints, resuming and offload need no change in Open-Sora.
"""

from __future__ import annotations

from typing import Any, Callable, Iterator

import torch

from .residency import Residency


class WatchedModule:
    """Calls `before` with the arguments of every call; what it returns, unless None, replaces the result."""

    def __init__(
        self, module: Any, residency: Residency, part: str, before: Callable[..., Any | None]
    ) -> None:
        self._module = module
        self._residency = residency
        self._part = part
        self._before = before

    def parameters(self) -> Iterator[torch.nn.Parameter]:
        # Open-Sora reads device and dtype from the first parameter, long before it uses the module.
        return iter([self._residency.anchor(self._part)])

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        replacement = self._before(*args, **kwargs)
        if replacement is not None:
            return replacement
        self._residency.use(self._part)
        return self._module(*args, **kwargs)


class WatchedAutoencoder:
    """As WatchedModule, for both directions: `encode` gets the pixels and the module's own `encode`."""

    # Five parameters: each direction has its own hook.
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
        return iter([self._residency.anchor(self._part)])

    def encode(self, pixels: torch.Tensor) -> torch.Tensor:
        self._residency.use(self._part)
        return self._encode(pixels, self._module.encode)

    def decode(self, latent: torch.Tensor) -> torch.Tensor:
        self._before_decode()
        self._residency.use(self._part)
        return self._module.decode(latent)
