"""The step cache (first_block_cache.py) on Open-Sora's real code, on a CPU, tiny, with random weights. Needs
OPENSORA_HOME and its libraries."""

from __future__ import annotations

import tempfile
import unittest
from typing import Any

from sluice_runner.model_weights import ModelWeights
from sluice_runner.step_cache import StepCache
from tests.real_pipeline import RealPipeline, RecordingGate, generation, images

# With these random weights what the first block adds changes by 0.7 to 1.4 from step to step.
MODELS = (
    ModelWeights("open-sora-2"),
    ModelWeights("never", step_cache=StepCache(1e-9)),
    ModelWeights("fast", step_cache=StepCache(0.9)),
    ModelWeights("always", step_cache=StepCache(1e9)),
)
STEPS = 18


class StepCaches(unittest.TestCase):
    """One network, by turns without a cache and with several."""

    @classmethod
    def setUpClass(cls) -> None:
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.folder = folder.name
        head = {"mode": "i2v"}, {"references": images(cls.folder)["head"]}
        cls.modes: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {"t2v": ({}, {}), "i2v": head}
        cls.real = RealPipeline(cls.folder, models=MODELS)
        cls.rows = {"first": 0, "others": 0}
        blocks = (("first", cls.real.model.double_blocks[0]), ("others", cls.real.model.single_blocks[-1]))
        for name, block in blocks:
            block.register_forward_pre_hook(lambda _module, inputs, name=name: cls.count(name, inputs))

    @classmethod
    def count(cls, name: str, inputs: Any) -> None:
        cls.rows[name] += len(inputs[0])

    def make(self, model: str, mode: str = "t2v", gate: Any = None, **more: Any) -> bytes:
        changes, references = self.modes[mode]
        steps = {"num_steps": more.pop("num_steps", STEPS)}
        self.rows.update(first=0, others=0)
        asked = generation(model=model, **steps, **changes)
        return self.real.make(asked, gate, **references, **more)

    def test_one_that_never_holds_makes_the_bits_of_the_exact_model(self) -> None:
        for mode in self.modes:
            with self.subTest(mode):
                exact = self.make("open-sora-2", mode)
                self.assertGreater(len(set(exact)), 50)
                self.assertEqual(self.make("never", mode), exact)
                self.assertEqual(self.rows["first"], self.rows["others"])

    def test_the_exact_model_is_not_touched_by_one_with_a_cache_beside_it(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            alone = RealPipeline(folder).make(generation(num_steps=STEPS))
        self.make("fast")
        self.assertEqual(self.make("open-sora-2"), alone)
        self.assertEqual(self.rows["first"], self.rows["others"])

    def test_every_branch_is_run_in_full_at_each_fourth_step_whatever_the_threshold(self) -> None:
        # Of 50 steps 13; at each of them all branches count.
        for mode, branches, ran in (("t2v", 80, 2 * 13), ("i2v", 110, 3 * 13)):
            with self.subTest(mode):
                self.make("always", mode, num_steps=50)
                self.assertEqual(self.rows, {"first": branches, "others": ran})

    def test_it_leaves_out_what_changed_little_and_only_that(self) -> None:
        exact = self.make("open-sora-2")
        all_of_them = self.rows["others"]
        fast = self.make("fast")
        print(f"t2v, {STEPS} steps, threshold 0.9: {self.rows['others']} of {all_of_them} branches in full")
        self.assertEqual(self.rows["first"], all_of_them)
        self.assertLess(self.rows["others"], all_of_them)
        self.assertGreater(self.rows["others"], 2 * (STEPS // 4))
        self.assertNotEqual(fast, exact)
        self.assertEqual(self.make("fast"), fast)

    def test_a_clip_left_at_any_step_is_resumed_from_the_full_step_before_to_the_same_bits(self) -> None:
        for mode in self.modes:
            gate = RecordingGate(self.folder)
            whole = self.make("fast", mode, gate)
            self.assertEqual(list(gate.checkpoints), list(range(4, STEPS)))
            for step, path in gate.checkpoints.items():
                if step % 4 in (0, 3):
                    with self.subTest(mode, step=step):
                        again = RecordingGate(self.folder)
                        self.assertEqual(self.make("fast", mode, again, resume=path), whole)
                        # It went on from the last full step, and reports from there.
                        went_on = [at for phase, at in again.signs if phase == "denoise"]
                        self.assertEqual(min(went_on), step - step % 4)

    def test_a_checkpoint_belongs_to_its_threshold(self) -> None:
        identities = self.real.loaded.identities
        self.assertEqual(len(set(identities.values())), len(MODELS))


if __name__ == "__main__":
    unittest.main()
