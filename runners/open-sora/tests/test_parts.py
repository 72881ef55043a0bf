"""The parts of this runner's own that need no process."""

from __future__ import annotations

import json
import tempfile
import unittest
from pathlib import Path

from runner_tests.source_form import imports_without_packages
from runner_tests.spawned_runner import SHARED_FOLDER
from runner_tests.tiny_weights import Numbers, write_weights
from sluice_open_sora.lora_file import LoraFile
from sluice_open_sora.settings import read_settings
from sluice_runner.settings import SettingError
from tests.spawned_runner import PACKAGE_FOLDER


class StandardLibrary(unittest.TestCase):
    def test_nothing_outside_open_sora_needs_more(self) -> None:
        folders = [PACKAGE_FOLDER, SHARED_FOLDER]
        self.assertEqual(imports_without_packages(PACKAGE_FOLDER / "sluice_open_sora", folders), "")


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


class SettingsTest(unittest.TestCase):
    def test_a_wrong_setting_is_named_with_what_is_allowed(self) -> None:
        for name, value in (
            ("OPENSORA_PARALLEL", "both"),
            ("OPENSORA_OFFLOAD", "yes"),
            ("OPENSORA_T2I2V", "true"),
            ("OPENSORA_CHECKPOINT_MS", "1s"),
            ("OPENSORA_LOAD_MS_MAX", "-1"),
            ("OPENSORA_ENCODER_COMMAND", "python3 encode.py"),
            ("OPENSORA_ENCODER_COMMAND", "[]"),
        ):
            with self.subTest(name), self.assertRaisesRegex(SettingError, f"{name} is .*; allowed"):
                read_settings({name: value})


if __name__ == "__main__":
    unittest.main()
