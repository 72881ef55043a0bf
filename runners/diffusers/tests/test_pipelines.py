"""Real pipelines with tiny random weights: a clip that was interrupted is the same bytes as one that was
not."""

from __future__ import annotations

import os
import unittest
from pathlib import Path
from typing import Any, Mapping

from PIL import Image

from sluice_runner.failure import RunnerFailure
from sluice_runner.pipeline import Stopped
from tests.pipelines import MODELS, STEPS, Pipelines, makes, model_of, request

# Each with the pipelines it is used with.
PIPELINES: Mapping[str, Mapping[str, str]] = {
    "wan-2.2-5b": {"t2v": "WanPipeline", "i2v": "WanImageToVideoPipeline"},
    "wan-2.1-1.3b": {"t2v": "WanPipeline"},
    "wan-2.2-14b": {"t2v": "WanPipeline"},
    "wan-2.2-14b-image": {"i2v": "WanImageToVideoPipeline"},
    "ltx-video": {"t2v": "LTXPipeline", "i2v": "LTXImageToVideoPipeline"},
    "ltx-2": {"t2v": "LTX2Pipeline", "i2v": "LTX2ImageToVideoPipeline"},
    "hunyuan-video": {"t2v": "HunyuanVideoPipeline"},
    "hunyuan-video-i2v": {"i2v": "HunyuanVideoImageToVideoPipeline"},
    "hunyuan-video-i2v-33ch": {"i2v": "HunyuanVideoImageToVideoPipeline"},
    "cogvideox-5b": {"t2v": "CogVideoXPipeline"},
    "cogvideox-ddim": {"t2v": "CogVideoXPipeline"},
    "cogvideox-image": {"i2v": "CogVideoXImageToVideoPipeline"},
    "mochi-1": {"t2v": "MochiPipeline"},
}
WITH_SOUND = ("ltx-2",)
# Where they differ from `request`.
CHANGES: Mapping[str, Mapping[str, Any]] = {"mochi-1": {"num_frames": 7}}


def image(name: str = "image.png", channels: tuple[int, int, int] = (0, 1, 2)) -> str:
    path = MODELS / name
    if not path.exists():
        made = Image.linear_gradient("L").resize((96, 80))
        parts = (made, made.rotate(90, expand=False), made.rotate(180))
        Image.merge("RGB", tuple(parts[channel] for channel in channels)).save(path)
    return str(path)


# Only these, for a shorter run by hand.
ONLY = os.environ.get("SLUICE_TINY_ONLY")


class EveryPipeline(unittest.TestCase):
    def test_a_clip_resumed_at_any_step_is_the_same_bytes(self) -> None:
        for name, pipelines in PIPELINES.items():
            if ONLY is not None and name not in ONLY.split(","):
                continue
            described = makes(list(pipelines), sound=name in WITH_SOUND)
            made_by = Pipelines([model_of(name, pipelines, makes=described)])
            self.addCleanup(made_by.close)
            for mode in pipelines:
                with self.subTest(name, mode=mode):
                    self.resumes(made_by, name, mode)

    def resumes(self, made_by: Pipelines, name: str, mode: str) -> None:
        asked = request(model=name, mode=mode, **CHANGES.get(name, {}))
        images = {"head": image()} if mode == "i2v" else {}
        whole, gate, rendered = made_by.make(made_by.job(asked, images))
        pixels = 64 * 32 * 3 * asked["num_frames"]
        self.assertEqual(len(whole) > pixels, name in WITH_SOUND)
        self.assertGreater(len(set(whole)), 16, "a clip of one colour shows nothing")
        self.assertEqual(set(rendered.timings), {"encode", "denoise", "decode"})
        self.assertEqual(gate.boundaries, list(range(STEPS + 1)))
        self.assertEqual(made_by.make(made_by.job(asked, images))[0], whole)
        other = made_by.make(made_by.job({**asked, "seed": 43}, images))[0]
        self.assertNotEqual(other, whole)
        for step in range(1, STEPS):
            resumed, after, _ = made_by.make(made_by.job(asked, images, gate.checkpoints[step]))
            self.assertEqual(after.boundaries, list(range(step, STEPS + 1)), step)
            self.assertTrue(resumed == whole, f"resumed at {step}")
            # And from a checkpoint that the resumed attempt took itself.
            if step == 2:
                again = made_by.make(made_by.job(asked, images, after.checkpoints[step + 1]))[0]
                self.assertTrue(again == whole, f"resumed at {step} and {step + 1}")
        for step in (0, 2, STEPS):
            with self.assertRaises(Stopped):
                made_by.make(made_by.job(asked, images), stop_at=step)
        self.assertTrue(made_by.make(made_by.job(asked, images))[0] == whole, "after three that were stopped")


class InputImages(unittest.TestCase):
    def test_a_clip_may_end_with_an_image_where_the_pipeline_has_a_place_for_it(self) -> None:
        both = {"head": image(), "tail": image()}
        name = "wan-2.2-14b-image"
        made_by = Pipelines([model_of(name, PIPELINES[name])])
        self.addCleanup(made_by.close)
        asked = request(model=name, mode="i2v", num_steps=2)
        loop = made_by.make(made_by.job(asked, both))[0]
        self.assertNotEqual(loop, made_by.make(made_by.job(asked, {"head": image()}))[0])
        head_only = Pipelines([model_of("wan-2.2-5b", PIPELINES["wan-2.2-5b"])])
        self.addCleanup(head_only.close)
        with self.assertRaisesRegex(RunnerFailure, "i2v_condition is loop; allowed is head"):
            head_only.make(head_only.job(request(mode="i2v"), both))

    def test_a_prompt_that_names_a_second_image_is_refused(self) -> None:
        name = "hunyuan-video-i2v"
        made_by = Pipelines([model_of(name, PIPELINES[name])])
        self.addCleanup(made_by.close)
        asked = request(model=name, mode="i2v", num_steps=1, prompt="an <image> of a boat")
        with self.assertRaisesRegex(RunnerFailure, "request.prompt has <image>") as raised:
            made_by.make(made_by.job(asked, {"head": image()}))
        self.assertEqual(raised.exception.code, "bad_input")
        # Its other marks are words like any others.
        marks = {**asked, "prompt": "<|end_header_id|> {} <|eot_id|>" * 60}
        made_by.make(made_by.job(marks, {"head": image()}))

    def test_a_prompt_and_an_image_both_count(self) -> None:
        for name in ("hunyuan-video-i2v", "hunyuan-video-i2v-33ch"):
            made_by = Pipelines([model_of(name, PIPELINES[name])])
            self.addCleanup(made_by.close)
            asked = request(model=name, mode="i2v", num_steps=2)
            clips = {
                made_by.make(made_by.job({**asked, "prompt": prompt}, {"head": picture}))[0]
                for prompt in ("a paper boat", "a paper goat")
                for picture in (image(), image("other.png", (1, 0, 2)))
            }
            self.assertEqual(len(clips), 4, name)


if __name__ == "__main__":
    unittest.main()
