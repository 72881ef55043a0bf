"""On a device that is small for Open-Sora the largest clip is found out at load; on Open-Sora's real code in
this process. Needs OPENSORA_HOME and its libraries."""

from __future__ import annotations

import os
import tempfile
import unittest
from typing import Any
from unittest import mock

import torch
from sluice_open_sora.open_sora import computing, pipeline
from sluice_open_sora.open_sora.attention import find_kernel
from sluice_open_sora.sold_sizes import SoldSize
from sluice_runner.failure import RunnerFailure
from sluice_runner.pipeline import Place
from sluice_runner.with_torch import device
from tests.real_pipeline import RealPipeline, generation

# 48x32 and 64x64 pixels, 9 frames: 530 and 560 positions with the text's.
SIZES = (SoldSize(48, 32, 9, 18), SoldSize(64, 64, 9, 48))
OFFLOAD = Place(0, 1, True)


class OfASmallDevice(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        # Rows and positions of every forward.
        self.ran: set[tuple[int, int]] = set()

    def load(self, gib: int, room: int, place: Place = Place(0, 1, False), **settings: str) -> RealPipeline:
        """`room`: the positions for which the memory does."""

        def attend(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
            self.ran.add((q.shape[0], q.shape[1]))
            if q.shape[1] > room:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB")
            return find_kernel("sdpa-flash")(q, k, v)

        with (
            mock.patch.dict(os.environ, settings),
            mock.patch.object(pipeline, "sold_sizes", return_value=SIZES),
            mock.patch.object(device, "describe_device", return_value=("small", gib * 2**30)),
            mock.patch.object(computing, "find_kernel", return_value=attend),
        ):
            return RealPipeline(self.folder, place=place)

    def offers(self, real: RealPipeline) -> tuple[Any, ...]:
        ready = real.loaded.readiness
        return ready.pixels_max, ready.frames_max, ready.uses.get("largest clip")

    def test_it_offers_what_was_made_there_and_makes_what_a_large_one_makes(self) -> None:
        real = self.load(24, room=540)
        self.assertEqual(self.offers(real), (256 * 256, 9, "48x32x9"))
        self.assertEqual(real.loaded.settled["OPENSORA_LARGEST_CLIP"], "48x32x9")
        # With all branches, which a clip from an image may need.
        self.assertEqual(self.ran, {(3, 530), (3, 560)})
        asked = generation(num_steps=3)
        self.assertEqual(real.make(asked), RealPipeline(self.folder).make(asked))

    def test_where_nothing_fits_the_load_fails_for_want_of_memory(self) -> None:
        said = "not even a clip of 48x32 .* fits; OPENSORA_OFFLOAD"
        with self.assertRaisesRegex(RunnerFailure, said) as raised:
            self.load(24, room=520)
        self.assertEqual((raised.exception.code, raised.exception.retryable), ("out_of_memory", True))

    def test_nothing_is_tried_where_memory_is_enough_or_a_retry_helps_or_the_operator_says_it(self) -> None:
        whole = (768 * 768, 129, None)
        self.assertEqual(self.offers(self.load(80, room=520)), whole)
        self.assertEqual(self.offers(self.load(24, room=520, OPENSORA_OFFLOAD="retry")), whole)
        said = self.load(24, room=520, OPENSORA_LARGEST_CLIP="1024x576x65")
        self.assertEqual(self.offers(said), (768 * 768, 65, "1024x576x65"))
        self.assertEqual(self.ran, set())
        # With offload there is no second try.
        tried = self.load(24, 540, OFFLOAD, OPENSORA_OFFLOAD="retry")
        self.assertEqual(self.offers(tried), (256 * 256, 9, "48x32x9"))


if __name__ == "__main__":
    unittest.main()
