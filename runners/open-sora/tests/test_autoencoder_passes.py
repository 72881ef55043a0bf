"""The autoencoder's padding and norms beside torch's own, and on Open-Sora's real code in this process.

Needs OPENSORA_HOME and its libraries, a C++ compiler and Python's headers."""

from __future__ import annotations

import os
import tempfile
import unittest
from dataclasses import replace
from unittest import mock

import torch
from sluice_open_sora.compile_choice import COMPILE_SETTING
from sluice_open_sora.open_sora.autoencoder_passes import CompiledNorms, pad_by_copies
from sluice_open_sora.open_sora.compiled_blocks import CompileFailure
from sluice_open_sora.open_sora.computing import LoadedNetwork, settle_norms
from sluice_open_sora.settings import read_settings
from tests.real_pipeline import RealPipeline, generation, images

CPU = torch.device("cpu")


class Padding(unittest.TestCase):
    def test_it_is_torchs_own_bit_for_bit_and_in_the_same_order(self) -> None:
        for padding in ((1, 1, 1, 1, 2, 0), (0, 0, 0, 0, 0, 0), (2, 1, 0, 3, 1, 1), (1, 1, 0, 0, 0, 0)):
            for shape in ((1, 3, 1, 1, 1), (2, 4, 3, 5, 7)):
                for dtype in (torch.bfloat16, torch.float32):
                    x = torch.randn(shape).to(dtype)
                    for given in (x, x.to(memory_format=torch.channels_last_3d), x.transpose(3, 4)):
                        ours = pad_by_copies(given, padding)
                        theirs = torch.nn.functional.pad(given, padding, mode="replicate")
                        self.assertTrue(torch.equal(ours, theirs), (padding, shape))
                        # Of one place each order is every order.
                        if any(padding) and x.numel() > 3:
                            self.assertEqual(ours.stride(), theirs.stride())


class Norms(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.folder = folder.name
        cls.real = RealPipeline(cls.folder, "float_config.py")
        # The scaffolding keeps torch from compiling.
        os.environ.pop("TORCHDYNAMO_DISABLE")
        cls.addClassCleanup(os.environ.__setitem__, "TORCHDYNAMO_DISABLE", "1")
        cls.enterClassContext(mock.patch.object(torch._dynamo.config, "disable", False))

    def norms(self) -> CompiledNorms:
        return CompiledNorms(self.real.pipeline._autoencoder, CPU, torch.float32)

    def test_a_clip_is_the_same_bits_with_open_soras_own_padding(self) -> None:
        from opensora.models.hunyuan_vae.unet_causal_3d_blocks import CausalConv3d

        def theirs(self: CausalConv3d, x: torch.Tensor) -> torch.Tensor:
            return self.conv(torch.nn.functional.pad(x, self.time_causal_padding, mode=self.pad_mode))

        asked, head = generation(mode="i2v", num_steps=1), {"references": images(self.folder)["head"]}
        ours = self.real.make(asked, **head)
        with mock.patch.object(CausalConv3d, "forward", theirs):
            self.assertEqual(self.real.make(asked, **head), ours)

    def test_compiled_norms_decode_the_same_clip_but_for_rounding_and_are_taken_back(self) -> None:
        autoencoder = self.real.pipeline._autoencoder
        latent = torch.randn(1, 16, 3, 4, 6)
        with torch.inference_mode():
            plain = autoencoder.decode(latent)
            norms = self.norms()
            norms.put_in_place()
            ours = autoencoder.decode(latent)
            norms.take_back()
            again = autoencoder.decode(latent)
        self.assertFalse(torch.equal(ours, plain))
        self.assertLess(float((ours - plain).abs().max() / plain.std()), 1e-4)
        self.assertTrue(torch.equal(again, plain))

    def test_one_that_computes_something_else_when_compiled_is_not_used(self) -> None:
        def wrong(call, **_):
            return lambda *inputs: 2 * call(*inputs)

        with (
            mock.patch.object(torch, "compile", wrong),
            self.assertRaisesRegex(CompileFailure, "a compiled norm's result is .* of its spread away"),
        ):
            self.norms().put_in_place()
        autoencoder = self.real.pipeline._autoencoder
        kept = [part for part in autoencoder.modules() if "forward" in vars(part)]
        self.assertEqual(kept, [])

    def test_where_they_are_not_compiled_ready_says_why(self) -> None:
        network = LoadedNetwork(self.real.model, CPU, torch.float32, 1, 1)
        settled = self.real.pipeline._computing
        for compiles, ranks, said in (
            ("off", 1, "not compiled: OPENSORA_COMPILE is off"),
            ("auto", 1, "not compiled: this is no GPU"),
            ("on", 2, "not compiled: over several devices they are not compiled"),
        ):
            settings = replace(self.real.pipeline._settings, compile=compiles)
            autoencoder = self.real.pipeline._autoencoder
            made = settle_norms(settled, autoencoder, replace(network, ranks=ranks), settings)
            self.assertEqual((made.uses["norms"], made.identity), (said, settled.identity))

    def test_ranks_that_start_again_compile_them_as_the_first_did_whatever_became_of_the_blocks(self) -> None:
        network = LoadedNetwork(self.real.model, torch.device("cuda"), torch.float32, 1, 1)
        computing, autoencoder = self.real.pipeline._computing, self.real.pipeline._autoencoder
        for took, blocks, said in (((1.0, 0.99), "on", "not compiled: "), ((1.0, 0.5), "off", "compiled")):
            with self.subTest(said), mock.patch.object(CompiledNorms, "put_in_place", return_value=took):
                first = settle_norms(computing, autoencoder, network, read_settings({}))
                self.assertTrue(first.uses["norms"].startswith(said))
                told = {COMPILE_SETTING: blocks, **first.settled}
                again = settle_norms(computing, autoencoder, network, read_settings(told))
                self.assertEqual(again.identity, first.identity)


if __name__ == "__main__":
    unittest.main()
