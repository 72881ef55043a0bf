"""Attention kernels on torch and on Open-Sora's real code, in this process. Needs OPENSORA_HOME and its
libraries."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import types
import unittest
from typing import Any
from unittest import mock

import torch
from sluice_open_sora.attention_choice import KERNELS
from sluice_open_sora.open_sora import attention
from sluice_open_sora.open_sora.attention import Heads, find_kernel, settle_attention, try_kernels
from sluice_open_sora.open_sora.pipeline import OpenSoraPipeline
from sluice_runner.failure import RunnerFailure
from sluice_runner.pipeline import Place
from tests.real_pipeline import RealPipeline, generation
from tests.spawned_runner import PACKAGE_FOLDER
from tests.test_guidance_branches import psnr

CPU = torch.device("cpu")
HEADS = Heads(3, 16, torch.bfloat16)
# A level of 255 may be rounded the other way here and there, no more.
FLOAT_PSNR_MIN = 70.0
ON_CPU = ("sdpa-flash", "sdpa-math")


def installed(name: str, attend: Any) -> Any:
    """Meanwhile a package of that name is there, with this flash_attn_func."""
    module = types.ModuleType(name)
    vars(module)["flash_attn_func"] = attend
    return mock.patch.dict(sys.modules, {name: module})


class Kernels(unittest.TestCase):
    def trials(self) -> dict[str, str | None]:
        return {trial.kernel: trial.problem for trial in try_kernels(KERNELS, HEADS, (), CPU)}

    def test_each_is_tried_and_what_is_missing_is_said(self) -> None:
        with mock.patch.dict(sys.modules, {"flash_attn": None, "flash_attn_interface": None}):
            problems = self.trials()
        self.assertEqual([kernel for kernel, problem in problems.items() if problem is None], list(ON_CPU))
        self.assertEqual(problems["flash-attn-2"], "not installed")
        self.assertRegex(problems["sdpa-cudnn"] or "", "does not run here: ")

    def test_both_forms_of_flash_attention_3_are_taken(self) -> None:
        right = find_kernel("sdpa-math")
        for attend in (right, lambda q, k, v: (right(q, k, v), torch.zeros(1))):
            with installed("flash_attn_interface", attend):
                self.assertIsNone(self.trials()["flash-attn-3"])

    def test_one_that_computes_something_else_is_not_used(self) -> None:
        right = find_kernel("sdpa-math")
        for attend, said in (
            (lambda q, k, v: right(q, k, v)[0], r"its result is torch.bfloat16 \[333, 3, 16\]"),
            (lambda q, k, v: right(q * 2, k, v), "of its spread from the right one"),
            (lambda q, k, v: right(q, k, v) * float("nan"), "of its spread from the right one"),
            (lambda q, k, v: right(q, k, v).float(), "its result is torch.float32"),
        ):
            with self.subTest(said), installed("flash_attn_interface", attend):
                self.assertRegex(self.trials()["flash-attn-3"] or "", said)

    def test_one_that_is_named_and_broken_refuses_the_load_and_no_other_is_touched(self) -> None:
        def broken(*_: Any) -> None:
            raise RuntimeError("FlashAttention only supports Ampere GPUs or newer.\nmore")

        with installed("flash_attn_interface", broken), mock.patch.object(
            attention, "find_kernel", side_effect=find_kernel
        ) as found, self.assertRaises(RunnerFailure) as raised:
            settle_attention("flash-attn-3", HEADS, (), CPU)
        self.assertEqual(raised.exception.code, "model_missing")
        self.assertRegex(
            raised.exception.message, "does not run here: FlashAttention only supports Ampere GPUs or newer.;"
        )
        self.assertEqual([call.args for call in found.call_args_list], [("flash-attn-3",)])

    def test_one_that_breaks_the_device_is_named(self) -> None:
        def broken(*_: Any) -> None:
            raise RuntimeError("CUDA error: an illegal memory access was encountered")

        with installed("flash_attn_interface", broken), mock.patch.object(
            attention, "synchronize", side_effect=RuntimeError("CUDA error: an illegal memory access")
        ), self.assertRaises(RunnerFailure) as raised:
            settle_attention("auto", HEADS, (), CPU)
        self.assertEqual(raised.exception.code, "device_lost")
        self.assertRegex(raised.exception.message, "flash-attn-3 broke the device.*OPENSORA_ATTENTION")

    def test_memory_that_does_not_do_for_a_length_leaves_that_length_untimed(self) -> None:
        def short(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
            if q.shape[1] > 500:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 281.00 GiB")
            return find_kernel("sdpa-math")(q, k, v)

        with installed("flash_attn_interface", short):
            trial = attention._try("flash-attn-3", HEADS, (400, 600), CPU)
        self.assertEqual((trial.problem, list(trial.seconds)), (None, [400]))


class WithoutFlashAttn(unittest.TestCase):
    def test_open_soras_network_is_imported_and_only_what_needs_flash_attn_says_so(self) -> None:
        program = """
import sys
from sluice_open_sora.open_sora.attention import stand_in_for_flash_attn
assert stand_in_for_flash_attn() == "not installed", "first"
assert stand_in_for_flash_attn() == "not installed", "second"
from flash_attn import flash_attn_func
from flash_attn.flash_attn_interface import _flash_attn_backward, _flash_attn_forward
try:
    _flash_attn_forward(1, 2, 3)
except Exception as error:
    print(error.code, error.message)
"""
        done = subprocess.run(
            [sys.executable, "-c", program],
            env={"PYTHONPATH": f"{PACKAGE_FOLDER}:{PACKAGE_FOLDER.parent / 'python'}"},
            capture_output=True,
            text=True,
        )
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(done.stdout.strip(), "model_missing flash-attn is needed here; it is not installed")


class InThePipeline(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def test_a_sequence_that_cannot_be_split_is_refused_before_weights_are_read(self) -> None:
        two = "sluice_open_sora.open_sora.configuration.sequence_ranks"
        with (
            mock.patch(two, return_value=2),
            mock.patch.object(OpenSoraPipeline, "_boosters", side_effect=AssertionError("ranks were joined")),
            self.assertRaisesRegex(RunnerFailure, "a sequence over 2 devices is built on flash-attn"),
        ):
            RealPipeline(self.folder, place=Place(0, 2, False))

    def test_every_kernel_makes_the_same_clip_but_for_rounding_and_a_checkpoint_of_its_own(self) -> None:
        clips, identities = {}, set()
        for kernel in ON_CPU:
            with mock.patch.dict("os.environ", {"OPENSORA_ATTENTION": kernel}):
                real = RealPipeline(self.folder, "float_config.py")
            self.assertEqual(real.loaded.readiness.uses["attention"], kernel)
            self.assertEqual(real.loaded.settled["OPENSORA_ATTENTION"], kernel)
            identities.add(real.loaded.identities["open-sora-2"])
            clips[kernel] = real.make(generation(num_steps=8))
        self.assertEqual(len(identities), 2)
        apart = psnr(clips["sdpa-flash"], clips["sdpa-math"])
        print(f"sdpa-flash and sdpa-math, 8 steps, 32-bit floats: {apart:.1f} dB PSNR")
        self.assertGreaterEqual(apart, FLOAT_PSNR_MIN)

    def test_the_chosen_kernel_is_the_one_that_runs(self) -> None:
        calls = []

        def counted(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
            calls.append(q.shape)
            return find_kernel("sdpa-math")(q, k, v)

        with installed("flash_attn_interface", counted):
            real = RealPipeline(self.folder)
            self.assertEqual(real.loaded.readiness.uses["attention"], "flash-attn-3")
            calls.clear()
            real.make(generation(num_steps=3))
        # Of tiny_config.py: four blocks.
        self.assertEqual(len(calls), 3 * 4)


if __name__ == "__main__":
    unittest.main()
