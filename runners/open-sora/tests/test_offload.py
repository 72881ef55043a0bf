"""Which parts are on the device, and how the network is made; on torch and on Open-Sora's real code, in this
process. Needs OPENSORA_HOME and its libraries."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path
from unittest import mock

import torch
from sluice_open_sora.open_sora.residency import Residency
from sluice_runner.failure import RunnerFailure
from sluice_runner.pipeline import Place
from tests.real_pipeline import RealPipeline, generation, images
from tests.spawned_runner import TESTS

# A device that has no numbers: what is on it cannot be mixed up with what is not.
META = torch.device("meta")


def two_parts() -> dict[str, list[torch.nn.Module]]:
    shared = torch.nn.Linear(4, 4)
    encoder = torch.nn.Sequential(shared, torch.nn.BatchNorm1d(4), shared)
    return {"text": [encoder], "model": [torch.nn.Linear(4, 2), torch.nn.Linear(2, 2)]}


def tensors_of(modules: list[torch.nn.Module]) -> list[torch.Tensor]:
    return [tensor for module in modules for tensor in module.state_dict().values()]


class OnePartAtATime(unittest.TestCase):
    def where(self, parts: dict[str, list[torch.nn.Module]]) -> dict[str, set[str]]:
        return {
            name: {str(tensor.device) for tensor in tensors_of(modules)} for name, modules in parts.items()
        }

    def test_the_part_in_use_is_on_the_device_and_the_host_keeps_its_own_copy(self) -> None:
        parts = two_parts()
        before = {name: tensors_of(modules) for name, modules in parts.items()}
        numbers = {name: [tensor.clone() for tensor in tensors] for name, tensors in before.items()}
        homes = {name: [tensor.data_ptr() for tensor in tensors] for name, tensors in before.items()}
        residency = Residency(META, parts, offload=True)
        self.assertEqual(self.where(parts), {"text": {"cpu"}, "model": {"cpu"}})
        for part, other in (("model", "text"), ("text", "model"), ("text", "model"), ("model", "text")):
            residency.use(part)
            self.assertEqual(self.where(parts), {part: {"meta"}, other: {"cpu"}})
        residency.rest()
        for name, modules in parts.items():
            # The very memory it was in: nothing was copied back.
            found = tensors_of(modules)
            self.assertEqual([tensor.data_ptr() for tensor in found], homes[name])
            self.assertTrue(all(torch.equal(one, other) for one, other in zip(found, numbers[name])))

    def test_what_is_written_to_the_weights_at_rest_is_what_comes_to_the_device(self) -> None:
        parts = two_parts()
        residency = Residency(torch.device("cpu"), parts, offload=True)
        residency.use("model")
        residency.rest()
        parts["model"][0].weight.data.fill_(3)
        residency.use("text")
        residency.use("model")
        self.assertEqual(set(parts["model"][0].weight.flatten().tolist()), {3.0})

    def test_to_ask_for_device_and_dtype_brings_nothing(self) -> None:
        parts = two_parts()
        residency = Residency(META, parts, offload=True)
        anchor = residency.anchor("model")
        self.assertEqual((anchor.device, anchor.dtype), (META, torch.float32))
        self.assertEqual(self.where(parts), {"text": {"cpu"}, "model": {"cpu"}})

    def test_without_offload_nothing_moves(self) -> None:
        parts = two_parts()
        residency = Residency(META, parts, offload=False)
        residency.use("model")
        self.assertEqual(self.where(parts), {"text": {"cpu"}, "model": {"cpu"}})


class InThePipeline(unittest.TestCase):
    def test_each_part_comes_to_the_device_once_a_video_and_the_clip_is_the_same(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        whole, offloaded = RealPipeline(folder.name), RealPipeline(folder.name, place=Place(0, 1, True))
        brought: list[str] = []
        residency = offloaded.pipeline._residency
        use = residency.use

        def noted(part: str) -> None:
            if part != residency._present:
                brought.append(part)
            use(part)

        head = {"references": images(folder.name)["head"]}
        with mock.patch.object(residency, "use", noted):
            for changes, more, parts in (
                ({}, {}, ["text", "model", "autoencoder"]),
                ({}, {}, ["text", "model", "autoencoder"]),
                # The image is encoded first, by what decoded the last clip.
                ({"mode": "i2v"}, head, ["text", "model", "autoencoder"]),
            ):
                brought.clear()
                asked = generation(num_steps=3, **changes)
                self.assertEqual(offloaded.make(asked, **more), whole.make(asked, **more))
                self.assertEqual(brought, parts)


class FromAFile(unittest.TestCase):
    def setUp(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="open-sora-undrawn-"))
        self.addCleanup(shutil.rmtree, self.folder)
        subprocess.run(
            [sys.executable, str(TESTS / "tiny_models.py"), str(self.folder)],
            check=True,
            stdout=subprocess.DEVNULL,
        )
        self.base = self.folder / "base.safetensors"

    def load(self, config: str) -> RealPipeline:
        with mock.patch.dict(os.environ, {"TINY_BASE": str(self.base)}):
            return RealPipeline(str(self.folder), config)

    def test_a_network_is_made_without_drawing_a_number_and_is_what_the_file_says(self) -> None:
        # The scaffolding draws its own numbers, so the network alone is made here.
        self.load("tiny_config_from_file.py")
        from opensora.models.mmdit.model import Flux
        from sluice_open_sora.open_sora.undrawn import undrawn_networks

        described = {
            name: value
            for name, value in self.described().items()
            if name not in ("type", "device_map", "torch_dtype")
        }
        before = torch.get_rng_state()
        with undrawn_networks():
            network = Flux(device_map="cpu", torch_dtype=torch.bfloat16, **described)
        self.assertTrue(torch.equal(torch.get_rng_state(), before))
        from safetensors.torch import load_file

        expected = load_file(self.base)
        found = network.state_dict()
        self.assertEqual(set(found), set(expected))
        self.assertTrue(all(torch.equal(found[name], expected[name]) for name in expected))
        Flux(device_map="cpu", torch_dtype=torch.bfloat16, **{**described, "from_pretrained": None})
        self.assertFalse(torch.equal(torch.get_rng_state(), before))

    def described(self) -> dict:
        from mmengine.config import Config

        with mock.patch.dict(os.environ, {"TINY_BASE": str(self.base)}):
            return dict(Config.fromfile(TESTS / "tiny_config_from_file.py").model)

    def test_a_file_that_lacks_a_tensor_is_refused_by_its_name(self) -> None:
        from safetensors.torch import load_file, save_file

        tensors = load_file(self.base)
        del tensors["cond_in.bias"], tensors["img_in.weight"]
        save_file(tensors, self.base)
        with self.assertRaisesRegex(RunnerFailure, "lacks 1 of the network's tensors, such as img_in.weight"):
            self.load("tiny_config_from_file.py")


if __name__ == "__main__":
    unittest.main()
