"""Sums in fp8 on torch and on Open-Sora's real code, in this process. cuDNN's own kernel needs a GPU: here
the same sums are made in 32-bit floats of the same numbers of fp8. Needs OPENSORA_HOME and its libraries."""

from __future__ import annotations

import os
import tempfile
import unittest
from contextlib import nullcontext
from typing import Any
from unittest import mock

import peft
import torch
from sluice_open_sora.open_sora import attention, fp8_attention, fp8_linear
from sluice_open_sora.open_sora.attention import Heads, settle_fp8_attention
from sluice_open_sora.open_sora.compiled_blocks import CompiledBlocks
from sluice_open_sora.open_sora.fp8_attention import attend_in_fp8
from sluice_open_sora.open_sora.fp8_linear import FP8, Fp8Linear, check_fp8_sums, replace_linears
from sluice_open_sora.probe import describe_attention
from sluice_open_sora.sold_sizes import SoldSize
from sluice_runner.failure import RunnerFailure
from sluice_runner.model_weights import ModelWeights
from tests.real_pipeline import RealPipeline, generation
from torch._dynamo.utils import counters

CPU = torch.device("cpu")
HEADS = Heads(3, 16, torch.bfloat16)
MODEL = "open-sora-2-fp8-sums"


class PlainGraph:
    """What cuDNN's graph computes."""

    def run(self, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, *factors: torch.Tensor) -> torch.Tensor:
        of_q, of_k, _ = factors
        q, k, v = (part.float().transpose(1, 2) for part in (q, k, v))
        scores = (q / of_q) @ (k / of_k).transpose(-1, -2) * q.shape[-1] ** -0.5
        return (torch.softmax(scores, -1) @ v).transpose(1, 2).to(FP8).contiguous()


def with_plain_graph() -> Any:
    return mock.patch.object(fp8_attention, "_graph_of", lambda *_: PlainGraph())


def right(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    q, k, v = (part.float().transpose(1, 2) for part in (q, k, v))
    return (torch.softmax(q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5, -1) @ v).transpose(1, 2)


def drawn(*shape: int, seed: int = 1) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(torch.bfloat16)


def apart(ours: torch.Tensor, theirs: torch.Tensor, of: torch.Tensor | None = None) -> float:
    """By `of`, the size of the result that is looked at."""
    return float((ours.float() - theirs).norm() / (theirs if of is None else of).norm())


class Linear(unittest.TestCase):
    def test_it_gives_nearly_the_same_in_half_the_bytes(self) -> None:
        linear = torch.nn.Linear(256, 64).to(torch.bfloat16)
        inputs = drawn(2, 33, 256)
        # Rows and outputs of very different size have factors of their own.
        inputs[0, 3] *= 1e4
        inputs[0, 4] *= 1e-4
        linear.weight.data[5] *= 100
        ours, theirs = Fp8Linear(linear, CPU)(inputs), linear(inputs)
        self.assertEqual((ours.shape, ours.dtype), (theirs.shape, theirs.dtype))
        others = [output for output in range(64) if output != 5]
        for row in range(33):
            self.assertLess(apart(ours[0, row, others], theirs[0, row, others].float()), 0.06)
        self.assertLess(apart(ours[1, :, 5], theirs[1, :, 5].float()), 0.06)
        self.assertEqual(Fp8Linear(linear, CPU).weight.element_size(), 1)

    def test_rows_of_zeros_and_layers_without_a_bias_are_layers_too(self) -> None:
        linear = torch.nn.Linear(64, 32, bias=False).to(torch.bfloat16)
        linear.weight.data[0] = 0
        zeros = torch.zeros(4, 64, dtype=torch.bfloat16)
        self.assertTrue(torch.equal(Fp8Linear(linear, CPU)(zeros), zeros[:, :32]))

    def test_a_network_that_a_lora_of_open_soras_configuration_wraps_gives_nearly_the_same(self) -> None:
        network = torch.nn.Sequential(torch.nn.Linear(64, 64))
        lora = peft.LoraConfig(r=16, target_modules=["0"], init_lora_weights=False)
        wrapped = peft.inject_adapter_in_model(lora, network).to(torch.bfloat16)
        inputs = drawn(33, 64)
        theirs = wrapped(inputs).float()
        replace_linears(wrapped, CPU)
        self.assertIsInstance(wrapped[0].base_layer, Fp8Linear)
        self.assertLess(apart(wrapped(inputs), theirs), 0.06)

    def test_a_device_that_has_no_fp8_is_named(self) -> None:
        with (
            mock.patch.object(torch.cuda, "get_device_capability", return_value=(8, 0)),
            self.assertRaisesRegex(RunnerFailure, "capability 8.0, needed is 8.9 or later") as raised,
        ):
            check_fp8_sums(torch.device("cuda"))
        self.assertEqual(raised.exception.code, "model_missing")

    def test_sums_that_do_not_run_or_come_out_wrong_refuse_the_load(self) -> None:
        check_fp8_sums(CPU)
        for forward, said in (
            (mock.Mock(side_effect=RuntimeError("no kernel\nmore")), "does not run here: no kernel"),
            (lambda self, x: x[:, :64] * float("nan"), "comes out nan % wrong"),
            (lambda self, x: x[:, :64], "comes out .* % wrong"),
        ):
            with (
                self.subTest(said),
                mock.patch.object(fp8_linear.Fp8Linear, "forward", forward),
                self.assertRaisesRegex(RunnerFailure, said),
            ):
                check_fp8_sums(CPU)


class Attention(unittest.TestCase):
    def setUp(self) -> None:
        self.enterContext(with_plain_graph())
        shape = (2, 333, 4, 64)
        self.q, self.k, self.v = (drawn(*shape, seed=seed) for seed in (1, 2, 3))

    def test_it_gives_nearly_the_same(self) -> None:
        ours = attend_in_fp8(self.q, self.k, self.v)
        self.assertEqual((ours.shape, ours.dtype), (self.q.shape, torch.bfloat16))
        self.assertLess(apart(ours, right(self.q, self.k, self.v)), 0.12)

    def test_what_all_keys_or_all_values_share_costs_no_precision(self) -> None:
        # Beside what they share a number of bf16 has less bits itself.
        q, k, v = (part.float() for part in (self.q, self.k, self.v))
        plain = right(q, k, v)
        shared = 16 * drawn(1, 1, 4, 64, seed=4).float()
        no_shift = mock.patch.object(fp8_attention, "_mean", lambda part: torch.zeros_like(part[:, :1]))
        for keys, values in ((k + shared, v), (k, v + shared)):
            theirs = right(q, keys, values)
            self.assertLess(apart(attend_in_fp8(q, keys, values), theirs, plain), 0.12)
            with no_shift:
                self.assertGreater(apart(attend_in_fp8(q, keys, values), theirs, plain), 0.3)

    def test_a_number_far_above_those_that_were_looked_at_is_cut_off_and_no_nan(self) -> None:
        for part in (self.q, self.k, self.v):
            part[0, 7, 0, 0] = 1000
            self.assertTrue(bool(attend_in_fp8(self.q, self.k, self.v).isfinite().all()))

    def test_zeros_and_sequences_shorter_than_what_is_looked_at_are_attended(self) -> None:
        zeros = torch.zeros_like(self.q)
        self.assertTrue(torch.equal(attend_in_fp8(zeros, zeros, zeros), zeros))
        short = [part[:, :3] for part in (self.q, self.k, self.v)]
        self.assertLess(apart(attend_in_fp8(*short), right(*short)), 0.12)


class Choice(unittest.TestCase):
    def test_doctor_is_told_whether_the_sums_run_and_which_kernel_attention_would_have(self) -> None:
        models = [{"id": MODEL, "precision": "fp8-sums"}]
        with mock.patch("sluice_open_sora.probe.sold_sizes", return_value=()):
            found = describe_attention(models, {"OPENSORA_DEVICE": "cpu"})
            assert found is not None
            self.assertRegex(found["said"], "; with fp8-sums attention: not cudnn-fp8, not installed;")
            failure = RunnerFailure("model_missing", "no such sums")
            with mock.patch.object(fp8_linear, "check_fp8_sums", side_effect=failure):
                found = describe_attention(models, {"OPENSORA_DEVICE": "cpu"})
            assert found is not None
            self.assertEqual(found["problem"], "no such sums")

    def test_where_cudnn_is_missing_or_wrong_the_other_kernel_is_used_and_why_is_said(self) -> None:
        kernel, said = settle_fp8_attention("sdpa-math", HEADS, (), CPU)
        self.assertEqual(kernel, "sdpa-math")
        self.assertIn("attention: not cudnn-fp8, not installed;", said)
        with mock.patch.object(attention, "find_cudnn"), with_plain_graph():
            self.assertEqual(settle_fp8_attention("sdpa-math", HEADS, (), CPU)[0], "cudnn-fp8")
            with mock.patch.object(PlainGraph, "run", lambda self, q, k, v, *_: v.clone()):
                kernel, said = settle_fp8_attention("sdpa-math", HEADS, (), CPU)
        self.assertEqual(kernel, "sdpa-math")
        self.assertRegex(said, "attention: not cudnn-fp8, its result is .* % wrong;")


class InThePipeline(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        self.enterContext(mock.patch.object(attention, "find_cudnn"))
        self.enterContext(with_plain_graph())

    def pipeline(self) -> RealPipeline:
        return RealPipeline(self.folder, models=(ModelWeights(MODEL, precision="fp8-sums"),))

    def test_attention_in_fp8_is_what_runs_and_other_models_of_the_runner_are_not_told_to(self) -> None:
        real = self.pipeline()
        self.assertEqual(real.loaded.readiness.uses["attention"], "cudnn-fp8")
        self.assertIn("attention=cudnn-fp8", real.loaded.identities[MODEL])
        self.assertIn(real.loaded.settled["OPENSORA_ATTENTION"], ("sdpa-flash", "sdpa-math"))
        with mock.patch.object(PlainGraph, "run", side_effect=PlainGraph().run) as run:
            real.make(generation(num_steps=3, model=MODEL))
        # Of tiny_config.py: four blocks.
        self.assertEqual(run.call_count, 3 * 4)

    def test_what_a_checkpoint_belongs_to_is_the_same_whichever_of_the_runners_models_is_loaded(self) -> None:
        exact, ours = ModelWeights("open-sora-2"), ModelWeights(MODEL, precision="fp8-sums")
        missing = mock.patch.object(attention, "find_cudnn", side_effect=ModuleNotFoundError)
        for models, at_first in (((exact, ours), nullcontext()), ((ours, exact), missing)):
            with self.subTest(models[0].id), mock.patch.dict(os.environ):
                with at_first:
                    first = RealPipeline(self.folder, models=models).loaded
                # As ranks that start again for the other model, when it could be chosen otherwise.
                os.environ.update(first.settled)
                again = RealPipeline(self.folder, models=models[::-1]).loaded
                self.assertEqual(again.identities, first.identities)
                self.assertNotIn("cudnn-fp8", first.identities[exact.id])

    def test_all_blocks_of_a_kind_share_a_program_with_what_scales_into_fp8(self) -> None:
        real = self.pipeline()
        self.enterContext(mock.patch.dict(os.environ))
        os.environ.pop("TORCHDYNAMO_DISABLE", None)
        self.enterContext(mock.patch.object(torch._dynamo.config, "disable", False))
        torch._dynamo.reset()
        before = counters["stats"]["unique_graphs"]
        blocks = CompiledBlocks(real.model, attend_in_fp8, CPU, torch.bfloat16)
        blocks.put_in_place([SoldSize(48, 32, 9, 18)])
        with torch.inference_mode():
            for kind in blocks._kinds:
                for block in kind.blocks:
                    block.forward(*kind.inputs(SoldSize(64, 64, 9, 48), 2))
        # Two kinds, for one row and for several.
        self.assertEqual(counters["stats"]["unique_graphs"] - before, 4)


if __name__ == "__main__":
    unittest.main()
