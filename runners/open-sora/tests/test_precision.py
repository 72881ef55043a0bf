"""Weights of 8 bits on Open-Sora's real code, in this process. Needs OPENSORA_HOME and its libraries."""

from __future__ import annotations

import tempfile
import unittest
from typing import Any
from unittest import mock

import torch
from sluice_open_sora import precision
from sluice_open_sora.open_sora.residency import Residency
from sluice_runner.failure import RunnerFailure
from sluice_runner.model_weights import PRECISIONS, ModelWeights
from sluice_runner.pipeline import Place
from tests.real_pipeline import RealPipeline, RecordingGate, generation
from tests.test_guidance_branches import psnr

STEPS = 4
# int8 keeps 7 bits of each row's largest weight and fp8 3 bits of each weight, or of each number. With random
# weights that says nothing of pictures; it says that the sums are the same ones.
PSNR_MIN = {"int8": 35.0, "fp8": 25.0, "fp8-sums": 25.0}


def bytes_of(module: Any) -> int:
    def size(tensor: torch.Tensor) -> int:
        if not hasattr(tensor, "__tensor_flatten__"):
            return tensor.numel() * tensor.element_size()
        return sum(size(getattr(tensor, name)) for name in tensor.__tensor_flatten__()[0])

    return sum(size(parameter.data) for parameter in module.parameters())


class EightBits(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def pipeline(self, kept: Any = None, **more: Any) -> RealPipeline:
        models = () if kept is None else (ModelWeights(f"open-sora-2-{kept}", precision=kept),)
        return RealPipeline(self.folder, models=models, **more)

    def test_the_transformer_takes_half_the_memory_and_makes_about_the_same_clip(self) -> None:
        whole = self.pipeline()
        theirs = whole.make(generation(num_steps=STEPS))
        identities = {whole.loaded.identities["open-sora-2"]}
        for kept in PRECISIONS:
            with self.subTest(kept):
                real = self.pipeline(kept)
                share = bytes_of(real.model) / bytes_of(whole.model)
                self.assertLess(share, 0.6)
                gate = RecordingGate(self.folder)
                asked = generation(num_steps=STEPS, model=f"open-sora-2-{kept}")
                ours = real.make(asked, gate)
                apart = psnr(ours, theirs)
                print(f"{kept}: {share:.2f} of the bytes, {apart:.1f} dB PSNR after {STEPS} steps")
                self.assertGreaterEqual(apart, PSNR_MIN[kept])
                self.assertEqual(real.make(asked, resume=gate.checkpoints[2]), ours)
                identities |= set(real.loaded.identities.values())
                self.assertEqual(real.loaded.readiness.uses["weights"], kept)
        # A checkpoint of one is none of another.
        self.assertEqual(len(identities), 1 + len(PRECISIONS))

    def test_with_offload_it_is_the_same_clip(self) -> None:
        asked = generation(num_steps=STEPS, model="open-sora-2-int8")
        clips = [self.pipeline("int8", place=Place(0, 1, offload)).make(asked) for offload in (False, True)]
        self.assertEqual(*clips)

    def test_what_is_of_8_bits_goes_to_a_device_and_back_to_the_hosts_copy(self) -> None:
        network = torch.nn.Sequential(torch.nn.Linear(64, 64)).to(torch.bfloat16)
        from sluice_open_sora.open_sora.quantized_weights import quantize

        for kept in PRECISIONS:
            part = torch.nn.Sequential(torch.nn.Linear(64, 64)).to(torch.bfloat16)
            part.load_state_dict(network.state_dict())
            quantize(part, kept, torch.device("cpu"))
            inputs = torch.randn(3, 64, dtype=torch.bfloat16)
            before = part(inputs)
            residency = Residency(torch.device("meta"), {"model": [part], "text": []}, offload=True)
            residency.use("model")
            self.assertEqual(part[0].weight.device.type, "meta")
            residency.use("text")
            self.assertTrue(torch.equal(part(inputs), before))

    def test_a_torchao_that_does_not_go_with_this_torch_is_named(self) -> None:
        from sluice_open_sora.open_sora.quantized_weights import quantize

        class Broken:
            def __getattr__(self, name: str) -> None:
                raise RuntimeError(f"torch has no {name}")

        with (
            mock.patch.dict("sys.modules", {"torchao.quantization": Broken()}),
            self.assertRaisesRegex(RunnerFailure, "torchao .* is not usable: torch has no .*;") as raised,
        ):
            quantize(torch.nn.Linear(64, 64), "int8", torch.device("cpu"))
        self.assertEqual(raised.exception.code, "model_missing")

    def test_without_torchao_the_load_says_so(self) -> None:
        with (
            mock.patch.object(precision, "torchao_version", return_value=None),
            self.assertRaisesRegex(RunnerFailure, "precision is 'int8', for which torchao is needed"),
        ):
            self.pipeline("int8")


if __name__ == "__main__":
    unittest.main()
