"""The shared parts that need no process."""

from __future__ import annotations

import json
import os
import socket
import struct
import tempfile
import unittest
from dataclasses import fields
from pathlib import Path
from typing import Any

from runner_tests.source_form import imports_without_packages
from runner_tests.spawned_runner import FIXTURES, SHARED_FOLDER, some_request
from runner_tests.tiny_weights import write_gain
from sluice_runner.check_request import check_request
from sluice_runner.checkpoint import Checkpoint, Tensor, read_checkpoint, write_checkpoint
from sluice_runner.failure import RunnerFailure, classify, classify_load
from sluice_runner.generation import Generation, Reference, parameter_hash, parse_generation
from sluice_runner.lines import LineBuffer
from sluice_runner.makes import OPEN_SORA_MAKES, Frames, Makes, parse_makes, request_of_makes
from sluice_runner.model_weights import Lora, ModelWeights, parse_models, request_of_models
from sluice_runner.pipeline import Job, Readiness, Stopped
from sluice_runner.rank_agreement import Follower, Leader
from sluice_runner.rank_gate import RankGate, RankOrder, Wishes
from sluice_runner.requests import Cancel, Generate, Load, Shutdown, Yield, parse_json, parse_request
from sluice_runner.settings import read_devices
from sluice_runner.step_cache import StepCache
from sluice_runner.weight_file import WeightFile


class Requests(unittest.TestCase):
    def test_every_request_fixture_is_understood(self) -> None:
        kinds = {"cancel": Cancel, "generate": Generate, "load": Load, "shutdown": Shutdown, "yield": Yield}
        paths = sorted(FIXTURES.glob("request.*.json"))
        self.assertGreaterEqual(len(paths), 7)
        with tempfile.TemporaryDirectory() as folder:
            image = os.path.join(folder, "image.png")
            Path(image).write_bytes(b"image")
            for path in paths:
                with self.subTest(path.name):
                    value = parse_json(path.read_bytes())
                    if value["type"] == "generate":
                        value["workdir"] = folder
                        for reference in value.get("references", []):
                            reference["path"] = image
                    self.assertIsInstance(parse_request(value), kinds[value["type"]])

    def test_what_cannot_be_generated_is_refused_by_the_name_of_its_field(self) -> None:
        broken = {
            "width": (0, -16, 1.5, True, "336", None),
            "num_frames": (0, -4, 2.5),
            "num_steps": (0, 2.5),
            "seed": (-1, 1.5, 2**63),
            "guidance": (None, "7.5", True, float("inf"), float("nan"), 1e308, 100.5, -0.5),
            "guidance_img": ("3", -1, 101),
            "motion_score": ("4", 4.5),
            "mode": ("v2v", 3, None),
            "prompt": (1984, None, "\ud800", "a\0b"),
            "fps": (0,),
            "i2v_condition": ("middle", 1),
            "reference_sha256": ("abc", "G" * 64, 1),
        }
        for field, values in broken.items():
            for value in values:
                with self.subTest(field, value=value), self.assertRaises(RunnerFailure) as raised:
                    parse_generation(some_request(**{field: value}))
                self.assertEqual(raised.exception.code, "bad_input")
                self.assertIn(f"request.{field}", raised.exception.message)
        with self.assertRaisesRegex(RunnerFailure, "request.colour is unknown"):
            parse_generation(some_request(colour="red"))

    def test_a_line_that_is_no_json_is_refused(self) -> None:
        for line in (b"{", b"\xff\xfe", b"[" * 100_000, b'{"a": NaN}', b"9" * 5000):
            with self.subTest(line[:20]), self.assertRaises(RunnerFailure):
                parse_request(parse_json(line))

    def test_the_models_of_a_load_are_refused_by_the_name_of_their_field(self) -> None:
        fixture = parse_request(parse_json((FIXTURES / "request.load-models.json").read_bytes()))
        assert isinstance(fixture, Load)
        self.assertEqual(
            fixture.models,
            (
                ModelWeights("open-sora-2"),
                ModelWeights("open-sora-2-fast", step_cache=StepCache(0.05)),
                ModelWeights("open-sora-2-int8", precision="int8"),
                ModelWeights("studio-finetune", "/models/studio.safetensors"),
                ModelWeights("ink-wash", None, Lora("/models/ink-wash.safetensors", 0.8)),
            ),
        )
        self.assertEqual(parse_models(request_of_models(fixture.models)), fixture.models)
        self.assertEqual(parse_request({"type": "load", "model": "open-sora-2"}), Load("open-sora-2", ()))
        for models, said in (
            ([], "models is"),
            ({}, "models is"),
            (["a"], "models[0] is"),
            ([{"id": ""}], "models[0].id is"),
            ([{"id": "a"}, {"id": "a"}], 'names "a" twice'),
            ([{"id": "b"}], 'model is "a"; allowed is one of models: b'),
            ([{"id": "a", "checkpoint": "a.safetensors"}], "models[0].checkpoint is"),
            ([{"id": "a", "checkpoint": None}], "models[0].checkpoint is"),
            ([{"id": "a", "folder": "a"}], "models[0].folder is"),
            ([{"id": "a", "pipelines": ["WanPipeline"]}], "models[0].pipelines is"),
            ([{"id": "a", "makes": 3}], "models[0].makes is 3"),
            ([{"id": "a", "lora": {"path": "a", "strength": 1}}], "models[0].lora.path is"),
            ([{"id": "a", "lora": {"path": "/a"}}], "models[0].lora.strength is"),
            ([{"id": "a", "step_cache": 0.1}], "models[0].step_cache is 0.1; allowed is an object"),
            ([{"id": "a", "step_cache": {"threshold": 0}}], "models[0].step_cache is"),
            ([{"id": "a", "step_cache": {"threshold": True}}], "models[0].step_cache is"),
            ([{"id": "a", "step_cache": {"threshold": 1.01}}], "models[0].step_cache is"),
            ([{"id": "a", "precision": "int4"}], 'precision is "int4"; allowed is one of int8, fp8'),
            ([{"id": "a", "precision": None}], "models[0].precision is null"),
            ([{"id": "a", "lora": {"path": "/a", "strength": float("inf")}}], "models[0].lora.strength is"),
        ):
            with self.subTest(said), self.assertRaises(RunnerFailure) as raised:
                parse_request({"type": "load", "model": "a", "models": models})
            self.assertEqual(raised.exception.code, "bad_input")
            self.assertIn(said, raised.exception.message)

    def test_lines_end_with_lf_only(self) -> None:
        buffer = LineBuffer()
        text = '{"prompt":"a\u2028b\u0085c\rd"}'.encode()
        self.assertEqual(buffer.feed(text[:14]), [])
        self.assertEqual(buffer.feed(text[14:] + b"\n \n{}"), [text])
        self.assertEqual(buffer.end(), [b"{}"])


class StandardLibrary(unittest.TestCase):
    def test_nothing_but_the_encoder_and_torchs_folder_needs_more(self) -> None:
        """The encoder, which needs PyAV and Pillow, is a process of its own."""
        self.assertEqual(imports_without_packages(SHARED_FOLDER / "sluice_runner", [SHARED_FOLDER]), "")


class Tokens(unittest.TestCase):
    def test_they_are_those_of_the_published_table(self) -> None:
        for width, height, tokens in (
            (336, 192, 8316),
            (256, 256, 8448),
            (1024, 576, 76_032),
            (768, 768, 76_032),
        ):
            self.assertEqual(
                OPEN_SORA_MAKES.video_tokens(width, height, 129),
                tokens,
            )

    def test_a_sequence_that_cannot_be_split_evenly_is_refused_before_the_start(self) -> None:
        """At 129 frames: which sizes work on how many devices (reference: Several GPUs)."""
        works = {
            (1024, 576): 8,
            (576, 1024): 8,
            (768, 768): 8,
            (1184, 496): 2,
            (1072, 544): 2,
            (928, 624): 2,
            (992, 592): 2,
            (880, 656): 1,
            (1040, 560): 1,
            (336, 192): 4,
        }
        with tempfile.TemporaryDirectory() as folder:
            for (width, height), most in works.items():
                order = parse_request(
                    {
                        "type": "generate",
                        "id": "a",
                        "workdir": folder,
                        "request": some_request(width=width, height=height, num_frames=129),
                    }
                )
                assert isinstance(order, Generate)
                for ranks in (1, 2, 4, 8):
                    ready = Readiness(
                        "h100", ranks, 0, ("open-sora-2",), ("t2v",), 129, 589_824, sequence_ranks=ranks
                    )
                    with self.subTest(width=width, height=height, ranks=ranks):
                        if ranks <= most:
                            check_request(order, ready, OPEN_SORA_MAKES)
                        else:
                            with self.assertRaisesRegex(RunnerFailure, f"on {ranks} devices"):
                                check_request(order, ready, OPEN_SORA_MAKES)


WAN: dict[str, Any] = {
    "modes": ["t2v", "i2v"],
    "frames": {"multiple": 4, "remainder": 1, "min": 5, "max": 121},
    "sides": {"multiple": 32, "pixels_max": 921_600},
    "steps": {"min": 1, "max": 100},
    "tokens": {"temporal": 4, "spatial": 16, "patch": [1, 2, 2]},
    "fps": 24,
    "sound": False,
}


class WhatAModelMakes(unittest.TestCase):
    def order(self, **changes: object) -> Generate:
        with tempfile.TemporaryDirectory() as folder:
            line = {"type": "generate", "id": "a", "workdir": folder, "request": some_request(**changes)}
            order = parse_request(line)
        assert isinstance(order, Generate)
        return order

    def test_tokens_are_counted_by_its_own_compression_and_patch(self) -> None:
        ltx = Makes(("t2v",), Frames(8, 1, 9, 257), 32, 2**20, 1, 100, 8, 32, (1, 1, 1), 24, False)
        cog = Makes(("t2v",), Frames(4, 1, 9, 81), 16, 2**20, 1, 100, 4, 8, (2, 2, 2), 16, False)
        for makes, size, tokens in (
            (parse_makes("makes", WAN), (1280, 704, 121), 31 * 22 * 40),
            (ltx, (704, 512, 161), 21 * 16 * 22),
            (cog, (64, 48, 9), 2 * 3 * 4),
        ):
            self.assertEqual(makes.video_tokens(*size), tokens)

    def test_a_request_is_judged_by_its_rule_and_the_answer_names_it(self) -> None:
        makes = parse_makes("makes", WAN)
        ready = Readiness("cpu", 1, 0, ("open-sora-2",), ("t2v", "i2v"), 121, 2**24)
        fits = {"width": 64, "height": 32, "num_frames": 9}
        check_request(self.order(**fits), ready, makes)
        for change, said in (
            ({"width": 80}, "multiples of 32"),
            ({"width": 1280, "height": 736}, "at most 921600 pixels"),
            ({"num_frames": 10}, "4k+1 from 5 to 121"),
            ({"num_frames": 125}, "4k+1 from 5 to 121"),
            ({"num_frames": 1}, "4k+1 from 5 to 121"),
            ({"num_steps": 101}, "1 to 100"),
            ({"mode": "t2i2v"}, "mode is t2i2v; allowed is t2v, i2v"),
        ):
            with self.subTest(said), self.assertRaises(RunnerFailure) as raised:
                check_request(self.order(**{**fits, **change}), ready, makes)
            self.assertIn(said, raised.exception.message)

    def test_what_a_device_serves_of_it_bounds_it_further(self) -> None:
        ready = Readiness("cpu", 1, 0, ("open-sora-2",), ("t2v",), 9, 2048)
        makes = parse_makes("makes", WAN)
        for change, said in (
            ({"num_frames": 13}, "up to 9"),
            ({"height": 64}, "at most 2048 pixels"),
            ({"mode": "i2v"}, "allowed is t2v"),
        ):
            with self.subTest(said), self.assertRaisesRegex(RunnerFailure, said):
                check_request(self.order(**change), ready, makes)

    def test_a_model_with_one_number_of_steps_makes_no_other(self) -> None:
        makes = parse_makes("makes", {**WAN, "steps": {"min": 8, "max": 8}})
        ready = Readiness("cpu", 1, 0, ("open-sora-2",), ("t2v",), 121, 2**24)
        check_request(self.order(num_steps=8), ready, makes)
        with self.assertRaisesRegex(RunnerFailure, "num_steps is 7; allowed is 8 to 8"):
            check_request(self.order(num_steps=7), ready, makes)

    def test_it_is_read_as_it_was_written_and_a_broken_one_is_refused_by_field(self) -> None:
        makes = parse_makes("makes", WAN)
        self.assertEqual(request_of_makes(makes), WAN)
        models = ({"id": "a", "folder": "/a", "pipelines": {"t2v": "WanPipeline"}, "makes": WAN},)
        self.assertEqual(request_of_models(parse_models(list(models))), list(models))
        for change, said in (
            ({"modes": ["v2v"]}, "makes.modes is"),
            ({"frames": None}, "makes.frames is null"),
            ({"frames": {**WAN["frames"], "multiple": 0}}, "makes.frames.multiple is 0"),
            ({"tokens": {"temporal": 4, "spatial": 8, "patch": [1, 2]}}, "makes.tokens.patch is"),
            ({"fps": "24"}, "makes.fps is"),
            ({"i2v_conditions": ["end"]}, "makes.i2v_conditions is"),
            ({"sound": 1}, "makes.sound is 1"),
        ):
            with self.subTest(said), self.assertRaises(RunnerFailure) as raised:
                parse_makes("makes", {**WAN, **change})
            self.assertEqual(raised.exception.code, "bad_input")
            self.assertIn(said, raised.exception.message)


class WithinAStep(unittest.TestCase):
    def gate(self, agreement: Leader | Follower, wishes: Wishes, said: list[dict[str, Any]]) -> RankGate:
        job = Job(parse_generation(some_request()), (), "", "", "", None)
        return RankGate(RankOrder("a", job, "parameters", 30), wishes, agreement, said.append)

    def test_signs_of_life_are_bounded_and_the_first_comes_at_once(self) -> None:
        said: list[dict[str, Any]] = []
        gate = self.gate(Leader([]), Wishes(), said)
        for _ in range(1000):
            gate.alive("denoise", 3, 8)
        told = {"type": "progress", "id": "a", "phase": "denoise", "step": 3, "steps": 8}
        self.assertEqual(said, [told])

    def test_a_cancel_is_heeded_there_by_a_rank_that_is_alone(self) -> None:
        wishes = Wishes()
        alone = self.gate(Leader([]), wishes, [])
        alone.heed_cancel(3)
        wishes.set("a", "yield")
        alone.heed_cancel(3)
        wishes.set("a", "cancel")
        with self.assertRaises(Stopped) as raised:
            alone.heed_cancel(3)
        self.assertEqual((raised.exception.how, raised.exception.step), ("cancel", 3))
        near, far = socket.socketpair()
        with near, far:
            # The others would wait for it inside the step.
            for agreement in (Leader([near]), Follower(far)):
                self.gate(agreement, wishes, []).heed_cancel(3)


class AtAnEarlierStep(unittest.TestCase):
    """A pipeline that can be resumed at some steps alone keeps what it had at the last of them."""

    def test_a_checkpoint_says_the_step_of_what_it_holds_and_is_written_once(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            said: list[dict[str, Any]] = []
            job = Job(parse_generation(some_request()), (), folder, "", "", None)
            wishes = Wishes()
            gate = RankGate(RankOrder("a", job, "parameters", 0), wishes, Leader([]), said.append)
            for step in range(8):
                gate.boundary(step, dict, step - step % 4)
            (kept,) = [message for message in said if message["type"] == "checkpoint"]
            self.assertEqual(kept["step"], 4)
            self.assertEqual(read_checkpoint(kept["path"], "parameters", 8).step, 4)
            wishes.set("a", "yield")
            with self.assertRaises(Stopped) as raised:
                gate.boundary(7, dict, 4)
            self.assertEqual((raised.exception.how, raised.exception.step), ("yield", 4))
            self.assertEqual(raised.exception.path, kept["path"])
            wishes.set("a", "cancel")
            with self.assertRaises(Stopped) as raised:
                gate.boundary(7, dict, 4)
            self.assertEqual((raised.exception.how, raised.exception.step), ("cancel", 7))


class Checkpoints(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        self.checkpoint = Checkpoint(
            5, {"latent": Tensor("F32", (2, 2), bytes(range(16))), "mask": Tensor("BF16", (3,), b"abcdef")}
        )
        self.path = write_checkpoint(self.folder, "parameters", self.checkpoint)

    def refusal(self) -> str:
        with self.assertRaises(RunnerFailure) as raised:
            read_checkpoint(self.path, "parameters", 8)
        self.assertEqual(raised.exception.code, "bad_input")
        return raised.exception.message

    def test_what_was_written_is_read(self) -> None:
        self.assertEqual(read_checkpoint(self.path, "parameters", 8), self.checkpoint)
        self.assertEqual(os.listdir(self.folder), ["checkpoint.safetensors"])

    def test_the_file_is_laid_out_as_safetensors(self) -> None:
        content = Path(self.path).read_bytes()
        (length,) = struct.unpack("<Q", content[:8])
        header = json.loads(content[8 : 8 + length])
        self.assertEqual(length % 8, 0)
        self.assertEqual(header["mask"], {"dtype": "BF16", "shape": [3], "data_offsets": [16, 22]})
        self.assertEqual(content[8 + length :], bytes(range(16)) + b"abcdef")

    def test_a_later_one_replaces_it_whole(self) -> None:
        write_checkpoint(self.folder, "parameters", Checkpoint(6, {}))
        self.assertEqual(read_checkpoint(self.path, "parameters", 8).step, 6)
        self.assertEqual(os.listdir(self.folder), ["checkpoint.safetensors"])

    def test_any_changed_byte_is_noticed(self) -> None:
        content = Path(self.path).read_bytes()
        for index in range(len(content)):
            Path(self.path).write_bytes(content[:index] + bytes([content[index] ^ 1]) + content[index + 1 :])
            with self.subTest(index):
                self.refusal()

    def test_any_cut_is_noticed(self) -> None:
        content = Path(self.path).read_bytes()
        for length in range(0, len(content), 3):
            Path(self.path).write_bytes(content[:length])
            with self.subTest(length):
                self.refusal()

    def test_a_missing_or_foreign_one_is_refused(self) -> None:
        with self.assertRaisesRegex(RunnerFailure, "parameters differ"):
            read_checkpoint(self.path, "others", 8)
        with self.assertRaisesRegex(RunnerFailure, "holds 5 steps"):
            read_checkpoint(self.path, "parameters", 5)
        os.remove(self.path)
        self.assertIn("cannot be read", self.refusal())

    def test_one_of_an_earlier_format_is_refused_in_words(self) -> None:
        content = Path(self.path).read_bytes()
        Path(self.path).write_bytes(content.replace(b"checkpoint-2", b"checkpoint-1"))
        self.assertIn(
            "its format is 'sluice-open-sora-checkpoint-1'; allowed is 'sluice-open-sora-checkpoint-2'",
            self.refusal(),
        )

    def test_the_parameters_are_every_field_and_the_bytes_of_every_image(self) -> None:
        image = os.path.join(self.folder, "image.png")
        Path(image).write_bytes(b"one")
        whole = parameter_hash(parse_generation(some_request()), (Reference("head", image),))
        changes = {
            "model": "b",
            "mode": "i2v",
            "prompt": "b",
            "negative_prompt": "b",
            "width": 96,
            "height": 64,
            "num_frames": 5,
            "fps": 30,
            "num_steps": 9,
            "guidance": 7,
            "guidance_img": 4,
            "motion_score": 5,
            "seed": 43,
            "i2v_condition": "tail",
            "reference_sha256": "0" * 64,
        }
        self.assertEqual(set(changes), {field.name for field in fields(Generation)})
        hashes = {
            parameter_hash(parse_generation(some_request(**{name: value})), (Reference("head", image),))
            for name, value in changes.items()
        }
        self.assertEqual(len(hashes | {whole}), len(changes) + 1)
        self.assertNotEqual(
            parameter_hash(parse_generation(some_request()), (Reference("tail", image),)), whole
        )
        shuffled = dict(reversed(some_request(guidance_img=3.0).items()))
        self.assertEqual(parameter_hash(parse_generation(shuffled), (Reference("head", image),)), whole)
        Path(image).write_bytes(b"two")
        self.assertNotEqual(
            parameter_hash(parse_generation(some_request()), (Reference("head", image),)), whole
        )


class Weights(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def test_the_fingerprint_is_of_the_content_not_of_the_place(self) -> None:
        one = WeightFile(write_gain(self.folder / "one.safetensors", 1))
        self.assertEqual(
            WeightFile(write_gain(self.folder / "two.safetensors", 1)).fingerprint, one.fingerprint
        )
        self.assertNotEqual(
            WeightFile(write_gain(self.folder / "three.safetensors", 2)).fingerprint, one.fingerprint
        )
        one.verify()
        write_gain(Path(one.path), 2)
        with self.assertRaisesRegex(ValueError, "was replaced"):
            one.verify()

    def test_any_cut_of_a_file_is_noticed(self) -> None:
        path = Path(write_gain(self.folder / "gain.safetensors", 1, length=9))
        content = path.read_bytes()
        for length in range(len(content)):
            path.write_bytes(content[:length])
            with self.subTest(length), self.assertRaises(ValueError):
                WeightFile(str(path))

    def test_the_weights_belong_to_the_parameters_of_a_checkpoint(self) -> None:
        generation = parse_generation(some_request())
        self.assertNotEqual(parameter_hash(generation, (), "weights"), parameter_hash(generation, ()))


class OutOfMemoryError(RuntimeError):
    pass


class AcceleratorError(RuntimeError):
    pass


class Agreement(unittest.TestCase):
    def test_a_leader_that_is_gone_is_a_lost_device_however_its_connection_ended(self) -> None:
        for reset in (False, True):
            with socket.create_server(("127.0.0.1", 0)) as server:
                leader = socket.create_connection(server.getsockname())
                follower, _ = server.accept()
            if reset:
                leader.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            leader.close()
            with follower, self.assertRaises(RunnerFailure) as raised:
                Follower(follower).agree(3)
            self.assertEqual((raised.exception.code, raised.exception.retryable), ("device_lost", True))


class Failures(unittest.TestCase):
    def test_what_the_libraries_raise_is_classified(self) -> None:
        for error, code in (
            (OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"), "out_of_memory"),
            (RuntimeError("CUDA error: out of memory"), "out_of_memory"),
            (
                RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
                "out_of_memory",
            ),
            *(
                (RuntimeError(said), "out_of_memory")
                for said in (
                    "cuDNN error: CUDNN_STATUS_EXECUTION_FAILED",
                    "cuDNN error: CUDNN_STATUS_INTERNAL_ERROR",
                    "cuDNN error: CUDNN_STATUS_ALLOC_FAILED",
                    "GET was unable to find an engine to execute this computation",
                    "FIND was unable to find an engine to execute this computation",
                    "Unable to find a valid cuDNN algorithm to run convolution",
                    "CUDA error: CUBLAS_STATUS_NOT_INITIALIZED when calling `cublasCreate(handle)`",
                )
            ),
            (RuntimeError("cuDNN error: CUDNN_STATUS_MAPPING_ERROR"), "device_lost"),
            (RuntimeError("CUDA error: an illegal memory access was encountered"), "device_lost"),
            (AcceleratorError("CUDA error: device-side assert triggered"), "device_lost"),
            (RuntimeError("NCCL communicator was aborted on rank 1."), "device_lost"),
            (
                RuntimeError(
                    "[../gloo/transport/tcp/pair.cc:534] Connection closed by peer [127.0.0.1]:4242"
                ),
                "device_lost",
            ),
            (ConnectionResetError(104, "Connection reset by peer"), "device_lost"),
            (BrokenPipeError(32, "Broken pipe"), "device_lost"),
            (RuntimeError("shape '[1, 2]' is invalid for input of size 3"), "internal"),
            (MemoryError("host"), "internal"),
            (ValueError("out of memory is mentioned"), "internal"),
            (AssertionError(), "internal"),
            (RunnerFailure("bad_input", "no"), "bad_input"),
        ):
            with self.subTest(str(error)):
                self.assertEqual(classify(error).code, code)

    def test_what_is_missing_at_load_is_model_missing(self) -> None:
        self.assertEqual(
            classify_load(FileNotFoundError("ckpts/Open_Sora_v2.safetensors")).code, "model_missing"
        )
        self.assertEqual(classify_load(ModuleNotFoundError("No module named 'torch'")).code, "model_missing")
        self.assertEqual(classify_load(OutOfMemoryError("CUDA out of memory")).code, "out_of_memory")


class SettingsTest(unittest.TestCase):
    def test_there_is_a_rank_for_each_device(self) -> None:
        for devices, ranks in (("0", 1), ("0,1,2,3", 4), ("GPU-1a2b,GPU-3c4d", 2), ("", 1)):
            self.assertEqual(read_devices({"CUDA_VISIBLE_DEVICES": devices}), ("CUDA_VISIBLE_DEVICES", ranks))
        self.assertEqual(read_devices({}), ("CUDA_VISIBLE_DEVICES", 1))

    def test_the_devices_are_those_of_the_variable_that_is_named(self) -> None:
        environment = {"SLUICE_DEVICE_VARIABLE": "ASCEND_RT_VISIBLE_DEVICES", "CUDA_VISIBLE_DEVICES": "0"}
        self.assertEqual(
            read_devices({**environment, "ASCEND_RT_VISIBLE_DEVICES": "0,1,2,3"}),
            ("ASCEND_RT_VISIBLE_DEVICES", 4),
        )
        self.assertEqual(read_devices(environment), ("ASCEND_RT_VISIBLE_DEVICES", 1))


if __name__ == "__main__":
    unittest.main()
