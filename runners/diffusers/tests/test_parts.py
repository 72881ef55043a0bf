"""The parts of this runner that need neither torch nor the library."""

from __future__ import annotations

import json
import os
import tempfile
import unittest
from pathlib import Path
from typing import Any

from runner_tests.source_form import imports_without_packages
from runner_tests.spawned_runner import SHARED_FOLDER, SpawnedProgram
from runner_tests.tiny_weights import write_weights
from sluice_diffusers.families import FAMILIES, KNOWN_PIPELINES
from sluice_diffusers.kept_state import NotKept, put_together, take_apart, take_value
from sluice_diffusers.offline import keep_offline
from sluice_diffusers.pipeline_folder import problems_of, read_folder
from sluice_diffusers.served_model import ServedModel, open_models
from sluice_diffusers.settings import read_settings
from sluice_runner.failure import RunnerFailure
from sluice_runner.model_weights import parse_models
from sluice_runner.settings import SettingError
from tests.plain_folders import described, write_folder
from tests.test_form import TESTS

RUNNER_FOLDER = TESTS.parent


class InAFolder(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)


class StandardLibrary(unittest.TestCase):
    def test_nothing_outside_with_library_needs_more(self) -> None:
        folders = [RUNNER_FOLDER, SHARED_FOLDER]
        self.assertEqual(imports_without_packages(RUNNER_FOLDER / "sluice_diffusers", folders), "")

    def test_no_package_of_another_runner_is_needed(self) -> None:
        for path in (RUNNER_FOLDER / "sluice_diffusers").rglob("*.py"):
            self.assertNotIn("sluice_open_sora", path.read_text())


class SettingsTest(unittest.TestCase):
    def test_a_wrong_setting_is_named_with_what_is_allowed(self) -> None:
        for name, value in (
            ("SLUICE_DIFFUSERS_DEVICE", "tpu"),
            ("SLUICE_DIFFUSERS_DTYPE", "int4"),
            ("SLUICE_DIFFUSERS_OFFLOAD", "yes"),
            ("SLUICE_DIFFUSERS_QUANTIZATION", "gguf"),
            ("SLUICE_DIFFUSERS_VAE_TILING", "on"),
            ("SLUICE_DIFFUSERS_CHECKPOINT_MS", "1s"),
            ("SLUICE_DIFFUSERS_LOAD_MS_MAX", "-1"),
            ("SLUICE_DIFFUSERS_ENCODER_COMMAND", "ffmpeg"),
        ):
            with self.subTest(name), self.assertRaisesRegex(SettingError, f"{name} is .*; allowed"):
                read_settings({name: value})

    def test_a_slot_has_one_device(self) -> None:
        with self.assertRaisesRegex(SettingError, "CUDA_VISIBLE_DEVICES names 2 devices; allowed is one"):
            read_settings({"CUDA_VISIBLE_DEVICES": "0,1"})

    def test_offload_after_memory_ran_out_is_the_shared_parts_retry(self) -> None:
        for word, policy in (
            ("none", "never"),
            ("retry", "retry"),
            ("model", "always"),
        ):
            self.assertEqual(read_settings({"SLUICE_DIFFUSERS_OFFLOAD": word}).offload, policy)

    def test_the_hub_is_off_whatever_the_environment_says(self) -> None:
        environment = {"HF_HUB_OFFLINE": "0"}
        keep_offline(environment)
        self.assertEqual(environment["HF_HUB_OFFLINE"], "1")


class Folders(InAFolder):
    def test_a_whole_one_is_read(self) -> None:
        found = read_folder(write_folder(self.folder / "wan", scheduler="UniPC", transformer_2=None))
        self.assertEqual(found.class_name, "WanPipeline")
        self.assertEqual(set(found.components), {"transformer", "text_encoder", "tokenizer", "scheduler"})
        self.assertEqual(problems_of(found.path), [])

    def test_what_is_missing_is_named(self) -> None:
        for path, said in (
            ("model_index.json", "has no model_index.json"),
            (
                "transformer/diffusion_pytorch_model-2.safetensors",
                "diffusion_pytorch_model-2.safetensors is missing",
            ),
            ("text_encoder/model.safetensors", "text_encoder has no weights"),
            ("tokenizer/tokenizer_config.json", "lacks the component tokenizer (T5TokenizerFast)"),
        ):
            folder = write_folder(self.folder / path.replace("/", "-"))
            os.remove(os.path.join(folder, path))
            with self.subTest(path):
                (problem,) = problems_of(folder)
                self.assertIn(said, problem)
                with self.assertRaises(ValueError):
                    read_folder(folder)
        self.assertIn("no folder at /nowhere", problems_of("/nowhere")[0])

    def test_pickles_are_no_weights(self) -> None:
        folder = Path(write_folder(self.folder / "wan"))
        (folder / "text_encoder/model.safetensors").rename(folder / "text_encoder/pytorch_model.bin")
        self.assertIn("there are config.json, pytorch_model.bin", problems_of(str(folder))[0])

    def test_a_download_that_was_cut_off_is_noticed(self) -> None:
        folder = Path(write_folder(self.folder / "wan"))
        weights = folder / "text_encoder/model.safetensors"
        weights.write_bytes(weights.read_bytes()[:-1])
        self.assertIn("its header says", problems_of(str(folder))[0])

    def test_a_broken_index_is_named(self) -> None:
        folder = Path(write_folder(self.folder / "wan"))
        index = folder / "transformer/diffusion_pytorch_model.safetensors.index.json"
        for text in ("{", "[]", '{"weight_map": 3}'):
            index.write_text(text)
            with self.subTest(text):
                self.assertIn("is no index of weights", problems_of(str(folder))[0])
        for text, said in (
            ("{", "is not JSON"),
            ("[]", "names no pipeline"),
            ('{"_class_name": 1}', "names no pipeline"),
        ):
            (folder / "model_index.json").write_text(text)
            with self.subTest(text):
                self.assertIn(said, problems_of(str(folder))[0])

    def test_the_fingerprint_is_of_the_content_not_of_the_place(self) -> None:
        one, two = (read_folder(write_folder(self.folder / name)) for name in ("one", "two"))
        self.assertEqual(one.fingerprint, two.fingerprint)
        write_weights(Path(two.path) / "text_encoder/model.safetensors", {"t": ((1,), [2.0])})
        self.assertNotEqual(read_folder(two.path).fingerprint, one.fingerprint)
        (Path(one.path) / "tokenizer/tokenizer_config.json").write_text('{"a": 1}')
        with self.assertRaisesRegex(ValueError, "was replaced"):
            one.verify()


class Models(InAFolder):
    def open(self, *models: dict[str, Any]) -> tuple[ServedModel, ...]:
        return open_models(parse_models(list(models)))

    def refusal(self, *models: dict[str, Any]) -> tuple[str, str]:
        with self.assertRaises(RunnerFailure) as raised:
            self.open(*models)
        return raised.exception.code, raised.exception.message

    def test_a_folder_serves_every_mode_of_its_model_or_none(self) -> None:
        folder = write_folder(self.folder / "wan")
        (both,) = self.open(described(folder))
        self.assertEqual((both.main_pipeline, both.family.name), ("WanPipeline", "Wan"))
        text = {**described()["makes"], "modes": ["t2v"]}
        (own,) = self.open(described(folder, pipelines={}, makes=text))
        self.assertEqual(own.pipelines, {"t2v": "WanPipeline"})
        for pipelines in ({"t2v": "WanPipeline"}, {}):
            with self.subTest(pipelines):
                said = "makes.modes is t2v, i2v; its pipelines make t2v"
                self.assertEqual(
                    self.refusal(described(folder, pipelines=pipelines)),
                    ("bad_input", f"model 'wan': {said}"),
                )

    def test_what_cannot_be_served_is_refused_with_what_can(self) -> None:
        folder = write_folder(self.folder / "wan")
        mochi = write_folder(self.folder / "mochi", "MochiPipeline")
        flux = write_folder(self.folder / "flux", "FluxPipeline")
        two = write_folder(self.folder / "two", transformer_2="WanTransformer3DModel")
        lora = {"path": write_weights(self.folder / "a.safetensors", {"a": ((1,), [1.0])}), "strength": 1}
        sound = {**described()["makes"], "sound": True}
        tail = {**described()["makes"], "i2v_conditions": ["head", "tail"]}
        image = {**described()["makes"], "modes": ["i2v"]}
        for model, code, said in (
            (
                described(folder, pipelines={"t2v": "WanPipelin"}),
                "bad_input",
                'pipelines.t2v is "WanPipelin"; this',
            ),
            (described(folder, pipelines={"t2v": "WanPipelin"}), "bad_input", "LTXImageToVideoPipeline"),
            (described(folder, pipelines={"i2v": "WanPipeline"}), "bad_input", "which makes t2v"),
            (described(), "bad_input", "weights.folder is not set"),
            (described(folder, checkpoint="/a.safetensors"), "bad_input", "weights.checkpoint is set"),
            (described(folder, step_cache={"threshold": 0.1}), "bad_input", "step_cache is set"),
            (described(folder, precision="int8"), "bad_input", "precision is set"),
            (described(folder, makes=sound), "bad_input", "WanPipeline makes no sound"),
            (described(folder, makes=tail), "bad_input", "is head, tail; Wan makes head, loop"),
            (
                described(folder, pipelines={"t2v": "WanPipeline"}, makes=image),
                "bad_input",
                "makes.modes is i2v",
            ),
            (described(two, lora=lora), "bad_input", "has two transformers"),
            (described(mochi), "model_missing", "is a MochiPipeline; asked is WanPipeline"),
            (described(flux, pipelines={}), "model_missing", "is a FluxPipeline"),
            (described("/nowhere"), "model_missing", "there is no folder at /nowhere"),
            (
                described(folder, lora={**lora, "path": "/no.safetensors"}),
                "model_missing",
                "no file at /no.safetensors",
            ),
        ):
            with self.subTest(said):
                found, message = self.refusal(model)
                self.assertEqual(found, code)
                self.assertIn("model 'wan': ", message)
                self.assertIn(said, message)

    def test_a_checkpoint_belongs_to_weights_lora_strength_pipeline_and_precision(self) -> None:
        folder = write_folder(self.folder / "wan")
        path = write_weights(self.folder / "a.safetensors", {"a": ((1,), [1.0])})
        text = {**described()["makes"], "modes": ["t2v"]}
        models = (
            described(folder),
            described(folder, lora={"path": path, "strength": 1}),
            described(folder, lora={"path": path, "strength": 2}),
            described(folder, pipelines={"t2v": "WanPipeline"}, makes=text),
        )
        identities = {self.open(model)[0].identity("bf16") for model in models}
        identities.add(self.open(models[0])[0].identity("fp16"))
        self.assertEqual(len(identities), 5)
        self.assertEqual(self.open(models[0])[0].identity("bf16"), self.open(models[0])[0].identity("bf16"))

    def test_every_pipeline_is_of_one_family(self) -> None:
        self.assertEqual(len(set(KNOWN_PIPELINES)), sum(len(family.pipelines) for family in FAMILIES))


class Word(str):
    """Stands for a tensor."""


class KeptState(unittest.TestCase):
    def test_everything_a_solver_remembers_comes_back(self) -> None:
        attributes = {
            "_internal_dict": object(),
            "model_outputs": [None, Word("m1")],
            "timestep_list": (Word("t0"), Word("t1")),
            "lower_order_nums": 2,
            "sigmas": Word("s"),
            "nested": {"a": [1, {"b": Word("n")}], "c": None},
            "end": float("inf"),
            "shift": 0.1,
            "is_scale_input_called": True,
            "kind": "bh2",
        }
        state, tensors = take_apart(attributes, lambda value: isinstance(value, Word), 3)
        self.assertEqual([str(tensor) for tensor in tensors], ["m1", "t0", "t1", "s", "n"])
        back = put_together(json.loads(json.dumps(state)), ["", "", "", *tensors])
        self.assertEqual(
            back, {name: value for name, value in attributes.items() if name != "_internal_dict"}
        )
        self.assertIs(type(back["timestep_list"]), tuple)

    def test_what_cannot_be_kept_is_named(self) -> None:
        for value, said in (({"noise": [object()]}, "noise[0] is a object"), ({"a": {1: 2}}, "a is a dict")):
            with self.subTest(said), self.assertRaises(NotKept) as raised:
                take_value(value, lambda value: False)
            self.assertIn(said, str(raised.exception))


class Program(InAFolder):
    """Without the library: what is refused before it would be imported, over real pipes."""

    def start(self, **settings: str) -> SpawnedProgram:
        runner = SpawnedProgram(
            "sluice_diffusers", [RUNNER_FOLDER], [], SLUICE_DIFFUSERS_DEVICE="cpu", **settings
        )
        self.addCleanup(runner.close)
        return runner

    def test_a_model_that_cannot_be_served_never_becomes_ready_and_says_why(self) -> None:
        runner = self.start()
        folder = write_folder(self.folder / "wan")
        for model, code, said in (
            (
                described(folder, pipelines={"t2v": "AnyPipeline"}),
                "bad_input",
                "this runner knows WanPipeline",
            ),
            (described("/nowhere"), "model_missing", "no folder at /nowhere"),
            (described(folder, makes={"modes": []}), "bad_input", "models[0].makes.frames is null"),
        ):
            runner.replies.clear()
            runner.send({"type": "load", "model": "wan", "models": [model]})
            failed = runner.reply("failed")
            self.assertEqual((failed.get("id"), failed["code"]), (None, code))
            self.assertIn(said, failed["message"])
        runner.replies.clear()
        runner.send({"type": "load", "model": "wan"})
        self.assertIn("no catalogue", runner.reply("failed")["message"])

    def test_a_wrong_setting_ends_the_start(self) -> None:
        runner = self.start(SLUICE_DIFFUSERS_OFFLOAD="all")
        self.assertEqual(runner.exit_code(), 2)
        runner.until(lambda: "SLUICE_DIFFUSERS_OFFLOAD" in runner.errors, "the name of the setting")


if __name__ == "__main__":
    unittest.main()
