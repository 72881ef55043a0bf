"""Guidance branches on several ranks (parallel_guidance.py): Open-Sora's real code, processes joined by gloo
on the CPU, tiny, with random weights. Needs OPENSORA_HOME and its libraries."""

from __future__ import annotations

import json
import math
import os
import tempfile
import unittest
from array import array
from pathlib import Path
from typing import Any

from runner_tests import spawned_runner
from sluice_runner.checkpoint import read_checkpoint
from tests.real_pipeline import RealPipeline, generation, write_png
from tests.spawned_runner import TESTS, RunnerTest, SpawnedRunner, some_request

# Up to four processes that import torch share the cores.
spawned_runner.WAIT_S_MAX = 240.0
# Of the latent's spread, as in test_guidance_branches.py: only the order of sums differs.
FLOAT_TOLERANCE = 1e-4
STEPS = 14
# What the first block of these random weights adds changes by 0.7 to 1.4 from step to step.
MODELS = [{"id": "open-sora-2"}, {"id": "fast", "step_cache": {"threshold": 0.9}}]


def environment(config: str, ranks: int, **more: str) -> dict[str, str]:
    return {
        "OPENSORA_HOME": os.environ.get("OPENSORA_HOME", ""),
        "OPENSORA_CONFIG": str(TESTS / config),
        "OPENSORA_DEVICE": "cpu",
        "OPENSORA_PARALLEL": "guidance",
        "CUDA_VISIBLE_DEVICES": ",".join(map(str, range(ranks))),
        "HF_HUB_OFFLINE": "1",
        "OMP_NUM_THREADS": "1",
        **more,
    }


def request(**changes: object) -> dict[str, Any]:
    # 27 video tokens: with the 512 of text no even number.
    return some_request(**{"num_steps": STEPS, "width": 48, "height": 48, **changes})


class Ranks(RunnerTest):
    def latent(self, runner: SpawnedRunner, video: str, asked: dict[str, Any], **more: Any) -> array[float]:
        """At the last step where it can be left; and keeps the clip as `self.clip`."""
        workdir = runner.generate(video, asked, **more)
        self.clip = Path(runner.reply("finished", video)["files"]["video"]).read_bytes()
        last = [reply for reply in runner.of(video) if reply["type"] == "checkpoint"][-1]
        every = 4 if asked["model"] == "fast" else 1
        self.assertEqual(last["step"], (asked["num_steps"] - 1) // every * every)
        kept = read_checkpoint(last["path"], parameters_of(last["path"]), asked["num_steps"])
        return array("f", kept.tensors["latent"].data)

    def runner(self, config: str, ranks: int, **more: str) -> SpawnedRunner:
        return self.start(environment(config, ranks, **more), pipeline=None, models=MODELS)

    def test_several_ranks_come_to_the_latents_of_one(self) -> None:
        for config, ranks in (("float_config.py", 2), ("float_four_heads_config.py", 4)):
            one, several = (
                self.runner(config, number, OPENSORA_CHECKPOINT_MS="1") for number in (1, ranks)
            )
            image = write_png(Path(one.folder) / "head.png", 80, 60, (255, 0, 0))
            head = [{"position": "head", "path": image}]
            ways = [("open-sora-2", "t2v", {}), ("open-sora-2", "i2v", {"references": head})]
            if ranks == 2:
                ways.append(("fast", "t2v", {}))
            for model, mode, more in ways:
                with self.subTest(model, mode=mode, ranks=ranks):
                    asked = request(model=model, mode=mode)
                    theirs = self.latent(one, f"{model}-{mode}", asked, **more)
                    clip = self.clip
                    ours = self.latent(several, f"{model}-{mode}", asked, **more)
                    spread = math.sqrt(sum(number**2 for number in theirs) / len(theirs))
                    apart = max(abs(a - b) for a, b in zip(ours, theirs, strict=True)) / spread
                    print(f"{model}, {mode}, {ranks} ranks, 32-bit floats: {apart:.1e} of the spread")
                    self.assertGreater(spread, 0.1)
                    self.assertLess(apart, FLOAT_TOLERANCE)
                    self.assertLessEqual(max(abs(a - b) for a, b in zip(self.clip, clip, strict=True)), 1)

    def test_two_ranks_with_a_branch_each_make_the_bits_of_one_that_runs_them_one_by_one(self) -> None:
        import torch

        threads = torch.get_num_threads()
        # As the ranks have it.
        torch.set_num_threads(1)
        self.addCleanup(torch.set_num_threads, threads)
        two = self.runner("tiny_config.py", 2)
        # Step 11 is the first with one branch alone; the decoder has two tiles, one for each rank.
        shape = {"num_steps": 5, "width": 336, "height": 192, "num_frames": 5}
        with tempfile.TemporaryDirectory() as folder:
            one = RealPipeline(folder)
            with one.one_row_at_a_time():
                theirs = one.make(generation(**shape))
        ours = two.make("a", some_request(**shape))
        self.assertGreater(len(set(ours)), 50)
        self.assertEqual(ours, theirs)

    def test_jobs_cancels_and_yields_reach_all_ranks_and_a_resumed_clip_is_bit_identical(self) -> None:
        two = self.runner("tiny_config.py", 2)
        self.assertNotIn("sequence_devices", two.replies[-1]["limits"])
        whole = two.make("whole", request())
        two.generate("cancelled", request(num_steps=100))
        two.at_step("cancelled", 3)
        two.send({"type": "cancel", "id": "cancelled"})
        self.assertLess(two.reply("cancelled", "cancelled")["step"], 100)
        for number, step in enumerate((1, 6, STEPS - 2)):
            two.generate(f"left-{number}", request())
            two.at_step(f"left-{number}", step)
            two.send({"type": "yield", "id": f"left-{number}"})
            left = two.reply("yielded", f"left-{number}")
            resume = {"step": left["step"], "path": left["path"]}
            self.assertEqual(two.make(f"resumed-{number}", request(), resume=resume), whole)

    def test_ranks_that_cannot_split_the_heads_are_refused_at_load(self) -> None:
        three = self.start(environment("tiny_config.py", 3), load=False, pipeline=None)
        three.send({"type": "load", "model": "open-sora-2"})
        failed = three.reply("failed")
        self.assertEqual(failed["code"], "model_missing")
        self.assertIn("allowed are 1, 2, since the network has 2 heads", failed["message"])


def parameters_of(path: str) -> str:
    """Which generation a checkpoint says it is of."""
    content = Path(path).read_bytes()
    length = int.from_bytes(content[:8], "little")
    return json.loads(content[8 : 8 + length])["__metadata__"]["parameters"]


if __name__ == "__main__":
    unittest.main()
