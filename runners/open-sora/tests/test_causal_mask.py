"""The autoencoder's mask on Open-Sora's real code, in this process. Needs OPENSORA_HOME and its libraries."""

from __future__ import annotations

import tempfile
import unittest
from typing import Any

from tests.real_pipeline import RealPipeline, generation, images

# Nine tiles of the tiny autoencoder, of three sizes.
LARGE = {"width": 768, "height": 768, "num_frames": 5, "num_steps": 1}


class CausalMask(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.folder = folder.name
        # Before the runner replaces it.
        cls.real = RealPipeline(cls.folder)

    @property
    def mask(self) -> Any:
        return self.real.pipeline._causal_mask

    def test_it_is_open_soras_own_bit_for_bit(self) -> None:
        import torch
        from opensora.models.hunyuan_vae.unet_causal_3d_blocks import prepare_causal_attention_mask

        for frames, pixels in ((1, 1), (1, 9), (2, 7), (5, 12), (33, 6)):
            for dtype in (torch.bfloat16, torch.float16, torch.float32):
                for batch in (None, 1, 3):
                    asked = (frames, pixels, dtype, torch.device("cpu"), batch)
                    ours, theirs = self.mask(*asked), prepare_causal_attention_mask(*asked)
                    self.assertEqual((ours.shape, ours.dtype), (theirs.shape, theirs.dtype))
                    self.assertTrue(torch.equal(ours.view(torch.uint8), theirs.view(torch.uint8)), asked)

    def test_a_clip_from_an_image_is_the_same_bits_with_open_soras_own(self) -> None:
        from opensora.models.hunyuan_vae import unet_causal_3d_blocks, vae

        asked, head = generation(mode="i2v", num_steps=2), {"references": images(self.folder)["head"]}
        ours = self.real.make(asked, **head)
        vae.prepare_causal_attention_mask = unet_causal_3d_blocks.prepare_causal_attention_mask
        try:
            self.assertEqual(self.real.make(asked, **head), ours)
        finally:
            self.mask.replace()

    def test_it_is_kept_from_tile_to_tile_and_not_from_clip_to_clip(self) -> None:
        tiles = 0

        def count(*_: Any) -> None:
            nonlocal tiles
            tiles += 1

        hook = self.real.pipeline._autoencoder.decoder.register_forward_hook(count)
        before = self.mask.made
        self.real.make(generation(**LARGE))
        hook.remove()
        self.assertGreater(tiles, 4)
        self.assertLess(self.mask.made - before, tiles)
        self.assertIsNone(self.mask._kept)


if __name__ == "__main__":
    unittest.main()
