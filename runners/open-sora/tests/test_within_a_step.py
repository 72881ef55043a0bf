"""What is heard and said within a step, on Open-Sora's real code in this process.

Needs OPENSORA_HOME and its libraries."""

from __future__ import annotations

import tempfile
import unittest
from typing import Any

from sluice_runner.pipeline import Phase, Stopped
from tests.real_pipeline import RealPipeline, RecordingGate, generation

# Of tiny_config.py: double and single blocks.
BLOCKS = 4
STEPS = 3


class CancelWithin(RecordingGate):
    """Hears a cancel at one sign of life of the phase."""

    def __init__(self, phase: Phase, number: int) -> None:
        super().__init__()
        self._phase, self._number = phase, number

    def heed_cancel(self, step: int) -> None:
        if len([phase for phase, _ in self.signs if phase == self._phase]) == self._number:
            raise Stopped("cancel", step)


class WithinAStep(unittest.TestCase):
    real: RealPipeline
    # Blocks of the video model that ran to their end.
    blocks = 0

    @classmethod
    def setUpClass(cls) -> None:
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.real = RealPipeline(folder.name)
        for block in (*cls.real.model.double_blocks, *cls.real.model.single_blocks):
            block.register_forward_hook(cls._count)

    @classmethod
    def _count(cls, *_: Any) -> None:
        cls.blocks += 1

    def test_every_block_of_a_step_is_a_sign_of_life(self) -> None:
        gate = RecordingGate()
        self.real.make(generation(num_steps=STEPS), gate)
        steps = [step for phase, step in gate.signs if phase == "denoise"]
        self.assertEqual(steps, [step for step in range(STEPS) for _ in range(BLOCKS)])
        self.assertGreater(len([phase for phase, _ in gate.signs if phase == "decode"]), 20)

    def test_so_is_every_block_of_the_model_that_makes_the_first_image(self) -> None:
        asked = generation(mode="t2i2v", width=256, height=256, num_frames=5, num_steps=1)
        gate = RecordingGate()
        self.real.make(asked, gate)
        self.assertGreater(len([phase for phase, _ in gate.signs if phase == "encode"]), BLOCKS)

    def test_a_cancel_is_heard_at_the_next_block_and_the_next_clip_is_not_touched_by_it(self) -> None:
        asked = generation(num_steps=STEPS)
        whole = self.real.make(asked)
        for number in range(1, STEPS * BLOCKS + 1):
            before = WithinAStep.blocks
            with self.assertRaises(Stopped) as raised:
                self.real.make(asked, CancelWithin("denoise", number))
            self.assertEqual(raised.exception.step, (number - 1) // BLOCKS)
            self.assertEqual(WithinAStep.blocks - before, number - 1)
        self.assertEqual(self.real.make(asked), whole)

    def test_a_cancel_while_the_clip_is_decoded_is_heard_at_the_next_layer(self) -> None:
        asked = generation(num_steps=STEPS)
        whole = self.real.make(asked)
        gate = CancelWithin("decode", 5)
        with self.assertRaises(Stopped) as raised:
            self.real.make(asked, gate)
        self.assertEqual(raised.exception.step, STEPS)
        self.assertEqual(len([phase for phase, _ in gate.signs if phase == "decode"]), 5)
        self.assertEqual(self.real.make(asked), whole)


if __name__ == "__main__":
    unittest.main()
