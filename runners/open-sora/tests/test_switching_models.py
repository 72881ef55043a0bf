"""Several models in one runner, by the real runner process, real files and the plain pipeline."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from pathlib import Path
from typing import Any

from tests.spawned_runner import RunnerTest, SpawnedRunner, is_running, some_request
from runner_tests.tiny_weights import write_gain, write_gain_lora, write_weights

TWO = {"CUDA_VISIBLE_DEVICES": "0,1"}


class ModelsTest(RunnerTest):
    def setUp(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="open-sora-models-"))
        self.addCleanup(shutil.rmtree, self.folder)
        self.tuned = write_gain(self.folder / "tuned.safetensors", 0.4)
        self.ink = write_gain_lora(self.folder / "ink.safetensors", 0.3, alpha=1.0)
        self.models: list[dict[str, Any]] = [
            {"id": "open-sora-2"},
            {"id": "studio tuned"},
            {"id": "ink"},
            {"id": "tuned ink"},
        ]
        self.models[1]["checkpoint"] = self.models[3]["checkpoint"] = self.tuned
        self.models[2]["lora"] = {"path": self.ink, "strength": 0.8}
        self.models[3]["lora"] = {"path": self.ink, "strength": -0.5}

    def clip(self, runner: SpawnedRunner, video: str, model: str, **more: Any) -> bytes:
        return runner.make(video, some_request(model=model), **more)

    def alone(self, model: str) -> bytes:
        """The model's clip of a runner that never served another."""
        runner = self.start(load=False)
        runner.load(model, self.models)
        made = self.clip(runner, "alone", model)
        runner.close()
        return made


class Serving(ModelsTest):
    def test_ready_names_all_models_its_modes_and_how_a_sequence_is_split(self) -> None:
        ready = self.start(models=self.models).reply("ready")
        self.assertEqual(ready["models"], ["open-sora-2", "studio tuned", "ink", "tuned ink"])
        self.assertEqual(ready["modes"], ["t2v", "i2v"])
        self.assertEqual(ready["limits"], {"frames_max": 129, "pixels_max": 589_824})
        two = self.start(TWO, models=self.models).reply("ready")
        self.assertEqual(two["limits"]["sequence_devices"], 2)

    def test_a_models_clip_is_the_same_bits_whatever_was_served_before(self) -> None:
        ids = [model["id"] for model in self.models]
        wholes = {model: self.alone(model) for model in ids}
        self.assertEqual(len(set(wholes.values())), len(ids))
        self.assertEqual(wholes["open-sora-2"], self.start().make("plain", some_request()))
        for settings in ({}, TWO):
            with self.subTest(settings):
                runner = self.start(settings, models=self.models)
                for number, index in enumerate(
                    (0, 1, 0, 2, 1, 3, 2, 0, 3, 1) if settings == {} else (0, 1, 3, 0)
                ):
                    self.assertEqual(
                        self.clip(runner, f"v{number}", ids[index]),
                        wholes[ids[index]],
                        f"{number}: {ids[index]}",
                    )

    def test_a_switch_says_that_it_lasts_and_what_it_cost(self) -> None:
        for settings in ({"PLAIN_SWITCH_MS": "1500"}, {**TWO, "PLAIN_LOAD_MS": "1500"}):
            with self.subTest(settings):
                runner = self.start(settings, models=self.models)
                self.clip(runner, "first", "open-sora-2")
                self.assertNotIn("load", runner.reply("finished", "first")["timings"])
                self.clip(runner, "a", "ink")
                phases = [reply["phase"] for reply in runner.of("a") if reply["type"] == "progress"]
                self.assertEqual(phases[0], "load")
                self.assertGreaterEqual(phases.count("load"), 2)
                self.assertEqual("load" in phases[phases.count("load") :], False)
                self.assertGreaterEqual(runner.reply("finished", "a")["timings"]["load"], 1.5)
                self.clip(runner, "b", "ink")
                self.assertNotIn("load", runner.reply("finished", "b")["timings"])
                self.assertNotIn("load", [reply.get("phase") for reply in runner.of("b")])

    def test_one_rank_switches_in_its_place_and_several_start_again(self) -> None:
        one = self.start(models=self.models)
        before = one.ranks()
        self.clip(one, "a", "ink")
        self.assertEqual(one.ranks(), before)
        two = self.start(TWO, models=self.models)
        before = two.ranks()
        self.clip(two, "a", "ink")
        self.assertFalse(set(before) & set(two.ranks()))
        self.assertFalse([pid for pid in before if is_running(pid)])

    def test_a_model_that_is_not_served_is_refused_and_the_runner_goes_on(self) -> None:
        runner = self.start(models=self.models)
        runner.generate("a", some_request(model="sora-3"))
        failed = runner.reply("failed", "a")
        self.assertEqual((failed["code"], failed["retryable"]), ("model_missing", False))
        self.assertIn("this runner makes open-sora-2, studio tuned, ink, tuned ink", failed["message"])
        self.clip(runner, "b", "ink")

    def test_the_same_load_is_answered_again_and_another_is_refused(self) -> None:
        runner = self.start(models=self.models)
        self.clip(runner, "a", "ink")
        runner.send({"type": "load", "model": "open-sora-2", "models": self.models[:1]})
        self.assertIn("another load", runner.reply("failed")["message"])
        runner.send({"type": "load", "model": "open-sora-2", "models": self.models})
        runner.until(lambda: [reply["type"] for reply in runner.replies].count("ready") == 2, "second ready")


class Resuming(ModelsTest):
    def test_a_checkpoint_outlives_a_switch_in_between(self) -> None:
        whole = self.alone("ink")
        for settings in ({}, TWO):
            with self.subTest(settings):
                runner = self.start({**settings, "PLAIN_STEP_MS": "20"}, models=self.models)
                runner.generate("a", some_request(model="ink"))
                runner.at_step("a", 3)
                runner.send({"type": "yield", "id": "a"})
                left = runner.reply("yielded", "a")
                self.clip(runner, "b", "tuned ink")
                self.assertEqual(
                    self.clip(runner, "c", "ink", resume={"step": left["step"], "path": left["path"]}), whole
                )

    def test_other_weights_or_another_strength_under_the_same_id_void_it(self) -> None:
        runner = self.start({"PLAIN_STEP_MS": "20"}, models=self.models)
        runner.generate("a", some_request(model="ink"))
        runner.at_step("a", 3)
        runner.send({"type": "yield", "id": "a"})
        left = runner.reply("yielded", "a")
        resume = {"step": left["step"], "path": left["path"]}
        other = write_gain_lora(self.folder / "other.safetensors", 0.31, alpha=1.0)
        copied = shutil.copy(self.ink, self.folder / "copied.safetensors")
        for lora, fits in (
            ({"path": other, "strength": 0.8}, False),
            ({"path": self.ink, "strength": 0.7}, False),
            ({"path": str(copied), "strength": 0.8}, True),
        ):
            with self.subTest(lora):
                second = self.start(models=[{"id": "ink", "lora": lora}])
                second.generate("a", some_request(model="ink"), resume=resume)
                if fits:
                    second.reply("finished", "a")
                else:
                    failed = second.reply("failed", "a")
                    self.assertEqual(failed["code"], "bad_input")
                    self.assertIn("parameters differ", failed["message"])


class Wishes(ModelsTest):
    def test_a_cancel_or_yield_ends_a_switch_and_the_next_clip_is_whole(self) -> None:
        wholes = {model: self.alone(model) for model in ("open-sora-2", "ink", "studio tuned")}
        for settings in ({"PLAIN_SWITCH_MS": "2000"}, {**TWO, "PLAIN_LOAD_MS": "1000"}):
            runner = self.start(settings, models=self.models)
            for number, (wish, kind, after) in enumerate(
                (
                    ("cancel", "cancelled", "open-sora-2"),
                    ("yield", "yielded", "ink"),
                    ("cancel", "cancelled", "studio tuned"),
                )
            ):
                with self.subTest(settings, wish=wish):
                    video = f"v{number}"
                    runner.generate(video, some_request(model="studio tuned"))
                    runner.reply("progress", video, lambda reply: reply["phase"] == "load")
                    runner.send({"type": wish, "id": video})
                    self.assertEqual(runner.reply(kind, video), {"type": kind, "id": video, "step": 0})
                    self.assertEqual(self.clip(runner, f"after-{number}", after), wholes[after])

    def test_a_yield_in_a_switch_keeps_the_steps_it_came_with(self) -> None:
        whole = self.alone("ink")
        for settings in ({"PLAIN_SWITCH_MS": "1000"}, {**TWO, "PLAIN_LOAD_MS": "700"}):
            with self.subTest(settings):
                runner = self.start(
                    {**settings, "PLAIN_STEP_MS": "20"}, models=[self.models[2], self.models[0]]
                )
                runner.generate("a", some_request(model="ink"))
                runner.at_step("a", 3)
                runner.send({"type": "yield", "id": "a"})
                left = runner.reply("yielded", "a")
                self.clip(runner, "b", "open-sora-2")
                runner.generate(
                    "c", some_request(model="ink"), resume={"step": left["step"], "path": left["path"]}
                )
                runner.reply("progress", "c", lambda reply: reply["phase"] == "load")
                runner.send({"type": "yield", "id": "c"})
                self.assertEqual(
                    runner.reply("yielded", "c"), {"type": "yielded", "id": "c", "step": left["step"]}
                )
                self.assertEqual(
                    self.clip(runner, "d", "ink", resume={"step": left["step"], "path": left["path"]}), whole
                )


class Failing(ModelsTest):
    def failure_at_load(
        self, models: list[dict[str, Any]], model: str = "open-sora-2", settings: dict[str, str] | None = None
    ) -> dict[str, Any]:
        runner = self.start(settings, load=False)
        runner.send({"type": "load", "model": model, "models": models})
        failed = runner.reply("failed")
        self.assertEqual(("id" in failed, failed["retryable"]), (False, False))
        # It can still load what is there.
        runner.load("open-sora-2", self.models)
        return failed

    def test_a_file_that_is_missing_or_does_not_fit_is_reported_at_load_with_its_model_and_path(self) -> None:
        cut = self.folder / "cut.safetensors"
        cut.write_bytes(Path(self.tuned).read_bytes()[:-1])
        text = self.folder / "text.safetensors"
        text.write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
        short = write_gain(self.folder / "short.safetensors", 1, length=239)
        extra = write_weights(
            self.folder / "extra.safetensors", {"gain.weight": ((240, 1), [1.0] * 240), "bias": ((1,), [1.0])}
        )
        lacking = write_weights(self.folder / "lacking.safetensors", {})
        wide = write_gain_lora(self.folder / "wide.safetensors", 1, length=241)
        nowhere = str(self.folder / "nowhere.safetensors")
        for weights, said in (
            ({"checkpoint": nowhere}, f"model 'bad': checkpoint: there is no file at {nowhere}"),
            ({"lora": {"path": nowhere, "strength": 1}}, f"model 'bad': lora: there is no file at {nowhere}"),
            ({"checkpoint": str(cut)}, f"model 'bad': checkpoint: {cut}: cut.safetensors has "),
            ({"checkpoint": str(text)}, "is no safetensors file"),
            ({"checkpoint": short}, "gain.weight is [239, 1]; allowed is [240, 1]"),
            ({"checkpoint": extra}, "bias is no tensor of the network"),
            ({"checkpoint": lacking}, "it lacks gain.weight"),
            ({"lora": {"path": self.tuned, "strength": 1}}, "gain.weight is no name of a LoRA"),
            (
                {"lora": {"path": wide, "strength": 1}},
                "is [241, 1]; allowed is [240, 1], the shape of gain.weight",
            ),
        ):
            with self.subTest(said):
                failed = self.failure_at_load([self.models[0], {"id": "bad", **weights}])
                self.assertEqual(failed["code"], "model_missing")
                self.assertIn(said, failed["message"])
        self.failure_at_load([self.models[0], {"id": "bad", "checkpoint": nowhere}], settings=TWO)

    def test_a_load_that_is_not_understood_is_answered(self) -> None:
        failed = self.failure_at_load(self.models, model="sora-3")
        self.assertEqual(failed["code"], "bad_input")
        self.assertIn('model is "sora-3"; allowed is one of models: open-sora-2', failed["message"])

    def test_a_failed_switch_leaves_the_runner_usable(self) -> None:
        wholes = {model: self.alone(model) for model in ("open-sora-2", "ink")}
        for settings in ({"PLAIN_SWITCH_FAILS": "studio tuned"}, {**TWO, "PLAIN_LOAD_FAILS": "studio tuned"}):
            with self.subTest(settings):
                runner = self.start(settings, models=self.models)
                for number, after in enumerate(("open-sora-2", "ink", "ink")):
                    runner.generate(f"v{number}", some_request(model="studio tuned"))
                    code = "model_missing" if "PLAIN_LOAD_FAILS" in settings else "internal"
                    self.assertEqual(runner.reply("failed", f"v{number}")["code"], code)
                    # Half a switch is not taken for a whole one.
                    runner.generate(f"again-{number}", some_request(model="studio tuned"))
                    self.assertEqual(runner.reply("failed", f"again-{number}")["code"], code)
                    self.assertEqual(self.clip(runner, f"after-{number}", after), wholes[after])

    def test_a_file_that_vanished_or_was_replaced_fails_its_model_alone(self) -> None:
        whole = self.alone("open-sora-2")
        tuned = Path(self.tuned).read_bytes()
        for settings in ({}, TWO):
            with self.subTest(settings):
                runner = self.start(settings, models=self.models)
                os.remove(self.tuned)
                runner.generate("a", some_request(model="studio tuned"))
                failed = runner.reply("failed", "a")
                self.assertEqual(failed["code"], "model_missing")
                self.assertIn(
                    f"model 'studio tuned': checkpoint: there is no file at {self.tuned}", failed["message"]
                )
                self.assertEqual(self.clip(runner, "b", "open-sora-2"), whole)
                write_gain(Path(self.tuned), 0.5)
                runner.generate("c", some_request(model="studio tuned"))
                failed = runner.reply("failed", "c")
                self.assertEqual(failed["code"], "model_missing")
                self.assertRegex(
                    failed["message"], "model 'studio tuned'.* replaced since this runner loaded"
                )
                self.assertEqual(self.clip(runner, "d", "open-sora-2"), whole)
                Path(self.tuned).write_bytes(tuned)

    def test_a_rank_that_dies_in_a_switch_is_device_lost(self) -> None:
        runner = self.start({"PLAIN_SWITCH_DIES": "ink"}, models=self.models)
        runner.generate("a", some_request(model="ink"))
        failed = runner.reply("failed", "a")
        self.assertEqual((failed["code"], failed["retryable"]), ("device_lost", True))
        two = self.start({**TWO, "PLAIN_LOAD_MS": "1000"}, models=self.models)
        first = two.ranks()
        two.generate("a", some_request(model="ink"))
        two.until(lambda: two.errors.count("rank(s) load") == 2, "second start")
        os.kill(two.ranks()[1], signal.SIGKILL)
        self.assertEqual(two.reply("failed", "a")["code"], "device_lost")
        self.assertFalse([pid for pid in (*first, *two.ranks()) if is_running(pid)])
        two.generate("b", some_request())
        self.assertEqual(two.reply("failed", "b")["code"], "device_lost")

    def test_memory_that_runs_out_in_a_switch_is_reported_and_freed(self) -> None:
        runner = self.start({"PLAIN_SWITCH_OUT_OF_MEMORY": "ink"}, models=self.models)
        (rank,) = runner.ranks()
        runner.generate("a", some_request(model="ink"))
        self.assertEqual(runner.reply("failed", "a")["code"], "out_of_memory")
        self.assertFalse(is_running(rank))

    def test_a_second_try_with_offload_is_with_the_videos_own_model(self) -> None:
        whole = self.alone("ink")
        settings = {"PLAIN_OUT_OF_MEMORY_AT": "3", "PLAIN_OFFLOAD_HELPS": "1", "OPENSORA_OFFLOAD": "retry"}
        runner = self.start(settings, models=self.models)
        self.assertEqual(self.clip(runner, "a", "ink"), whole)
        self.assertEqual(self.clip(runner, "b", "open-sora-2"), self.alone("open-sora-2"))
