"""The runner over real pipes, with real pipelines of tiny random weights on the CPU."""

from __future__ import annotations

import json
import os
import socket
import threading
import unittest
from pathlib import Path
from typing import Any

import av
from runner_tests.spawned_runner import COPY_ENCODER, SpawnedProgram
from safetensors.torch import save_file

from tests.pipelines import MODELS, STEPS, makes, model_of, request
from tests.test_form import TESTS
from tests.test_pipelines import PIPELINES, image

import torch

# Numbers of tiny models are as good from one thread, and sooner.
FEW_THREADS = {"OMP_NUM_THREADS": "1"}
WAN = "wan-2.2-5b"


class RunnerTest(unittest.TestCase):
    maxDiff = None

    def start(
        self, *models: dict[str, Any], arguments: list[str] | None = None, **settings: str
    ) -> SpawnedProgram:
        """The first of the models is loaded."""
        encoder = {"SLUICE_DIFFUSERS_ENCODER_COMMAND": json.dumps(COPY_ENCODER)}
        environment = {**encoder, **FEW_THREADS, "SLUICE_DIFFUSERS_DEVICE": "cpu", **settings}
        runner = SpawnedProgram("sluice_diffusers", [TESTS.parent], arguments or [], **environment)
        self.addCleanup(runner.close)
        runner.load(models[0]["id"], list(models))
        return runner


class AVideo(RunnerTest):
    def test_from_text_and_from_an_image_with_progress_at_each_step(self) -> None:
        runner = self.start(model_of(WAN, PIPELINES[WAN]))
        (ready,) = [reply for reply in runner.replies if reply["type"] == "ready"]
        self.assertEqual((ready["device"], ready["modes"]), ("cpu", ["t2v", "i2v"]))
        text = runner.make("text", request())
        self.assertEqual(len(text), 64 * 32 * 3 * 9)
        steps = [reply["step"] for reply in runner.of("text") if reply.get("phase") == "denoise"]
        self.assertEqual(sorted(set(steps) - {0}), list(range(1, STEPS + 1)))
        kinds = [reply["type"] for reply in runner.of("text") if reply["type"] != "progress"]
        self.assertEqual(kinds, ["started", "released", "finished"])
        finished = runner.reply("finished", "text")
        # (1 + 8/4) latent frames of 32/32 rows and 64/32 columns.
        self.assertEqual(finished["tokens"], 3 * 2 * 4 * STEPS)
        self.assertNotIn("sound", finished)
        pictured = [{"position": "head", "path": image()}]
        moved = runner.make("image", request(mode="i2v"), references=pictured)
        self.assertNotEqual(moved, text)
        for position in ("tail",):
            runner.generate(position, request(mode="i2v"), references=[{**pictured[0], "position": position}])
            failed = runner.reply("failed", position)
            self.assertEqual(failed["code"], "bad_input")
            self.assertIn("i2v_condition is tail; allowed is head", failed["message"])
        broken = os.path.join(runner.folder, "broken.png")
        Path(broken).write_bytes(b"no image")
        runner.generate("broken", request(mode="i2v"), references=[{"position": "head", "path": broken}])
        self.assertIn("broken.png is no image", runner.reply("failed", "broken")["message"])
        self.assertEqual(runner.make("again", request()), text)

    def test_any_prompt_is_made(self) -> None:
        runner = self.start(model_of(WAN, PIPELINES[WAN]))
        seen = set()
        for number, prompt in enumerate(
            (
                "纸船 🚤 \U0001f468\u200d\U0001f469\u200d\U0001f467",
                "a\x01\x02\x1b[31m\x7f\u0085\u2028b",
                "boat " * 800,
                "\u202eتجربة שלום\u202c",
                "",
                "--seed 3 <lora:x:1> {{prompt}} %s",
            )
        ):
            seen.add(
                runner.make(str(number), request(prompt=prompt, negative_prompt=prompt[:50], num_steps=2))
            )
        self.assertEqual(len(seen), 6)

    def test_nothing_is_asked_of_a_hub(self) -> None:
        """A server that counts who connects stands where the library believes its hub to be."""
        with socket.create_server(("127.0.0.1", 0)) as hub:
            callers: list[Any] = []

            def count() -> None:
                while True:
                    try:
                        callers.append(hub.accept()[1])
                    except OSError:
                        return

            threading.Thread(target=count, daemon=True).start()
            place = f"http://127.0.0.1:{hub.getsockname()[1]}"
            runner = self.start(
                model_of(WAN, PIPELINES[WAN]), HF_ENDPOINT=place, HF_HUB_OFFLINE="0", HTTPS_PROXY=place
            )
            runner.make("a", request(num_steps=2))
            self.assertEqual(callers, [])

    def test_the_default_encoder_makes_a_film_and_puts_the_sound_into_it(self) -> None:
        described = makes(["t2v"], sound=True)
        model = model_of("ltx-2", {"t2v": "LTX2Pipeline"}, makes=described)
        runner = self.start(model, SLUICE_DIFFUSERS_ENCODER_COMMAND="")
        runner.generate("a", request(model="ltx-2", num_steps=2, width=64, height=64))
        finished = runner.reply("finished", "a")
        self.assertIs(finished["sound"], True)
        with av.open(finished["files"]["video"]) as film:
            (video,), (audio,) = film.streams.video, film.streams.audio
            self.assertEqual((video.codec_context.name, video.frames, video.width), ("h264", 9, 64))
            self.assertEqual((audio.codec_context.name, audio.rate, audio.channels), ("aac", 16000, 2))
            seconds = float(audio.duration * audio.time_base)
            self.assertLess(abs(seconds - 9 / 24), 0.15)
            samples = [frame.to_ndarray() for frame in film.decode(audio)]
        self.assertGreater(max(float(abs(part).max()) for part in samples), 0)
        self.assertEqual(
            sorted(os.listdir(os.path.dirname(finished["files"]["video"]))),
            ["spritesheet.jpg", "thumbnail.webp", "video.mp4"],
        )


class Stopping(RunnerTest):
    def test_a_cancel_and_a_yield_stop_at_the_next_step_and_a_resumed_clip_is_the_same_bytes(self) -> None:
        self.stops(request(num_steps=40), [])
        pictured = [{"position": "head", "path": image()}]
        self.stops(request(model="hunyuan-video-i2v", mode="i2v", num_steps=40), pictured)

    def stops(self, many: dict[str, Any], references: list[dict[str, str]]) -> None:
        name = many["model"]
        runner = self.start(model_of(name, PIPELINES[name]), SLUICE_DIFFUSERS_CHECKPOINT_MS="0")
        whole = runner.make("whole", many, references=references)
        runner.generate("cancelled", many, references=references)
        runner.at_step("cancelled", 3)
        runner.send({"type": "cancel", "id": "cancelled"})
        self.assertLess(runner.reply("cancelled", "cancelled")["step"], 40)
        runner.generate("yielded", many, references=references)
        runner.at_step("yielded", 5)
        runner.send({"type": "yield", "id": "yielded"})
        yielded = runner.reply("yielded", "yielded")
        self.assertGreaterEqual(yielded["step"], 5)
        resume = {"step": yielded["step"], "path": yielded["path"]}
        self.assertTrue(runner.make("resumed", many, references=references, resume=resume) == whole)
        finished = runner.reply("finished", "resumed")
        self.assertEqual(finished["tokens"], 3 * 2 * 4 * (40 - yielded["step"]))
        checkpoint = [reply for reply in runner.of("resumed") if reply["type"] == "checkpoint"]
        self.assertGreater(len(checkpoint), 2)
        runner.generate("other", {**many, "seed": 43}, references=references, resume=resume)
        self.assertIn("parameters differ", runner.reply("failed", "other")["message"])

    def test_before_the_first_step_too(self) -> None:
        runner = self.start(model_of(WAN, PIPELINES[WAN]))
        order = runner.order("a", request(num_steps=40))
        runner.send(order, {"type": "yield", "id": "a"})
        yielded = runner.reply("yielded", "a")
        self.assertEqual((yielded["step"], "path" in yielded), (0, False))


class Memory(RunnerTest):
    SHORT = ["--pipeline", f"{TESTS / 'short_of_memory.py'}:ShortOfMemory"]

    def test_memory_that_runs_out_is_out_of_memory_and_the_runner_loads_anew(self) -> None:
        model = model_of(WAN, PIPELINES[WAN])
        runner = self.start(model, arguments=self.SHORT)
        runner.generate("large", request())
        failed = runner.reply("failed", "large")
        self.assertEqual((failed["code"], failed["retryable"]), ("out_of_memory", True))
        runner.replies.clear()
        runner.load(model["id"], [model])
        self.assertEqual(len(runner.make("small", request(num_steps=2))), 64 * 32 * 3 * 9)

    def test_with_retry_the_clip_goes_on_from_its_checkpoint_with_offload_to_the_same_bytes(self) -> None:
        model = model_of(WAN, PIPELINES[WAN])
        whole = self.start(model).make("whole", request())
        settings = {"SLUICE_DIFFUSERS_OFFLOAD": "retry", "SLUICE_DIFFUSERS_CHECKPOINT_MS": "0"}
        runner = self.start(model, arguments=self.SHORT, **settings)
        self.assertTrue(runner.make("short", request()) == whole)
        self.assertIn("trying again with offload", runner.errors)
        steps = [reply["step"] for reply in runner.of("short") if reply["type"] == "checkpoint"]
        self.assertEqual(steps, [1, 2, 3, 4])

    def test_offload_makes_the_same_bytes_in_both_modes(self) -> None:
        model = model_of(WAN, PIPELINES[WAN])
        made = set()
        for offload in ("none", "model"):
            runner = self.start(model, SLUICE_DIFFUSERS_OFFLOAD=offload)
            pictured = [{"position": "head", "path": image()}]
            clips = [runner.make("text", request(num_steps=2))]
            clips.append(runner.make("image", request(mode="i2v", num_steps=2), references=pictured))
            clips.append(runner.make("again", request(num_steps=2)))
            made.add(tuple(clips))
        self.assertEqual(len(made), 1)
        self.assertEqual(len(set(made.pop())), 2)


class SeveralModels(RunnerTest):
    def lora(self, name: str, strength: float = 1.0) -> dict[str, Any]:
        """A LoRA of rank 2 on the transformer's first attention, as the library writes one."""
        path = MODELS / f"{name}.safetensors"
        torch.manual_seed(len(name))
        layer = "transformer.blocks.0.attn1.to_q"
        halves = {f"{layer}.lora_A.weight": torch.randn(2, 24), f"{layer}.lora_B.weight": torch.randn(24, 2)}
        save_file(halves, str(path))
        return {"path": str(path), "strength": strength}

    def test_a_lora_goes_in_and_out_again_and_the_base_is_the_same_bytes(self) -> None:
        base = model_of(WAN, PIPELINES[WAN])
        models = [
            base,
            {**base, "id": "ink", "lora": self.lora("ink")},
            {**base, "id": "half", "lora": self.lora("ink", 0.5)},
        ]
        runner = self.start(*models)
        made: dict[str, bytes] = {}
        for number, model in enumerate((WAN, "ink", "half", WAN, "ink", WAN)):
            clip = runner.make(str(number), request(model=model, num_steps=2))
            self.assertTrue(made.setdefault(model, clip) == clip, f"{model} at {number}")
            timings = runner.reply("finished", str(number))["timings"]
            self.assertEqual("load" in timings, number > 0)
        self.assertEqual(len(set(made.values())), 3)
        # One process all the time: a LoRA needs no new one.
        self.assertEqual(sum("rank(s) load" in line for line in runner.errors.splitlines()), 1)

    def test_a_lora_that_does_not_fit_is_named_before_anything_is_served(self) -> None:
        base = model_of(WAN, PIPELINES[WAN])
        path = MODELS / "foreign.safetensors"
        save_file(
            {"unet.a.lora_A.weight": torch.zeros(2, 3), "unet.a.lora_B.weight": torch.zeros(3, 2)}, path
        )
        encoder = {"SLUICE_DIFFUSERS_ENCODER_COMMAND": json.dumps(COPY_ENCODER)}
        runner = SpawnedProgram(
            "sluice_diffusers", [TESTS.parent], [], SLUICE_DIFFUSERS_DEVICE="cpu", **encoder, **FEW_THREADS
        )
        self.addCleanup(runner.close)
        own = {**base, "id": "foreign", "lora": {"path": str(path), "strength": 1}}
        runner.send({"type": "load", "model": WAN, "models": [base, own]})
        failed = runner.reply("failed")
        self.assertEqual(failed["code"], "model_missing")
        self.assertIn(f"model 'foreign': lora: {path}", failed["message"])

    def test_another_folder_is_loaded_by_a_new_process_with_signs_of_life_and_makes_the_same_again(
        self,
    ) -> None:
        models = [model_of(name, PIPELINES[name]) for name in (WAN, "ltx-video")]
        runner = self.start(*models)
        made: dict[str, bytes] = {}
        for number, model in enumerate((WAN, "ltx-video", WAN)):
            clip = runner.make(str(number), request(model=model, num_steps=2))
            self.assertTrue(made.setdefault(model, clip) == clip, f"{model} at {number}")
            phases = {reply.get("phase") for reply in runner.of(str(number))}
            self.assertEqual("load" in phases, number > 0)
            self.assertEqual("load" in runner.reply("finished", str(number))["timings"], number > 0)
        runner.generate("wrong", request(model="ltx-video", num_frames=8))
        self.assertIn("num_frames is 8; allowed is 4k+1", runner.reply("failed", "wrong")["message"])


class Precision(RunnerTest):
    def test_8_bits_and_half_precision_make_other_clips_of_the_same_seed(self) -> None:
        made = set()
        for settings in (
            {},
            {"SLUICE_DIFFUSERS_DTYPE": "bf16"},
            {"SLUICE_DIFFUSERS_QUANTIZATION": "fp8"},
        ):
            runner = self.start(model_of(WAN, PIPELINES[WAN]), **settings)
            made.add(runner.make("a", request(num_steps=2)))
        self.assertEqual(len(made), 3)


if __name__ == "__main__":
    unittest.main()
