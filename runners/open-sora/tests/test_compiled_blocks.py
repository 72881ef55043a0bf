"""The video model's blocks compiled by torch, on Open-Sora's real code in this process.

Needs OPENSORA_HOME and its libraries, a C++ compiler and Python's headers."""

from __future__ import annotations

import os
import tempfile
import unittest
from dataclasses import replace
from typing import Any, Callable
from unittest import mock

import torch
from sluice_open_sora.open_sora import pipeline
from sluice_open_sora.open_sora.attention import find_kernel
from sluice_open_sora.open_sora.compiled_blocks import CompiledBlocks, CompileFailure
from sluice_open_sora.open_sora.computing import LoadedNetwork, settle_blocks
from sluice_open_sora.sold_sizes import SoldSize
from sluice_runner.failure import RunnerFailure
from tests.real_pipeline import RealPipeline, RecordingGate, generation, images
from tests.test_attention import FLOAT_PSNR_MIN
from tests.test_guidance_branches import psnr
from torch._dynamo.utils import counters

CPU = torch.device("cpu")
# Instead of those that are sold, which take a CPU too long: 48x32 and 64x64 pixels, 9 frames.
SIZES = (SoldSize(48, 32, 9, 18), SoldSize(64, 64, 9, 48))
STEPS = 3
PROGRAMS = 4 + 2 + 3


def programs() -> int:
    return counters["stats"]["unique_graphs"]


class Blocks(unittest.TestCase):
    plain: RealPipeline

    @classmethod
    def setUpClass(cls) -> None:
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.folder = folder.name
        cls.plain = RealPipeline(cls.folder, "float_config.py")
        # The scaffolding keeps torch from compiling.
        os.environ.pop("TORCHDYNAMO_DISABLE")
        cls.addClassCleanup(os.environ.__setitem__, "TORCHDYNAMO_DISABLE", "1")
        cls.enterClassContext(mock.patch.object(torch._dynamo.config, "disable", False))
        # So Open-Sora's file was imported with this one as it is.
        from opensora.models.mmdit import model

        compiled = torch.compile(model.timestep_embedding, dynamic=True)
        cls.enterClassContext(mock.patch.object(model, "timestep_embedding", compiled))

    def blocks(self) -> CompiledBlocks:
        return CompiledBlocks(self.plain.model, find_kernel("sdpa-flash"), CPU, torch.float32)

    def forwards(self) -> list[Callable[..., Any]]:
        blocks = (*self.plain.model.double_blocks, *self.plain.model.single_blocks)
        return [block.forward for block in blocks]

    def assert_untouched(self, whole: bytes) -> None:
        self.assertEqual(self.plain.make(generation(num_steps=STEPS)), whole)
        self.assertFalse([forward for forward in self.forwards() if not hasattr(forward, "__self__")])

    def test_all_that_is_compiled_is_compiled_at_load_for_every_length_and_batch(self) -> None:
        # What another test compiled is forgotten.
        torch._dynamo.reset()
        before = programs()
        with (
            mock.patch.dict(os.environ, {"OPENSORA_COMPILE": "on"}),
            mock.patch.object(pipeline, "sold_sizes", return_value=SIZES),
        ):
            compiled = RealPipeline(self.folder, "float_config.py")
        # Two kinds of block and the embedding of a step's time, for one row and for several; norms of one and
        # of several channels, and of one and of several frames.
        self.assertEqual(programs() - before, PROGRAMS)
        self.assertEqual(compiled.loaded.readiness.uses["blocks"], "compiled")
        self.assertEqual(compiled.loaded.settled["OPENSORA_COMPILE"], "on")
        self.assertNotEqual(compiled.loaded.identities, self.plain.loaded.identities)
        head = {"references": images(self.folder)["head"]}
        for changes, more in (
            ({}, {}),
            ({"width": 80, "height": 48}, {}),
            ({"mode": "i2v", "num_frames": 5}, head),
        ):
            asked = generation(num_steps=STEPS, **changes)
            with self.subTest(changes):
                gate = RecordingGate(self.folder)
                made = compiled.make(asked, gate, **more)
                self.assertEqual(compiled.make(asked, resume=gate.checkpoints[2], **more), made)
                apart = psnr(made, self.plain.make(asked, **more))
                print(f"{changes}, {STEPS} steps, 32-bit floats: {apart:.1f} dB PSNR from blocks as they are")
                self.assertGreaterEqual(apart, FLOAT_PSNR_MIN)
        self.assertEqual(programs() - before, PROGRAMS)

    def test_without_a_compiler_the_load_says_so_and_the_blocks_run_as_they_are(self) -> None:
        whole = self.plain.make(generation(num_steps=STEPS))
        settings = replace(self.plain.pipeline._settings, compile="on")
        network = LoadedNetwork(self.plain.model, CPU, torch.float32, 1, 1)
        inductor = torch._inductor.config
        # What another test compiled is forgotten.
        torch._dynamo.reset()
        with (
            inductor.patch({"cpp.cxx": ("/nowhere/g++",), "force_disable_caches": True}),
            self.assertRaisesRegex(
                RunnerFailure, 'OPENSORA_COMPILE is "on", but: it does not compile: .*a C compiler and'
            ) as raised,
        ):
            settle_blocks(self.plain.pipeline._computing, network, settings, SIZES)
        self.assertEqual(raised.exception.code, "model_missing")
        self.assert_untouched(whole)

    def test_a_block_that_computes_something_else_when_compiled_is_not_used(self) -> None:
        whole = self.plain.make(generation(num_steps=STEPS))

        def wrong(forward: Callable[..., Any]) -> Callable[..., Any]:
            def scaled(*inputs: Any) -> Any:
                result = forward(*inputs)
                return tuple(2 * part for part in result) if isinstance(result, tuple) else 2 * result

            return scaled

        with (
            mock.patch.object(torch, "compile", wrong),
            self.assertRaisesRegex(CompileFailure, "double block's result is .* of its spread away"),
        ):
            self.blocks().put_in_place(SIZES)
        self.assert_untouched(whole)

    def test_where_they_are_not_compiled_ready_says_why(self) -> None:
        why = "not compiled: this is no GPU"
        self.assertEqual(self.plain.loaded.readiness.uses["blocks"], why)
        for changes, said in (
            ({"compile": "off"}, "not compiled: OPENSORA_COMPILE is off"),
            ({"compile": "auto"}, why),
        ):
            settings = replace(self.plain.pipeline._settings, **changes)
            network = LoadedNetwork(self.plain.model, CPU, torch.float32, 1, 1)
            settled = settle_blocks(self.plain.pipeline._computing, network, settings, SIZES)
            self.assertEqual((settled.uses["blocks"], settled.settled["OPENSORA_COMPILE"]), (said, "off"))
        network = replace(network, ranks=2)
        settings = replace(self.plain.pipeline._settings, compile="on")
        with self.assertRaisesRegex(RunnerFailure, "over several devices they are not compiled"):
            settle_blocks(self.plain.pipeline._computing, network, settings, SIZES)


if __name__ == "__main__":
    unittest.main()
