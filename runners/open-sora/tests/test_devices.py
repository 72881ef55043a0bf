"""Devices that fail, and several of them: by real rank processes that exchange their shards after every
step."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from tests.spawned_runner import RunnerTest, is_running, some_request

TWO = {"CUDA_VISIBLE_DEVICES": "0,1"}


class SeveralRanks(RunnerTest):
    def test_they_make_the_clip_one_makes(self) -> None:
        one, two = self.start(), self.start(TWO)
        self.assertEqual(len(two.ranks()), 2)
        self.assertEqual(two.reply("ready")["devices"], 2)
        self.assertEqual(two.make("a", some_request()), one.make("a", some_request()))
        # The most any rank used.
        self.assertEqual(two.reply("finished", "a")["peak_vram_bytes"], 1001)

    def test_cancel_and_yield_stop_all_at_the_same_step_and_the_next_video_works(self) -> None:
        runner = self.start({**TWO, "PLAIN_STEP_MS": "5"})
        request = some_request(num_steps=60)
        whole = self.start().make("whole", request)
        for number in range(4):
            runner.generate(f"c{number}", request)
            runner.at_step(f"c{number}", 3 + 5 * number)
            runner.send({"type": "cancel", "id": f"c{number}"})
            runner.reply("cancelled", f"c{number}")
            runner.generate(f"y{number}", request)
            runner.at_step(f"y{number}", 3 + 5 * number)
            runner.send({"type": "yield", "id": f"y{number}"})
            left = runner.reply("yielded", f"y{number}")
            self.assertEqual(
                runner.make(f"r{number}", request, resume={"step": left["step"], "path": left["path"]}), whole
            )

    def test_a_split_that_does_not_come_out_even_is_refused_before_the_start(self) -> None:
        runner = self.start({"CUDA_VISIBLE_DEVICES": "0,1,2"})
        runner.generate("a", some_request())
        failed = runner.reply("failed", "a")
        self.assertEqual((failed["code"], failed["retryable"]), ("bad_input", False))
        self.assertIn(
            "536 positions on 3 devices; allowed is a number of devices that divides it: 1, 2",
            failed["message"],
        )
        # 513 positions.
        runner.make("b", some_request(width=16, height=16, num_frames=1))

    def test_ranks_that_would_compute_differently_are_refused_at_load(self) -> None:
        runner = self.start({**TWO, "PLAIN_RANKS_DIFFER": "1"}, load=False)
        runner.send({"type": "load", "model": "open-sora-2"})
        failed = runner.reply("failed")
        self.assertEqual(failed["code"], "model_missing")
        self.assertRegex(failed["message"], "the ranks do not compute alike: rank 0: way .*; rank 1: way ")

    def test_a_dead_rank_is_device_lost_and_takes_its_group_along(self) -> None:
        for bad in ("0", "1"):
            with self.subTest(rank=bad):
                runner = self.start({**TWO, "PLAIN_DIES_AT": "4", "PLAIN_BAD_RANK": bad})
                ranks = runner.ranks()
                runner.generate("a", some_request())
                failed = runner.reply("failed", "a")
                self.assertEqual((failed["code"], failed["retryable"]), ("device_lost", True))
                self.assertFalse([pid for pid in ranks if is_running(pid)])
                # Until the worker starts a new runner.
                runner.generate("b", some_request())
                self.assertEqual(runner.reply("failed", "b")["code"], "device_lost")

    def test_an_error_on_one_rank_alone_hangs_nobody_and_the_group_is_started_again(self) -> None:
        runner = self.start({**TWO, "PLAIN_RAISES_AT": "4"})
        before = runner.ranks()
        runner.generate("a", some_request())
        self.assertEqual(runner.reply("failed", "a")["code"], "internal")
        runner.make("b", some_request(num_steps=3))
        self.assertFalse(set(before) & set(runner.ranks()))
        self.assertFalse([pid for pid in before if is_running(pid)])


class LostDevices(RunnerTest):
    def test_a_dead_rank_does_not_take_along_the_clip_that_is_encoded(self) -> None:
        runner = self.start({"PLAIN_FRAME_MS": "100", "PLAIN_DIES_AT": "4"})
        runner.generate("a", some_request(num_steps=2))
        runner.reply("released", "a")
        runner.generate("b", some_request())
        self.assertEqual(runner.reply("failed", "b")["code"], "device_lost")
        runner.reply("finished", "a")

    def test_a_lost_device_is_reported_and_its_process_ended(self) -> None:
        runner = self.start({"PLAIN_DEVICE_LOST_AT": "2"})
        (rank,) = runner.ranks()
        runner.generate("a", some_request())
        self.assertEqual(runner.reply("failed", "a")["code"], "device_lost")
        self.assertFalse(is_running(rank))

    def test_a_rank_that_dies_idle_ends_the_runner_so_that_a_new_one_is_started(self) -> None:
        runner = self.start()
        os.kill(runner.ranks()[0], signal.SIGKILL)
        self.assertEqual(runner.exit_code(), 1)

    def test_but_not_before_its_clips_are_encoded(self) -> None:
        runner = self.start({"PLAIN_FRAME_MS": "100"})
        runner.generate("a", some_request())
        runner.reply("released", "a")
        os.kill(runner.ranks()[0], signal.SIGKILL)
        self.assertEqual(runner.exit_code(), 1)
        runner.reply("finished", "a")

    def test_a_rank_that_dies_while_it_loads_is_reported(self) -> None:
        runner = self.start({"PLAIN_LOAD_MS": "600000"}, load=False)
        runner.send({"type": "load", "model": "open-sora-2"})
        runner.until(lambda: "rank(s) load" in runner.errors, "ranks")
        os.kill(runner.ranks()[0], signal.SIGKILL)
        failed = runner.reply("failed")
        self.assertEqual((failed["code"], "id" in failed), ("device_lost", False))


class Memory(RunnerTest):
    def test_without_offload_the_video_fails_and_the_memory_is_free_at_once(self) -> None:
        runner = self.start({"PLAIN_OUT_OF_MEMORY_AT": "3"})
        (rank,) = runner.ranks()
        runner.generate("a", some_request())
        failed = runner.reply("failed", "a")
        self.assertEqual((failed["code"], failed["retryable"]), ("out_of_memory", True))
        self.assertFalse(is_running(rank))

    def test_with_offload_the_video_is_tried_once_more_and_comes_out_the_same(self) -> None:
        whole = self.start().make("whole", some_request())
        settings = {"PLAIN_OUT_OF_MEMORY_AT": "3", "PLAIN_OFFLOAD_HELPS": "1", "OPENSORA_OFFLOAD": "retry"}
        for checkpoint_ms in ("1", "60000"):
            with self.subTest(checkpoint_ms=checkpoint_ms):
                runner = self.start(
                    {**settings, "OPENSORA_CHECKPOINT_MS": checkpoint_ms, "PLAIN_STEP_MS": "5"}
                )
                (rank,) = runner.ranks()
                self.assertEqual(runner.make("a", some_request()), whole)
                self.assertNotEqual(runner.ranks(), [rank])
                self.assertEqual(len([reply for reply in runner.of("a") if reply["type"] == "started"]), 1)
                # What the lost steps cost is not counted twice.
                self.assertEqual(runner.reply("finished", "a")["tokens"], 3 * 2 * 4 * 8)

    def test_offload_is_for_the_one_video_that_needed_it(self) -> None:
        settings = {"PLAIN_OUT_OF_MEMORY_AT": "3", "PLAIN_OFFLOAD_HELPS": "1", "OPENSORA_OFFLOAD": "retry"}
        runner = self.start(settings)
        runner.make("a", some_request())
        self.assertNotIn("load", runner.reply("finished", "a")["timings"])
        # Too short to run out of memory.
        runner.make("b", some_request(num_steps=3))
        starts = [line for line in runner.errors.splitlines() if "rank(s) load" in line]
        self.assertEqual(["with offload" in line for line in starts], [False, True, False])
        self.assertIn("load", runner.reply("finished", "b")["timings"])
        runner.make("c", some_request(num_steps=3))
        self.assertEqual(runner.errors.count("rank(s) load"), 3)

    def test_ranks_that_start_again_compute_as_the_first_ones_did_and_each_clip_says_how(self) -> None:
        settings = {"PLAIN_OUT_OF_MEMORY_AT": "3", "PLAIN_OFFLOAD_HELPS": "1", "OPENSORA_OFFLOAD": "retry"}
        runner = self.start(settings)
        uses = {"way": str(runner.ranks()[0])}
        self.assertEqual(runner.reply("ready")["uses"], uses)
        for video, steps in (("a", 8), ("b", 3)):
            runner.make(video, some_request(num_steps=steps))
            self.assertEqual(runner.reply("finished", video)["uses"], uses)
        self.assertEqual(runner.errors.count("rank(s) load"), 3)

    def test_a_model_that_does_not_fit_whole_is_loaded_with_offload_and_stays_so(self) -> None:
        runner = self.start({"PLAIN_LOAD_OUT_OF_MEMORY": "1", "OPENSORA_OFFLOAD": "retry"})
        whole = self.start().make("whole", some_request())
        self.assertEqual(runner.make("a", some_request()), whole)
        runner.make("b", some_request(num_steps=3))
        starts = [line for line in runner.errors.splitlines() if "rank(s) load" in line]
        self.assertEqual(["with offload" in line for line in starts], [False, True])

    def test_without_that_setting_or_on_several_devices_the_load_fails(self) -> None:
        for settings in ({}, {**TWO, "OPENSORA_OFFLOAD": "retry"}):
            with self.subTest(settings):
                runner = self.start({"PLAIN_LOAD_OUT_OF_MEMORY": "1", **settings}, load=False)
                runner.send({"type": "load", "model": "open-sora-2"})
                self.assertEqual(runner.reply("failed")["code"], "out_of_memory")

    def test_a_second_time_is_the_last(self) -> None:
        runner = self.start({"PLAIN_OUT_OF_MEMORY_AT": "3", "OPENSORA_OFFLOAD": "retry"})
        runner.generate("a", some_request())
        self.assertEqual(runner.reply("failed", "a")["code"], "out_of_memory")
        self.assertEqual(runner.errors.count("rank(s) load"), 2)

    def test_a_wish_is_granted_while_the_model_loads_again(self) -> None:
        settings = {
            "PLAIN_OUT_OF_MEMORY_AT": "3",
            "PLAIN_OFFLOAD_HELPS": "1",
            "OPENSORA_OFFLOAD": "retry",
            "OPENSORA_CHECKPOINT_MS": "1",
        }
        runner = self.start({**settings, "PLAIN_STEP_MS": "5", "PLAIN_LOAD_MS": "700"})
        runner.generate("a", some_request())
        runner.until(lambda: "with offload" in runner.errors, "second start")
        runner.send({"type": "yield", "id": "a"})
        left = runner.reply("yielded", "a")
        self.assertEqual(left["step"], 3)
        runner.generate("b", some_request(), resume={"step": left["step"], "path": left["path"]})
        whole = self.start().make("whole", some_request())
        self.assertEqual(Path(runner.reply("finished", "b")["files"]["video"]).read_bytes(), whole)
