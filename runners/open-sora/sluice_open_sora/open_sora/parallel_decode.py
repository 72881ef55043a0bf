"""The decoder's tiles on several ranks. Each tile is decoded by itself, so the clip has the same bits."""

from __future__ import annotations

from contextlib import contextmanager
from typing import Any, Callable, Iterator

import torch
import torch.distributed as distributed

from ..rank_layout import owners
from .parallel_guidance import RankGroups


class OthersPutTogether(Exception):
    """This rank has no part in the clip after its own tiles: rank 0 puts it together."""


class ParallelAutoencoder:
    """Stands for Open-Sora's autoencoder, with `decode` shared out. Every rank has the same latent."""

    def __init__(self, module: Any, groups: RankGroups) -> None:
        self._module = module
        self._groups = groups

    @property
    def compression(self) -> Any:
        return self._module.compression

    def parameters(self) -> Iterator[torch.nn.Parameter]:
        return self._module.parameters()

    def encode(self, pixels: torch.Tensor) -> torch.Tensor:
        return self._module.encode(pixels)

    def decode(self, latent: torch.Tensor) -> torch.Tensor:
        """Raises OthersPutTogether on every rank but the first."""
        tiles = self._tiles(latent)
        owner_of = owners([tile.numel() for tile in tiles], self._groups.ranks)
        decoder = self._module.decoder
        own = {
            number: decoder(tile)
            for number, tile in enumerate(tiles)
            if owner_of[number] == self._groups.rank
        }
        if self._groups.rank != 0:
            for decoded in own.values():
                distributed.send(decoded.contiguous(), dst=0)
            raise OthersPutTogether
        # The largest tile is rank 0's own; all have as many frames, and are enlarged alike.
        number, decoded = next(iter(own.items()))
        scale = decoded.shape[-1] // tiles[number].shape[-1]
        for number, tile in enumerate(tiles):
            if number not in own:
                height, width = (side * scale for side in tile.shape[-2:])
                own[number] = decoded.new_empty((*decoded.shape[:-2], height, width))
                distributed.recv(own[number], src=owner_of[number])
        made = iter([own[number] for number in range(len(tiles))])
        with _decoder_as(decoder, lambda _tile: next(made)):
            return self._module.decode(latent)

    def _tiles(self, latent: torch.Tensor) -> list[torch.Tensor]:
        """What Open-Sora's own decode gives its decoder, one after the other."""
        tiles: list[torch.Tensor] = []

        def keep(tile: torch.Tensor) -> torch.Tensor:
            tiles.append(tile)
            # Some image of a tile; it is blended in place.
            return tile.clone()

        with _decoder_as(self._module.decoder, keep):
            self._module.decode(latent)
        return tiles


@contextmanager
def _decoder_as(decoder: Any, forward: Callable[[torch.Tensor], torch.Tensor]) -> Iterator[None]:
    """Meanwhile `forward` decodes. Hooks on the decoder stay in place."""
    decoder.forward = forward
    try:
        yield
    finally:
        del decoder.forward
