"""The causal mask of the autoencoder's attention: a frame sees itself and those before it.

Open-Sora writes it row by row in Python, again for each tile: 33,792 writes for a 768px tile of 129 frames.
Here it is one copy of a small table, the same bits, and kept while tiles of that size follow each other. It
is forgotten after each clip: that of a 768px tile has 2.3 GB.
"""

from __future__ import annotations

from typing import Any

import torch


class CausalMask:
    """Called as Open-Sora's prepare_causal_attention_mask."""

    def __init__(self) -> None:
        self._kept: tuple[tuple[Any, ...], torch.Tensor] | None = None
        # Masks made so far.
        self.made = 0

    # parameters: Open-Sora's own.
    def __call__(
        self,
        n_frame: int,
        n_hw: int,
        dtype: torch.dtype,
        device: torch.device,
        batch_size: int | None = None,
    ) -> torch.Tensor:
        asked = (n_frame, n_hw, dtype, device)
        if self._kept is None or self._kept[0] != asked:
            # Before the next is made: both at once may not fit.
            self.forget()
            self._kept = (asked, _make(n_frame, n_hw, dtype, device))
            self.made += 1
        mask = self._kept[1]
        return mask if batch_size is None else mask.unsqueeze(0).expand(batch_size, -1, -1)

    def forget(self) -> None:
        self._kept = None

    def replace(self) -> None:
        """Open-Sora's encoder and decoder use it from now on."""
        from opensora.models.hunyuan_vae import vae

        vae.prepare_causal_attention_mask = self


def _make(n_frame: int, n_hw: int, dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    frames = torch.full((n_frame, n_frame), float("-inf"), dtype=dtype, device=device).triu_(1)
    length = n_frame * n_hw
    spread = frames[:, None, :, None].expand(n_frame, n_hw, n_frame, n_hw).reshape(length, length)
    # Of a single frame it is still a view.
    return spread.contiguous()
