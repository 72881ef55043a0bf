"""The parts of this runner's own that need no process."""

from __future__ import annotations

import json
import tempfile
import unittest
from dataclasses import replace
from fractions import Fraction
from itertools import product
from pathlib import Path
from unittest import mock

from runner_tests.source_form import imports_without_packages
from runner_tests.spawned_runner import SHARED_FOLDER
from runner_tests.tiny_weights import Numbers, write_weights
from sluice_open_sora import precision
from sluice_open_sora.attention_choice import (
    Kernel,
    Trial,
    check_ring,
    choose_kernel,
    describe_trials,
    why_not_fp8,
)
from sluice_open_sora.compile_choice import Comparison, describe, is_faster
from sluice_open_sora.guidance_branches import BRANCHES, Scales, needed_branches, stand_ins
from sluice_open_sora.largest_clip import LargestClip, find_largest_clip
from sluice_open_sora.lora_file import LoraFile
from sluice_open_sora.precision import check_precisions
from sluice_open_sora.rank_layout import Share, allowed_ranks, group_members, owners, share_of
from sluice_open_sora.served_model import open_models
from sluice_open_sora.settings import read_settings, set_allocator
from sluice_open_sora.sold_sizes import SoldSize, sold_sizes
from sluice_runner.failure import RunnerFailure
from sluice_runner.makes import OPEN_SORA_MAKES, Frames
from sluice_runner.model_weights import ModelWeights, Precision
from sluice_runner.settings import SettingError
from sluice_runner.step_cache import StepCache
from tests.spawned_runner import PACKAGE_FOLDER


class StandardLibrary(unittest.TestCase):
    def test_nothing_outside_open_sora_needs_more(self) -> None:
        folders = [PACKAGE_FOLDER, SHARED_FOLDER]
        self.assertEqual(imports_without_packages(PACKAGE_FOLDER / "sluice_open_sora", folders), "")


class StepCaches(unittest.TestCase):
    def test_the_exact_model_takes_none(self) -> None:
        cache = StepCache(0.05)
        (fast,) = open_models((ModelWeights("open-sora-2-fast", step_cache=cache),))
        self.assertEqual(fast.step_cache, cache)
        with self.assertRaises(RunnerFailure) as raised:
            open_models((ModelWeights("open-sora-2", step_cache=cache),))
        self.assertEqual(raised.exception.code, "bad_input")
        self.assertEqual(
            raised.exception.message,
            'model "open-sora-2" is exact and takes no step_cache; '
            "a model with one has an id of its own, such as open-sora-2-fast",
        )

    def test_nor_does_it_take_a_precision_and_one_with_it_has_checkpoints_of_its_own(self) -> None:
        with self.assertRaisesRegex(RunnerFailure, "is exact and takes no precision") as raised:
            open_models((ModelWeights("open-sora-2", precision="int8"),))
        self.assertEqual(raised.exception.code, "bad_input")
        precisions: tuple[Precision | None, ...] = (None, "int8", "fp8")
        models = open_models(tuple(ModelWeights("a", precision=kept) for kept in precisions))
        self.assertEqual([model.precision for model in models], list(precisions))
        self.assertEqual(len({model.identity for model in models}), 3)

    def test_without_torchao_a_precision_is_refused_with_what_to_install(self) -> None:
        asked = (ModelWeights("a"), ModelWeights("b", precision="fp8"))
        check_precisions(asked[:1], is_split=True)
        for version, is_split, said in (
            (None, False, "model 'b': precision is 'fp8', for which torchao is needed: pip install"),
            ("0.18.0", True, "which is for one device, or several with OPENSORA_PARALLEL=guidance"),
        ):
            with (
                self.subTest(said),
                mock.patch.object(precision, "torchao_version", return_value=version),
                self.assertRaisesRegex(RunnerFailure, said),
            ):
                check_precisions(asked, is_split)

    def test_a_checkpoint_belongs_to_one_with_its_threshold(self) -> None:
        models = (ModelWeights("a"), *(ModelWeights("a", step_cache=StepCache(by)) for by in (0.05, 0.06)))
        exact, *cached = (model.identity for model in open_models(models))
        self.assertEqual(exact, "")
        self.assertEqual(len({exact, *cached}), 3)


class RankLayout(unittest.TestCase):
    def test_every_branch_is_run_and_every_rank_has_its_part(self) -> None:
        for ranks, branches in product(range(1, 13), range(1, 4)):
            with self.subTest(ranks=ranks, branches=branches):
                shares = [share_of(rank, ranks, branches) for rank in range(ranks)]
                # In each group all have the same branches, and each place once; together all branches.
                for members in group_members(ranks, shares[0].groups):
                    own = [shares[rank] for rank in members]
                    self.assertEqual({share.branches for share in own}, {own[0].branches})
                    self.assertEqual([share.place for share in own], list(range(own[0].size)))
                firsts = [shares[members[0]] for members in group_members(ranks, shares[0].groups)]
                ran = [branch for share in firsts for branch in share.branches]
                self.assertEqual(ran, list(range(branches)))

    def test_branches_that_go_evenly_into_the_ranks_have_ranks_of_their_own(self) -> None:
        self.assertEqual([share_of(rank, 2, 2).branches for rank in range(2)], [(0,), (1,)])
        self.assertEqual([share_of(rank, 4, 2).branches for rank in range(4)], [(0,), (0,), (1,), (1,)])
        self.assertEqual(share_of(1, 2, 1), Share((0,), 1, 2, 1))
        self.assertEqual(share_of(1, 2, 3), Share((0, 1, 2), 1, 2, 1))

    def test_tiles_are_shared_out_evenly_and_the_largest_is_the_first_ranks(self) -> None:
        # A 768px clip's, in three rows of six: full ones, and rests at two sides.
        sizes = [32 * 32] * 5 + [32 * 8] + [32 * 32] * 5 + [32 * 8] + [24 * 32] * 5 + [24 * 8]
        for ranks in (1, 2, 3, 4, 6, 8, 24):
            with self.subTest(ranks=ranks):
                owner_of = owners(sizes, ranks)
                self.assertEqual(owner_of[0], 0)
                loads = [0] * ranks
                for size, owner in zip(sizes, owner_of, strict=True):
                    loads[owner] += size
                self.assertEqual(sum(loads), sum(sizes))
                self.assertLessEqual(max(loads) - min(loads), max(sizes))

    def test_the_full_network_goes_over_the_numbers_of_devices_that_hosts_have(self) -> None:
        self.assertTrue({1, 2, 3, 4, 6, 8} <= set(allowed_ranks(24)))
        self.assertNotIn(5, allowed_ranks(24))


class Loras(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def lora(
        self, tensors: dict[str, Numbers], name: str = "lora.safetensors", dtype: str = "F32"
    ) -> LoraFile:
        return LoraFile(write_weights(self.folder / name, tensors, dtype))

    def halves(self, down: str, up: str) -> dict[str, Numbers]:
        """Of rank 2, for a layer of 3 inputs and 4 outputs."""
        return {down: ((2, 3), [0.0] * 6), up: ((4, 2), [0.0] * 8)}

    def test_a_loras_layers_are_found_under_every_common_name(self) -> None:
        for down, up in (
            ("base_model.model.a.b.lora_A.weight", "base_model.model.a.b.lora_B.weight"),
            ("base_model.model.a.b.lora_A.default.weight", "base_model.model.a.b.lora_B.default.weight"),
            ("transformer.a.b.lora_A.weight", "transformer.a.b.lora_B.weight"),
            ("diffusion_model.a.b.lora_down.weight", "diffusion_model.a.b.lora_up.weight"),
            ("a.b.lora_down.weight", "a.b.lora_up.weight"),
            ("a.b.lora.down.weight", "a.b.lora.up.weight"),
        ):
            with self.subTest(down):
                (layer,) = self.lora(self.halves(down, up)).layers.items()
                self.assertEqual(layer[0], "a.b.weight")
                self.assertEqual(
                    (layer[1].down, layer[1].up, layer[1].outputs, layer[1].inputs, layer[1].scale),
                    (down, up, 4, 3, 1.0),
                )

    def test_the_scale_is_alpha_over_rank_wherever_alpha_stands(self) -> None:
        inside = self.lora({**self.halves("a.lora_down.weight", "a.lora_up.weight"), "a.alpha": ((), [6.0])})
        self.assertEqual(inside.layers["a.weight"].scale, 3.0)
        peft = self.halves("base_model.model.a.lora_A.weight", "base_model.model.a.lora_B.weight")
        beside = self.folder / "adapter_config.json"
        for settings, scale in (
            ({"lora_alpha": 6}, 3.0),
            ({"lora_alpha": 6, "use_rslora": True}, 6 / 2**0.5),
            ({}, 1.0),
        ):
            beside.write_text(json.dumps(settings))
            self.assertEqual(self.lora(peft, "adapter_model.safetensors").layers["a.weight"].scale, scale)
        # Another file's settings are not its own.
        self.assertEqual(self.lora(peft, "other.safetensors").layers["a.weight"].scale, 1.0)
        for settings in (
            {"use_dora": True},
            {"alpha_pattern": {"a": 1}},
            {"fan_in_fan_out": True},
            {"lora_alpha": "6"},
            [],
        ):
            beside.write_text(json.dumps(settings))
            with self.subTest(settings), self.assertRaisesRegex(ValueError, "adapter_config.json"):
                self.lora(peft, "adapter_model.safetensors")

    def test_what_is_no_lora_is_named(self) -> None:
        down, up = "a.lora_down.weight", "a.lora_up.weight"
        for tensors, said in (
            ({}, "holds no tensor"),
            ({down: ((2, 3), [0.0] * 6)}, "a has only a.lora_down.weight"),
            (
                {**self.halves(down, up), "a.lora_magnitude_vector": ((4,), [0.0] * 4)},
                "a.lora_magnitude_vector is no name of a LoRA",
            ),
            ({**self.halves(down, up), "a.lora_A.weight": ((2, 3), [0.0] * 6)}, "both change a"),
            ({down: ((2, 3), [0.0] * 6), up: ((4, 3), [0.0] * 12)}, "do not fit each other"),
            ({down: ((6,), [0.0] * 6), up: ((4, 2), [0.0] * 8)}, "do not fit each other"),
            ({**self.halves(down, up), "a.alpha": ((2,), [1.0, 2.0])}, "a.alpha is F32 of shape"),
            ({**self.halves(down, up), "a.alpha": ((), [float("nan")])}, "alpha is nan"),
        ):
            with self.subTest(said), self.assertRaisesRegex(ValueError, said):
                self.lora(tensors)


def mix(text: Fraction, image: Fraction, branches: tuple[Fraction, ...]) -> Fraction:
    """As Open-Sora's denoise loop mixes the three."""
    cond, uncond, uncond_2 = branches
    return uncond_2 + image * (uncond - uncond_2) + text * (cond - uncond)


class GuidanceBranches(unittest.TestCase):
    def test_a_branch_runs_exactly_when_it_counts(self) -> None:
        same, grows = (3.0, 3.0), (1.0, 2.5)
        for scales, same_negatives, needed in (
            (Scales(7.5, same), False, "text negative bare"),
            (Scales(7.5, grows), False, "text negative bare"),
            (Scales(7.5, (1.0, 1.0)), False, "text negative"),
            (Scales(1.0, (1.0, 1.0)), False, "text"),
            (Scales(3.0, same), False, "text bare"),
            (Scales(1.0, grows), False, "text negative bare"),
            (Scales(1.0, same), False, "text negative bare"),
            (Scales(0.0, same), False, "negative bare"),
            (Scales(0.0, (1.0, 1.0)), False, "negative"),
            (Scales(0.0, (0.0, 0.0)), False, "bare"),
            (Scales(7.5, same), True, "text negative"),
            (Scales(7.5, grows), True, "text negative"),
            (Scales(1.0, same), True, "text"),
            (Scales(0.0, same), True, "negative"),
        ):
            with self.subTest(scales=scales, same_negatives=same_negatives):
                self.assertEqual(needed_branches(scales, same_negatives), tuple(needed.split()))

    def test_the_mix_of_those_that_ran_is_the_mix_of_all_three(self) -> None:
        numbers = [Fraction(number, 2) for number in (-1, 0, 1, 2, 3, 15)]
        for text, low, high, same_negatives in product(numbers, numbers, numbers, (False, True)):
            results = (Fraction(3), Fraction(5), Fraction(5 if same_negatives else 11))
            scales = Scales(float(text), (float(low), float(high)))
            ran = needed_branches(scales, same_negatives)
            kept = tuple(results[BRANCHES.index(branch)] for branch in ran)
            replaced = tuple(kept[place] for place in stand_ins(ran))
            for image in (low, high):
                self.assertEqual(mix(text, image, replaced), mix(text, image, results), (scales, ran))

    def test_fifty_steps_with_open_soras_own_options_need_80_or_110_of_150(self) -> None:
        def at(step: int, image_at: float) -> Scales:
            # From step 10 on both scales are 1 at every odd step (opensora.utils.sampling).
            if step >= 10 and step % 2 == 1:
                return Scales(1.0, (1.0, 1.0))
            return Scales(7.5, (1.0, image_at))

        t2v = sum(len(needed_branches(at(step, 3.0), True)) for step in range(50))
        i2v = sum(len(needed_branches(at(step, 3.0 - step / 25), False)) for step in range(50))
        self.assertEqual((t2v, i2v), (80, 110))


def trial(kernel: Kernel, problem: str | None = None, **milliseconds: float) -> Trial:
    """`p512=3`: three milliseconds for 512 positions."""
    return Trial(kernel, problem, {int(length[1:]): ms / 1000 for length, ms in milliseconds.items()})


class AttentionKernels(unittest.TestCase):
    def test_the_fastest_of_those_that_work_is_chosen(self) -> None:
        missing = trial("flash-attn-3", "not installed")
        for chosen, trials in (
            ("flash-attn-2", [missing, trial("flash-attn-2", p512=1), trial("sdpa-cudnn", p512=2)]),
            ("sdpa-cudnn", [missing, trial("flash-attn-2", p512=2), trial("sdpa-cudnn", p512=1)]),
            # Times that near are the same: the first in the order.
            ("flash-attn-2", [trial("flash-attn-2", p512=1.02), trial("sdpa-cudnn", p512=1.0)]),
            # A long sequence counts no more than a short one.
            (
                "sdpa-flash",
                [trial("sdpa-cudnn", p512=2, p9000=99), trial("sdpa-flash", p512=1, p9000=110)],
            ),
            # One that has no memory for a length that others have it for.
            ("sdpa-flash", [trial("flash-attn-2", p512=1), trial("sdpa-flash", p512=9, p9000=110)]),
            # Nothing was timed, as on a CPU and on several devices.
            ("sdpa-flash", [missing, trial("sdpa-flash"), trial("sdpa-math")]),
        ):
            with self.subTest(trials=trials):
                self.assertEqual(choose_kernel(trials, "auto"), chosen)

    def test_one_that_does_not_work_is_refused_with_the_reason(self) -> None:
        trials = [trial("flash-attn-3", "not installed"), trial("sdpa-flash")]
        self.assertEqual(choose_kernel(trials, "sdpa-flash"), "sdpa-flash")
        for wanted, said in (
            ("flash-attn-3", 'OPENSORA_ATTENTION is "flash-attn-3", which does not work here: not installed'),
            ("sdpa-cudnn", "which does not work here: was not tried"),
        ):
            with self.subTest(wanted), self.assertRaisesRegex(RunnerFailure, said) as raised:
                choose_kernel(trials, wanted)
            self.assertEqual(raised.exception.code, "model_missing")
        with self.assertRaisesRegex(RunnerFailure, "no attention kernel works .*flash-attn-3: not installed"):
            choose_kernel(trials[:1], "auto")

    def test_attention_in_fp8_is_used_where_it_works_and_saves_time_over_all_lengths(self) -> None:
        other = Trial("sdpa-cudnn", None, {8828: 1.6, 76544: 110})
        for why, fp8 in (
            (None, Trial("cudnn-fp8", None, {8828: 2.0, 76544: 80})),
            ("not faster", Trial("cudnn-fp8", None, {8828: 1.0, 76544: 110})),
            # There was no memory for the long one.
            ("not faster", Trial("cudnn-fp8", None, {8828: 2.0})),
            (None, Trial("cudnn-fp8", None, {8828: 1.2})),
            # Nothing was timed, as on several devices.
            (None, Trial("cudnn-fp8")),
            ("not installed", Trial("cudnn-fp8", "not installed")),
        ):
            with self.subTest(fp8=fp8):
                self.assertEqual(why_not_fp8(fp8, other), why)

    def test_a_sequence_over_several_devices_takes_flash_attns_own_kernel_and_no_other(self) -> None:
        check_ring(1, "sdpa-math", "not installed")
        check_ring(2, "auto", None)
        check_ring(2, "flash-attn-2", None)
        why = "a sequence over 2 devices is built on flash-attn"
        for wanted, problem, said in (
            ("auto", "not installed", f"{why}, which is not installed"),
            ("sdpa-cudnn", None, f'OPENSORA_ATTENTION is "sdpa-cudnn", but {why}; allowed are auto'),
        ):
            with self.subTest(said), self.assertRaisesRegex(RunnerFailure, said) as raised:
                check_ring(2, wanted, problem)
            self.assertEqual(raised.exception.code, "model_missing")

    def test_the_log_has_what_became_of_each(self) -> None:
        trials = [trial("flash-attn-3", "not installed"), trial("sdpa-flash", p8828=1.5), trial("sdpa-math")]
        self.assertEqual(
            describe_trials(trials),
            "flash-attn-3: not installed; sdpa-flash 1.50 ms for 8828; sdpa-math works",
        )

    def test_what_is_tried_is_the_largest_clip_of_each_class_that_the_models_make(self) -> None:
        small = replace(OPEN_SORA_MAKES, pixels_max=300 * 300)
        short = replace(OPEN_SORA_MAKES, frames=Frames(4, 1, 1, 33))
        for makes, positions in (
            ((), [8316 + 512, 76_032 + 512]),
            ((small,), [8316 + 512]),
            ((short,), [9 * 252 + 512, 9 * 2304 + 512]),
            ((small, short), [8316 + 512, 9 * 2304 + 512]),
        ):
            models = [ModelWeights(f"m{number}", makes=one) for number, one in enumerate(makes)]
            self.assertEqual([size.positions for size in sold_sizes(models)], positions)


def compared(positions: int, batch: int, plain_s: float, compiled_s: float) -> list[Comparison]:
    """Of a network of one double block and two single ones, which take as long."""
    return [
        Comparison(kind, blocks, positions, batch, plain_s, compiled_s)
        for kind, blocks in (("double", 1), ("single", 2))
    ]


class CompiledBlocks(unittest.TestCase):
    def test_blocks_are_compiled_where_that_is_faster_over_all_lengths_and_batches(self) -> None:
        for faster, comparisons in (
            (True, compared(8828, 1, 0.010, 0.009)),
            (False, compared(8828, 1, 0.010, 0.0098)),
            (False, compared(8828, 1, 0.010, 0.020)),
            (True, compared(8828, 1, 0.010, 0.011) + compared(8828, 2, 0.020, 0.012)),
            # A long sequence counts no more than a short one.
            (False, compared(8828, 1, 0.010, 0.012) + compared(76_544, 1, 1.0, 0.9)),
            (False, []),
        ):
            with self.subTest(comparisons=comparisons):
                self.assertEqual(is_faster(comparisons), faster)

    def test_the_log_has_the_seconds_of_a_step(self) -> None:
        self.assertEqual(
            describe(compared(8828, 2, 0.010, 0.009)),
            "8828 positions x 2: 0.030 s a step as they are, 0.027 s compiled",
        )


class LargestClips(unittest.TestCase):
    def find(self, room: int) -> tuple[str, list[str]]:
        tried: list[str] = []

        def short_of_memory(size: SoldSize) -> str | None:
            tried.append(f"{size.width}x{size.height}x{size.frames}")
            return "CUDA out of memory" if size.positions > room else None

        return str(find_largest_clip(sold_sizes(()), short_of_memory)), tried

    def test_the_largest_that_fits_is_tried_first_and_then_shorter_ones_of_the_smallest_class(self) -> None:
        order = ["1024x576x129", "336x192x129", "336x192x65", "336x192x33"]
        for room, count in ((80_000, 1), (9000, 2), (5000, 3), (3000, 4)):
            self.assertEqual(self.find(room), (order[count - 1], order[:count]))
        with self.assertRaisesRegex(RunnerFailure, "336x192 pixels and 33 frames fits; OPENSORA_OFFLOAD"):
            self.find(100)

    def test_the_square_of_a_class_is_offered_with_its_wide_sizes(self) -> None:
        self.assertEqual(LargestClip(336, 192, 129).pixels_max, 256 * 256)
        self.assertEqual(LargestClip(1024, 576, 129).pixels_max, 768 * 768)


class SettingsTest(unittest.TestCase):
    def test_a_wrong_setting_is_named_with_what_is_allowed(self) -> None:
        for name, value in (
            ("OPENSORA_PARALLEL", "both"),
            ("OPENSORA_OFFLOAD", "yes"),
            ("OPENSORA_GUIDANCE_BRANCHES", "some"),
            ("OPENSORA_ATTENTION", "xformers"),
            ("OPENSORA_COMPILE", "1"),
            ("OPENSORA_LARGEST_CLIP", "768px"),
            ("OPENSORA_T2I2V", "true"),
            ("OPENSORA_CHECKPOINT_MS", "1s"),
            ("OPENSORA_LOAD_MS_MAX", "-1"),
            ("OPENSORA_ENCODER_COMMAND", "python3 encode.py"),
            ("OPENSORA_ENCODER_COMMAND", "[]"),
        ):
            with self.subTest(name), self.assertRaisesRegex(SettingError, f"{name} is .*; allowed"):
                read_settings({name: value})

    def test_compiled_blocks_are_not_demanded_over_several_devices(self) -> None:
        for devices, compile in (("0,1", "auto"), ("0,1", "off"), ("0", "on")):
            read_settings({"CUDA_VISIBLE_DEVICES": devices, "OPENSORA_COMPILE": compile})
        said = 'OPENSORA_COMPILE is "on", and CUDA_VISIBLE_DEVICES names 2 devices; allowed are auto and off'
        with self.assertRaisesRegex(SettingError, said):
            read_settings({"CUDA_VISIBLE_DEVICES": "0,1", "OPENSORA_COMPILE": "on"})

    def test_the_allocators_segments_grow_unless_the_operator_says_otherwise(self) -> None:
        unset: dict[str, str] = {}
        set_allocator(unset)
        self.assertEqual(unset, {"PYTORCH_CUDA_ALLOC_CONF": "expandable_segments:True"})
        for name in ("PYTORCH_CUDA_ALLOC_CONF", "PYTORCH_ALLOC_CONF"):
            own = {name: "max_split_size_mb:512"}
            set_allocator(own)
            self.assertEqual(own, {name: "max_split_size_mb:512"})


if __name__ == "__main__":
    unittest.main()
