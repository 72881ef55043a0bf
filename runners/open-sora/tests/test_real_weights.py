"""Own models on Open-Sora's real code, tiny and on the CPU: a fine-tuned checkpoint and LoRAs beside the base
model, in one runner."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path
from typing import Any

from sluice_open_sora.served_model import open_models
from sluice_runner.failure import RunnerFailure
from sluice_runner.model_weights import Lora, ModelWeights
from sluice_runner.weight_file import WeightFile
from tests.spawned_runner import TESTS, RunnerTest, SpawnedRunner
from tests.test_real_code import REAL, STEPS, request

FOLDER = Path(tempfile.gettempdir())


def setUpModule() -> None:
    if not REAL["OPENSORA_HOME"]:
        raise AssertionError(
            "OPENSORA_HOME is not set: it names a checkout of hpcaitech/Open-Sora, commit d0cd5ac"
        )
    global FOLDER
    FOLDER = Path(tempfile.mkdtemp(prefix="open-sora-own-"))
    subprocess.run(
        [sys.executable, str(TESTS / "tiny_models.py"), str(FOLDER)], check=True, stdout=subprocess.DEVNULL
    )


def tearDownModule() -> None:
    shutil.rmtree(FOLDER)


def lora(name: str, strength: float) -> dict[str, Any]:
    return {"path": str(FOLDER / name), "strength": strength}


def models() -> list[dict[str, Any]]:
    peft, tuned = "peft/adapter_model.safetensors", str(FOLDER / "tuned.safetensors")
    return [
        {"id": "open-sora-2"},
        {"id": "tuned", "checkpoint": tuned},
        {"id": "peft", "lora": lora(peft, 0.75)},
        {"id": "merged", "checkpoint": str(FOLDER / "merged.safetensors")},
        {"id": "diffusers", "lora": lora("diffusers.safetensors", 1)},
        {"id": "tuned with peft", "checkpoint": tuned, "lora": lora(peft, 0.75)},
        {"id": "of no strength", "lora": lora(peft, 0)},
    ]


def from_file() -> dict[str, str]:
    """The base model comes from a file, as at full size; otherwise its weights are random and only in
    memory."""
    return {
        **REAL,
        "OPENSORA_CONFIG": str(TESTS / "tiny_config_from_file.py"),
        "TINY_BASE": str(FOLDER / "base.safetensors"),
    }


class OwnModels(RunnerTest):
    def clip(self, runner: SpawnedRunner, video: str, model: str, **more: Any) -> bytes:
        return runner.make(video, request(model=model, num_steps=5, width=32), **more)

    def test_a_models_clip_is_the_same_bits_whatever_was_served_before(self) -> None:
        ids = [model["id"] for model in models()]
        wholes: dict[str, bytes] = {}
        for settings, order in (
            (REAL, (0, 1, 2, 3, 4, 5, 6, 0, 2, 1, 4, 0)),
            (from_file(), (5, 0, 6, 1, 2, 5, 4, 3, 0)),
            ({**from_file(), "OPENSORA_OFFLOAD": "always"}, (2, 0, 5)),
        ):
            runner = self.start(settings, pipeline=None, load=False)
            runner.load(ids[order[0]], models())
            self.assertEqual(runner.reply("ready")["models"], ids)
            for number, index in enumerate(order):
                with self.subTest(
                    config=Path(settings["OPENSORA_CONFIG"]).name, number=number, model=ids[index]
                ):
                    made = self.clip(runner, f"v{number}", ids[index])
                    self.assertEqual(wholes.setdefault(ids[index], made), made)
                    switched = number > 0 and index not in (order[number - 1],)
                    self.assertEqual("load" in runner.reply("finished", f"v{number}")["timings"], switched)
            runner.close()
        # A LoRA is W + strength * alpha / rank * B @ A, one of no strength is nothing, and all others are
        # models of their own.
        self.assertEqual(wholes["peft"], wholes["merged"])
        self.assertEqual(wholes["of no strength"], wholes["open-sora-2"])
        self.assertEqual(len(set(wholes.values())), len(ids) - 2)

    def test_a_clip_resumes_bit_identically_after_another_model_was_used_in_between(self) -> None:
        runner = self.start(from_file(), pipeline=None, models=models())
        asked = request(model="peft")
        whole = runner.make("whole", asked)
        runner.generate("a", asked)
        runner.at_step("a", 4)
        runner.send({"type": "yield", "id": "a"})
        left = runner.reply("yielded", "a")
        self.assertTrue(4 <= left["step"] < STEPS)
        self.clip(runner, "b", "tuned")
        self.assertEqual(runner.make("c", asked, resume={"step": left["step"], "path": left["path"]}), whole)

    def test_a_file_that_vanished_fails_its_model_alone(self) -> None:
        gone = FOLDER / "gone.safetensors"
        shutil.copy(FOLDER / "tuned.safetensors", gone)
        served = [*models()[:3], {"id": "gone", "checkpoint": str(gone)}]
        runner = self.start(REAL, pipeline=None, models=served)
        whole = self.clip(runner, "a", "open-sora-2")
        self.clip(runner, "b", "peft")
        os.remove(gone)
        runner.generate("c", request(model="gone"))
        failed = runner.reply("failed", "c")
        self.assertEqual((failed["code"], str(gone) in failed["message"]), ("model_missing", True))
        self.assertEqual(self.clip(runner, "d", "open-sora-2"), whole)

    def test_two_ranks_make_the_clip_one_makes_of_each_model(self) -> None:
        one = self.start(from_file(), pipeline=None, models=models())
        wholes = {model: self.clip(one, model, model) for model in ("open-sora-2", "tuned", "peft")}
        one.close()
        two = self.start({**from_file(), "CUDA_VISIBLE_DEVICES": "0,1"}, pipeline=None, models=models())
        for number, model in enumerate(("tuned", "open-sora-2", "peft")):
            self.assertEqual(self.clip(two, f"v{number}", model), wholes[model])
            self.assertGreater(two.reply("finished", f"v{number}")["timings"]["load"], 0)

    def test_what_does_not_fit_the_network_is_refused_at_load_by_its_tensor(self) -> None:
        served = [{"id": "open-sora-2"}, {"id": "bad", "checkpoint": str(FOLDER / "diffusers.safetensors")}]
        runner = self.start(REAL, pipeline=None, load=False)
        runner.send({"type": "load", "model": "open-sora-2", "models": served})
        failed = runner.reply("failed")
        self.assertEqual(failed["code"], "model_missing")
        self.assertRegex(
            failed["message"],
            r"model 'bad': checkpoint: .*diffusers.safetensors: single_blocks.* is no tensor of the network",
        )


class Interrupted(unittest.TestCase):
    """The weights alone, on a network of six tensors."""

    def setUp(self) -> None:
        import torch
        from safetensors.torch import save_file

        self.folder = Path(tempfile.mkdtemp(prefix="open-sora-switch-"))
        self.addCleanup(shutil.rmtree, self.folder)
        torch.manual_seed(3)
        self.network = torch.nn.Sequential(*(torch.nn.Linear(8, 8) for _ in range(3))).to(torch.bfloat16)
        self.base = {name: tensor.clone() for name, tensor in self.network.state_dict().items()}
        save_file(self.base, self.folder / "base.safetensors")
        save_file({name: tensor * 2 for name, tensor in self.base.items()}, self.folder / "tuned.safetensors")
        halves = {
            f"{layer}.lora_{half}.weight": torch.randn(8, 8) for layer in (0, 2) for half in ("down", "up")
        }
        save_file(halves, self.folder / "lora.safetensors")
        self.models = {
            model.id: model
            for model in open_models(
                (
                    ModelWeights("base"),
                    ModelWeights("tuned", str(self.folder / "tuned.safetensors")),
                    ModelWeights("lora", None, Lora(str(self.folder / "lora.safetensors"), 0.5)),
                )
            )
        }

    def weights(self, from_file: bool) -> Any:
        import torch
        from sluice_open_sora.open_sora.switched_weights import SwitchedWeights

        self.network.load_state_dict(self.base)
        base = WeightFile(str(self.folder / "base.safetensors")) if from_file else None
        return SwitchedWeights(self.network, base, torch.device("cpu"))

    def bits(self) -> dict[str, bytes]:
        import torch

        return {
            name: tensor.view(torch.uint8).numpy().tobytes()
            for name, tensor in self.network.state_dict().items()
        }

    def test_a_switch_stopped_at_any_tensor_leaves_every_model_to_be_had_bit_by_bit(self) -> None:
        for from_file in (True, False):
            wholes = {}
            for name in self.models:
                weights = self.weights(from_file)
                weights.use(self.models[name], lambda *_: None)
                wholes[name] = self.bits()
            self.assertEqual(len({str(whole) for whole in wholes.values()}), 3)
            weights = self.weights(from_file)
            for stop_at in range(6):
                for name in self.models:
                    for after in self.models:
                        with self.subTest(from_file=from_file, stop_at=stop_at, model=name, after=after):

                            def between(done: int, _: int, stop_at: int = stop_at) -> None:
                                if done == stop_at:
                                    raise InterruptedError

                            with contextlib.suppress(InterruptedError):
                                weights.use(self.models[name], between)
                            weights.use(self.models[after], lambda *_: None)
                            self.assertEqual(self.bits(), wholes[after])

    def test_only_tensors_that_differ_are_written(self) -> None:
        weights = self.weights(from_file=True)
        for name, changed in (
            ("base", 0),
            ("lora", 2),
            ("lora", 0),
            ("base", 2),
            ("tuned", 6),
            ("lora", 6),
            ("tuned", 6),
            ("base", 6),
        ):
            seen: list[tuple[int, int]] = []
            weights.use(self.models[name], lambda done, tensors: seen.append((done, tensors)))
            self.assertEqual(seen, [(done, changed) for done in range(changed)], name)

    def test_a_base_file_that_was_replaced_is_not_read_as_the_base(self) -> None:
        weights = self.weights(from_file=True)
        weights.use(self.models["tuned"], lambda *_: None)
        shutil.copy(self.folder / "tuned.safetensors", self.folder / "base.safetensors")
        with self.assertRaisesRegex(RunnerFailure, "the base model's weights: .* was replaced"):
            weights.use(self.models["base"], lambda *_: None)
