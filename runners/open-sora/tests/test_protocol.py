"""The protocol, by the real runner process and the plain pipeline."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
from pathlib import Path

from tests.spawned_runner import (
    PYTHON_FOLDERS,
    PLAIN_PIPELINE,
    RunnerTest,
    SpawnedRunner,
    is_running,
    some_request,
)

HOSTILE_PROMPTS = (
    '"1984", said Winston; 纸船 🚤',
    "1984",
    "a\u2028b\u2029c\x85d\re\tf",
    "'; DROP TABLE video; -- $(id) `id` %s {0} \\n",
    "x" * 20_000,
    "",
)


class OneVideo(RunnerTest):
    def test_replies_come_in_the_protocols_order(self) -> None:
        runner = self.start()
        runner.make("a", some_request())
        kinds = [(reply["type"], reply.get("phase")) for reply in runner.of("a")]
        collapsed = [kind for index, kind in enumerate(kinds) if index == 0 or kinds[index - 1] != kind]
        self.assertEqual(
            collapsed,
            [
                ("started", None),
                ("progress", "encode"),
                ("progress", "denoise"),
                ("released", None),
                ("progress", "mux"),
                ("finished", None),
            ],
        )
        steps = [reply["step"] for reply in runner.of("a") if reply.get("phase") == "denoise"]
        self.assertEqual(steps, list(range(1, 9)))

    def test_finished_says_what_was_made(self) -> None:
        runner = self.start()
        workdir = runner.generate("a", some_request(seed=7))
        finished = runner.reply("finished", "a")
        self.assertEqual(
            finished["files"],
            {
                name: f"{workdir}/{file}"
                for name, file in (
                    ("video", "video.mp4"),
                    ("thumbnail", "thumbnail.webp"),
                    ("spritesheet", "spritesheet.jpg"),
                )
            },
        )
        self.assertEqual(finished["tokens"], 3 * 2 * 4 * 8)
        self.assertEqual((finished["seed"], finished["peak_vram_bytes"]), (7, 1000))
        self.assertEqual(set(finished["timings"]), {"encode", "denoise", "decode", "mux"})
        self.assertEqual(sorted(os.listdir(workdir)), ["spritesheet.jpg", "thumbnail.webp", "video.mp4"])
        self.assertEqual(os.path.getsize(finished["files"]["video"]), 64 * 32 * 3 * 9)

    def test_the_same_request_gives_the_same_clip_and_another_seed_or_prompt_another(self) -> None:
        one, two = self.start(), self.start()
        first = one.make("a", some_request())
        self.assertEqual(two.make("a", some_request()), first)
        self.assertNotEqual(two.make("b", some_request(seed=43)), first)
        self.assertNotEqual(two.make("c", some_request(prompt="a paper boat in the snow")), first)

    def test_any_prompt_arrives_unchanged(self) -> None:
        runner = self.start()
        clips = {
            runner.make(f"v{number}", some_request(prompt=prompt))
            for number, prompt in enumerate(HOSTILE_PROMPTS)
        }
        self.assertEqual(len(clips), len(HOSTILE_PROMPTS))

    def test_the_next_video_runs_while_the_last_is_encoded(self) -> None:
        runner = self.start({"PLAIN_FRAME_MS": "100"})
        runner.generate("a", some_request())
        runner.reply("released", "a")
        runner.generate("b", some_request(seed=2))
        runner.reply("released", "b")
        kinds = [(reply.get("id"), reply["type"]) for reply in runner.replies]
        self.assertNotIn(("a", "finished"), kinds)
        runner.reply("finished", "a")
        runner.reply("finished", "b")

    def test_released_waits_while_too_many_clips_wait_to_be_encoded(self) -> None:
        runner = self.start({"PLAIN_FRAME_MS": "60"})
        for number in range(5):
            runner.generate(f"v{number}", some_request())
            runner.reply("released", f"v{number}")
        runner.generate("v5", some_request())
        runner.reply("finished", "v0")
        runner.reply("released", "v5")
        order = [
            (reply["type"], reply["id"])
            for reply in runner.replies
            if reply["type"] in ("released", "finished")
        ]
        self.assertLess([kind for kind, _ in order].index("finished"), order.index(("released", "v5")))

    def test_an_encoder_that_fails_fails_its_video_alone(self) -> None:
        runner = self.start({"PLAIN_ENCODER_FAILS": "1"})
        workdir = runner.generate("a", some_request())
        failed = runner.reply("failed", "a")
        self.assertEqual((failed["code"], failed["retryable"]), ("internal", True))
        self.assertNotIn("frames.rgb", os.listdir(workdir))
        runner.generate("b", some_request())
        runner.reply("released", "b")

    def test_an_error_of_the_pipeline_fails_its_video_alone(self) -> None:
        runner = self.start({"PLAIN_RAISES_AT": "3"})
        runner.generate("a", some_request())
        self.assertEqual(runner.reply("failed", "a")["code"], "internal")
        runner.make("b", some_request(num_steps=2))


class Wishes(RunnerTest):
    def test_a_cancel_stops_at_the_next_step(self) -> None:
        runner = self.start({"PLAIN_STEP_MS": "20"})
        runner.generate("a", some_request(num_steps=100))
        runner.at_step("a", 5)
        runner.send({"type": "cancel", "id": "a"})
        step = runner.reply("cancelled", "a")["step"]
        self.assertTrue(5 <= step < 100)
        self.assertEqual(max(reply["step"] for reply in runner.of("a") if reply["type"] == "progress"), step)
        runner.make("b", some_request())

    def test_a_step_gives_signs_of_life_and_a_cancel_is_heard_within_it(self) -> None:
        runner = self.start({"PLAIN_STEP_MS": "3600000"})
        runner.generate("a", some_request())

        def signs() -> bool:
            return len([reply for reply in runner.of("a") if reply.get("phase") == "denoise"]) >= 3

        runner.until(signs, "signs of life")
        runner.send({"type": "cancel", "id": "a"})
        self.assertEqual(runner.reply("cancelled", "a")["step"], 0)

    def test_a_cancel_or_yield_of_a_video_not_in_work_is_ignored(self) -> None:
        runner = self.start()
        runner.make("a", some_request())
        runner.send(
            {"type": "cancel", "id": "a"}, {"type": "yield", "id": "never"}, {"type": "cancel", "id": "b"}
        )
        runner.make("b", some_request())
        self.assertFalse(
            [reply for reply in runner.replies if reply["type"] in ("cancelled", "yielded", "failed")]
        )

    def test_a_yield_before_the_first_step_has_no_path(self) -> None:
        runner = self.start({"PLAIN_ENCODE_MS": "300"})
        runner.send(runner.order("a", some_request()), {"type": "yield", "id": "a"})
        self.assertEqual(runner.reply("yielded", "a"), {"type": "yielded", "id": "a", "step": 0})

    def test_a_cancel_overrules_a_yield_and_not_the_other_way_round(self) -> None:
        runner = self.start({"PLAIN_ENCODE_MS": "300"})
        runner.send(
            runner.order("a", some_request()), {"type": "yield", "id": "a"}, {"type": "cancel", "id": "a"}
        )
        runner.reply("cancelled", "a")
        runner.send(
            runner.order("b", some_request()), {"type": "cancel", "id": "b"}, {"type": "yield", "id": "b"}
        )
        runner.reply("cancelled", "b")

    def test_a_yield_in_the_last_step_lets_the_video_finish(self) -> None:
        runner = self.start({"PLAIN_STEP_MS": "300", "OPENSORA_CHECKPOINT_MS": "1"})
        runner.generate("a", some_request(num_steps=2))
        runner.at_step("a", 1)
        # The second and last step has begun.
        runner.reply("checkpoint", "a")
        runner.send({"type": "yield", "id": "a"})
        runner.reply("finished", "a")


class Resume(RunnerTest):
    def yielded(self, runner: SpawnedRunner, video: str, request: dict, step: int, **more: object) -> dict:
        runner.generate(video, request, **more)
        runner.at_step(video, step)
        runner.send({"type": "yield", "id": video})
        return runner.reply("yielded", video)

    def test_a_resumed_clip_is_bit_identical_to_an_uninterrupted_one_wherever_it_was_interrupted(
        self,
    ) -> None:
        whole = self.start().make("whole", some_request(num_steps=40))
        slow, fast = self.start({"PLAIN_STEP_MS": "15"}), self.start()
        for number, step in enumerate((1, 9, 20, 33)):
            left = self.yielded(slow, f"v{number}", some_request(num_steps=40), step)
            self.assertTrue(step <= left["step"] < 40)
            self.assertEqual(
                fast.make(
                    f"v{number}",
                    some_request(num_steps=40),
                    resume={"step": left["step"], "path": left["path"]},
                ),
                whole,
            )
            finished = fast.reply("finished", f"v{number}")
            self.assertEqual(finished["tokens"], 3 * 2 * 4 * (40 - left["step"]))
            self.assertEqual(
                [r["step"] for r in fast.of(f"v{number}") if r.get("phase") == "denoise"],
                list(range(left["step"] + 1, 41)),
            )

    def test_a_clip_interrupted_twice_ends_the_same(self) -> None:
        whole = self.start().make("whole", some_request(num_steps=40))
        slow = self.start({"PLAIN_STEP_MS": "15"})
        first = self.yielded(slow, "a", some_request(num_steps=40), 5)
        second = self.yielded(
            slow, "b", some_request(num_steps=40), 20, resume={"step": first["step"], "path": first["path"]}
        )
        self.assertEqual(
            slow.make(
                "c", some_request(num_steps=40), resume={"step": second["step"], "path": second["path"]}
            ),
            whole,
        )

    def test_a_killed_runners_last_checkpoint_is_whole(self) -> None:
        request = some_request(num_steps=60)
        whole = self.start().make("whole", request)
        runner = self.start({"PLAIN_STEP_MS": "15", "OPENSORA_CHECKPOINT_MS": "1"})
        runner.generate("a", request)
        runner.reply("checkpoint", "a", lambda reply: reply["step"] >= 10)
        os.killpg(runner.process.pid, signal.SIGKILL)
        runner.exit_code()
        runner.until(lambda: runner._open_streams == 0, "end")
        last = [reply for reply in runner.of("a") if reply["type"] == "checkpoint"][-1]
        self.assertEqual(
            self.start().make("a", request, resume={"step": last["step"], "path": last["path"]}), whole
        )

    def test_checkpoints_come_after_every_interval(self) -> None:
        runner = self.start({"PLAIN_STEP_MS": "10", "OPENSORA_CHECKPOINT_MS": "100"})
        runner.make("a", some_request(num_steps=60))
        steps = [reply["step"] for reply in runner.of("a") if reply["type"] == "checkpoint"]
        self.assertTrue(2 <= len(steps) <= 7, steps)
        self.assertEqual(steps, sorted(set(steps)))

    def test_a_checkpoint_of_another_generation_is_refused(self) -> None:
        runner = self.start({"PLAIN_STEP_MS": "10"})
        left = self.yielded(runner, "a", some_request(num_steps=40), 3)
        resume = {"step": left["step"], "path": left["path"]}
        for number, change in enumerate(({"seed": 43}, {"prompt": "b"}, {"num_steps": 41}, {"guidance": 7})):
            runner.generate(f"v{number}", some_request(**{"num_steps": 40, **change}), resume=resume)
            failed = runner.reply("failed", f"v{number}")
            self.assertEqual((failed["code"], failed["retryable"]), ("bad_input", False))
            self.assertIn("parameters differ", failed["message"])
            self.assertFalse([reply for reply in runner.of(f"v{number}") if reply["type"] == "started"])

    def test_a_missing_checkpoint_is_refused(self) -> None:
        runner = self.start()
        runner.generate("a", some_request(), resume={"step": 3, "path": "/nowhere/checkpoint"})
        self.assertEqual(runner.reply("failed", "a")["code"], "bad_input")

    def test_a_resume_at_step_zero_starts_from_the_beginning(self) -> None:
        runner = self.start()
        whole = runner.make("whole", some_request())
        self.assertEqual(runner.make("a", some_request(), resume={"step": 0, "path": ""}), whole)

    def test_the_images_belong_to_the_checkpoint(self) -> None:
        runner = self.start({"PLAIN_STEP_MS": "10"})
        image = Path(runner.folder) / "head.png"
        image.write_bytes(b"one")
        references = [{"position": "head", "path": str(image)}]
        request = some_request(num_steps=40, mode="i2v")
        whole = runner.make("whole", request, references=references)
        left = self.yielded(runner, "a", request, 3, references=references)
        resume = {"step": left["step"], "path": left["path"]}
        self.assertEqual(runner.make("b", request, references=references, resume=resume), whole)
        image.write_bytes(b"two")
        runner.generate("c", request, references=references, resume=resume)
        self.assertIn("parameters differ", runner.reply("failed", "c")["message"])


class Refusals(RunnerTest):
    def test_a_request_that_cannot_be_made_is_refused_by_field_and_the_runner_goes_on(self) -> None:
        runner = self.start()
        image = Path(runner.folder) / "image.png"
        image.write_bytes(b"image")
        head = {"position": "head", "path": str(image)}
        cases = (
            (some_request(width=50), {}, "width x height"),
            (some_request(width=1024, height=592), {}, "width x height"),
            (some_request(num_frames=133), {}, "num_frames"),
            (some_request(num_frames=100), {}, "num_frames"),
            (some_request(num_steps=101), {}, "num_steps"),
            (some_request(fps=121), {}, "fps"),
            (some_request(mode="t2i2v"), {}, "mode"),
            (some_request(mode="i2v"), {}, "references"),
            (some_request(), {"references": [head]}, "references"),
            (some_request(mode="i2v"), {"references": [head, head]}, "references"),
            (some_request(mode="i2v"), {"references": [{**head, "path": "/nowhere.png"}]}, "references"),
            (some_request(mode="i2v"), {"references": [{**head, "position": "middle"}]}, "references"),
            (some_request(), {"workdir": "/nowhere"}, "workdir"),
            (some_request(), {"workdir": "relative"}, "workdir"),
            (some_request(), {"resume": {"step": -1, "path": "x"}}, "resume"),
        )
        for number, (request, more, field) in enumerate(cases):
            runner.send({**runner.order(f"v{number}", request), **more})
            failed = runner.reply("failed", f"v{number}")
            self.assertEqual((failed["code"], failed["retryable"]), ("bad_input", False))
            self.assertIn(field, failed["message"])
        runner.make("after", some_request())

    def test_lines_that_are_no_requests_are_survived(self) -> None:
        runner = self.start()
        runner.send_bytes(b'\n\0\xff{\n[]\n[[[[\n{"type":"explode"}\n{"id":3}\n' + b"[" * 50_000 + b"\n")
        runner.send({"type": "generate", "id": "broken"})
        self.assertEqual(runner.reply("failed", "broken")["code"], "bad_input")
        runner.make("after", some_request())

    def test_a_broken_line_about_a_video_in_work_does_not_end_it(self) -> None:
        runner = self.start({"PLAIN_STEP_MS": "20"})
        runner.generate("a", some_request())
        runner.at_step("a", 1)
        runner.send({"type": "generate", "id": "a", "request": {}})
        runner.send(runner.order("a", some_request()))
        runner.reply("finished", "a")
        self.assertFalse([reply for reply in runner.of("a") if reply["type"] == "failed"])

    def test_a_second_video_before_released_is_refused_and_the_first_goes_on(self) -> None:
        runner = self.start({"PLAIN_STEP_MS": "20"})
        runner.send(runner.order("a", some_request()), runner.order("b", some_request()))
        self.assertIn("a is being generated", runner.reply("failed", "b")["message"])
        runner.reply("finished", "a")

    def test_nothing_is_generated_before_a_model_is_loaded(self) -> None:
        runner = self.start(load=False)
        runner.generate("a", some_request())
        self.assertEqual(runner.reply("failed", "a")["code"], "model_missing")


class Loading(RunnerTest):
    def test_a_model_that_is_not_there_is_reported_and_another_can_be_loaded(self) -> None:
        runner = self.start(load=False)
        runner.send({"type": "load", "model": "sora-3"})
        failed = runner.reply("failed")
        self.assertEqual(
            (failed["code"], failed["retryable"], "id" in failed), ("model_missing", False, False)
        )
        runner.load()
        runner.make("a", some_request())

    def test_missing_weights_are_reported_with_their_path(self) -> None:
        runner = self.start({"PLAIN_LOAD_RAISES": "ckpts/Open_Sora_v2.safetensors"}, load=False)
        runner.send({"type": "load", "model": "open-sora-2"})
        failed = runner.reply("failed")
        self.assertEqual(failed["code"], "model_missing")
        self.assertIn("ckpts/Open_Sora_v2.safetensors", failed["message"])

    def test_loading_is_not_silent(self) -> None:
        runner = self.start({"PLAIN_LOAD_MS": "1800"}, load=False)
        runner.send({"type": "load", "model": "open-sora-2"})
        self.assertEqual(
            (runner.reply("progress")["id"], runner.reply("progress")["phase"]), ("load", "load")
        )
        self.assertEqual(runner.reply("ready")["models"], ["open-sora-2"])

    def test_loading_is_given_up_after_its_bound(self) -> None:
        runner = self.start({"PLAIN_LOAD_MS": "600000", "OPENSORA_LOAD_MS_MAX": "700"}, load=False)
        runner.send({"type": "load", "model": "open-sora-2"})
        self.assertIn("700 ms", runner.reply("failed")["message"])

    def test_decoding_and_waiting_are_not_silent(self) -> None:
        runner = self.start({"PLAIN_DECODE_MS": "1800"})
        runner.make("a", some_request())
        self.assertGreaterEqual(len([reply for reply in runner.of("a") if reply.get("phase") == "decode"]), 2)


class Processes(RunnerTest):
    def test_the_end_of_stdin_ends_it_with_its_ranks_and_exit_code_0(self) -> None:
        runner = self.start({"PLAIN_STEP_MS": "50"})
        ranks = runner.ranks()
        runner.generate("a", some_request(num_steps=100))
        runner.at_step("a", 2)
        self.assertEqual(runner.close(), 0)
        self.assertFalse([pid for pid in ranks if is_running(pid)])

    def test_shutdown_ends_it_with_exit_code_0(self) -> None:
        runner = self.start()
        runner.send({"type": "shutdown"})
        self.assertEqual(runner.exit_code(), 0)

    def test_signals_to_the_whole_group_end_nothing(self) -> None:
        runner = self.start({"PLAIN_STEP_MS": "20", "PLAIN_FRAME_MS": "20"})
        runner.generate("a", some_request())
        runner.at_step("a", 2)
        os.killpg(runner.process.pid, signal.SIGINT)
        os.killpg(runner.process.pid, signal.SIGTERM)
        runner.reply("released", "a")
        os.killpg(runner.process.pid, signal.SIGINT)
        runner.reply("finished", "a")

    def test_a_killed_runner_leaves_no_rank_behind_even_one_that_hangs(self) -> None:
        runner = self.start({"PLAIN_HANGS_AT": "1"})
        (rank,) = runner.ranks()
        runner.generate("a", some_request())
        runner.at_step("a", 1)
        end_of_rank = os.pidfd_open(rank)
        self.addCleanup(os.close, end_of_rank)
        runner.process.kill()
        runner.exit_code()
        self.assertTrue(select.select([end_of_rank], [], [], 30)[0])
        self.assertFalse(is_running(rank))

    def test_it_ends_when_nobody_reads_its_replies(self) -> None:
        reading, writing = os.pipe()
        process = subprocess.Popen(
            [sys.executable, "-m", "sluice_open_sora", "--pipeline", PLAIN_PIPELINE],
            stdin=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={"PATH": os.environ["PATH"], "PYTHONPATH": PYTHON_FOLDERS},
            pass_fds=(3, writing),
            preexec_fn=lambda: os.dup2(writing, 3),
        )
        os.close(writing)
        os.close(reading)
        assert process.stdin is not None
        with process.stdin as stdin:
            stdin.write(json.dumps({"type": "load", "model": "open-sora-2"}).encode() + b"\n")
            stdin.flush()
            self.assertEqual(process.wait(30), 0)

    def test_a_start_that_cannot_work_says_why_and_exits_2(self) -> None:
        for environment, fd_3, said in (
            ({}, False, "file descriptor 3"),
            ({"OPENSORA_CHECKPOINT_MS": "soon"}, True, "OPENSORA_CHECKPOINT_MS"),
            ({}, True, "OPENSORA_HOME is not set"),
            ({"OPENSORA_HOME": "/nowhere"}, True, "OPENSORA_HOME"),
        ):
            reading, writing = os.pipe()
            with self.subTest(said):
                done = subprocess.run(
                    [sys.executable, "-m", "sluice_open_sora"],
                    stdin=subprocess.DEVNULL,
                    capture_output=True,
                    text=True,
                    env={"PATH": os.environ["PATH"], "PYTHONPATH": PYTHON_FOLDERS, **environment},
                    pass_fds=(3, writing) if fd_3 else (),
                    preexec_fn=(lambda: os.dup2(writing, 3)) if fd_3 else None,
                )
                self.assertEqual(done.returncode, 2)
                self.assertIn(said, done.stderr)
            os.close(reading)
            os.close(writing)
