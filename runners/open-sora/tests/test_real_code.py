"""Open-Sora's real code on the CPU, tiny and with random weights, through the real runner. Needs
OPENSORA_HOME and its libraries.

cpu_scaffolding.py stands in for the CUDA-only libraries and for the text encoders, whose tokenizers are
downloads.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import unittest
from pathlib import Path

from sluice_runner.rank_group import _free_port
from tests.real_pipeline import write_png
from tests.spawned_runner import TESTS, SpawnedRunner, RunnerTest, some_request

STEPS = 14
REAL = {
    "OPENSORA_HOME": os.environ.get("OPENSORA_HOME", ""),
    "OPENSORA_CONFIG": str(TESTS / "tiny_config.py"),
    "OPENSORA_DEVICE": "cpu",
    "OPENSORA_CHECKPOINT_MS": "600000",
    "HF_HUB_OFFLINE": "1",
    "OMP_NUM_THREADS": "1",
}


def request(**changes: object) -> dict:
    return some_request(**{"num_steps": STEPS, "width": 48, "height": 32, **changes})


class OpenSora(RunnerTest):
    """One warm runner for all tests: loading takes far longer than a tiny clip."""

    runner: SpawnedRunner
    videos = 0

    @classmethod
    def setUpClass(cls) -> None:
        if not REAL["OPENSORA_HOME"]:
            raise AssertionError(
                "OPENSORA_HOME is not set: it names a checkout of hpcaitech/Open-Sora, commit d0cd5ac"
            )
        cls.runner = SpawnedRunner(REAL, pipeline=None)
        cls.addClassCleanup(cls.runner.close)
        cls.runner.load()

    def name(self) -> str:
        OpenSora.videos += 1
        return f"video-{OpenSora.videos}"

    def make(self, asked: dict, **more: object) -> bytes:
        return self.runner.make(self.name(), asked, **more)

    def yield_at(self, asked: dict, step: int, **more: object) -> dict:
        """Yields at about that step; returns what to resume with."""
        video = self.name()
        self.runner.generate(video, asked, **more)
        if step > 0:
            self.runner.at_step(video, step)
        self.runner.send({"type": "yield", "id": video})
        left = self.runner.reply("yielded", video)
        return {"step": left["step"], "path": left["path"]}

    def image(self, name: str, colour: tuple[int, int, int]) -> str:
        return write_png(Path(self.runner.folder) / f"{self.name()}-{name}.png", 80, 60, colour)

    def test_a_clip_has_the_size_and_length_asked_for_and_is_the_same_each_time(self) -> None:
        first = self.make(request())
        self.assertEqual(len(first), 48 * 32 * 3 * 9)
        self.assertGreater(len(set(first)), 50)
        self.assertEqual(self.make(request()), first)
        self.assertEqual(len(self.make(request(num_frames=1, num_steps=2))), 48 * 32 * 3)

    def test_it_makes_what_open_soras_own_script_makes(self) -> None:
        path = Path(self.runner.folder) / "script.rgb"
        words = [
            "--save-dir",
            f"{self.runner.folder}/script",
            "--prompt",
            "a paper boat",
            "--sampling_option.seed",
            "42",
        ]
        done = subprocess.run(
            [
                sys.executable,
                str(TESTS / "run_script.py"),
                REAL["OPENSORA_CONFIG"],
                *words,
                "--num_frames",
                "5",
                "--num_steps",
                "3",
            ],
            env={
                **{
                    "PATH": os.environ["PATH"],
                    "OPENSORA_HOME": REAL["OPENSORA_HOME"],
                    "FRAMES_PATH": str(path),
                    "OMP_NUM_THREADS": "1",
                },
                **{
                    "RANK": "0",
                    "LOCAL_RANK": "0",
                    "WORLD_SIZE": "1",
                    "MASTER_ADDR": "127.0.0.1",
                    "MASTER_PORT": str(_free_port()),
                },
            },
            capture_output=True,
            text=True,
        )
        self.assertEqual(done.returncode, 0, done.stderr[-2000:])
        script = path.read_bytes()
        asked = request(prompt="a paper boat", width=336, height=192, num_frames=5, num_steps=3)
        ours = self.start({**REAL, "OPENSORA_GUIDANCE_BRANCHES": "all"}, pipeline=None).make("a", asked)
        self.assertEqual(len(ours), len(script))
        self.assertGreater(len(set(ours)), 50)
        # The script turns [-1, 1] into bytes in bf16, the runner in 32-bit floats: a rounding apart.
        self.assertLessEqual(max(abs(a - b) for a, b in zip(ours, script)), 1)

    def test_everything_asked_for_matters(self) -> None:
        changes = (
            {},
            {"seed": 43},
            {"prompt": "b"},
            {"negative_prompt": "b"},
            {"guidance": 3},
            {"motion_score": 5},
            {"fps": 12},
        )
        clips = [self.make(request(num_steps=4, **change)) for change in changes]
        self.assertEqual(len(set(clips)), len(clips))

    def test_hostile_prompts_arrive_unchanged(self) -> None:
        prompts = (
            'he said "1984", and left',
            "1984",
            "None",
            "a\u2028b\nc",
            "纸船 🚤",
            "'; $(id) `id` {x} %s",
            "x" * 5000,
        )
        clips = {self.make(request(num_steps=2, prompt=prompt)) for prompt in prompts}
        self.assertEqual(len(clips), len(prompts))

    def test_a_step_is_reported_for_every_forward_of_the_model(self) -> None:
        video = self.name()
        self.runner.make(video, request())
        steps = [reply["step"] for reply in self.runner.of(video) if reply.get("phase") == "denoise"]
        # Signs of life within a step name the one that came last.
        self.assertEqual(sorted(set(steps) - {0}), list(range(1, STEPS + 1)))
        self.assertEqual(steps, sorted(steps))
        self.assertEqual(self.runner.reply("finished", video)["tokens"], 3 * 2 * 3 * STEPS)

    def test_a_resumed_clip_is_bit_identical_at_every_step(self) -> None:
        whole = self.make(request())
        for step in (1, 5, 11, STEPS - 2):
            resume = self.yield_at(request(), step)
            self.assertTrue(step <= resume["step"] < STEPS)
            self.assertEqual(self.make(request(), resume=resume), whole, f"resumed at {resume['step']}")

    def test_a_new_process_resumes_bit_identically(self) -> None:
        whole = self.make(request())
        resume = self.yield_at(request(), 6)
        other = self.start(REAL, pipeline=None)
        self.assertEqual(other.make("a", request(), resume=resume), whole)

    def test_a_cancel_stops_at_a_step_and_the_next_clip_is_not_touched_by_it(self) -> None:
        whole = self.make(request())
        video = self.name()
        self.runner.generate(video, request(num_steps=100))
        self.runner.at_step(video, 3)
        self.runner.send({"type": "cancel", "id": video})
        self.assertTrue(3 <= self.runner.reply("cancelled", video)["step"] < 100)
        self.assertEqual(self.make(request()), whole)

    def test_images_bind_the_head_the_tail_or_both_and_resume_bit_identically(self) -> None:
        red, blue = self.image("red", (255, 0, 0)), self.image("blue", (0, 0, 255))
        head, tail = {"position": "head", "path": red}, {"position": "tail", "path": blue}
        wholes = []
        for references in ([head], [tail], [head, tail]):
            asked = request(mode="i2v")
            whole = self.make(asked, references=references)
            self.assertEqual(self.make(asked, references=references), whole)
            wholes.append(whole)
            for step in (1, 7):
                resume = self.yield_at(asked, step, references=references)
                self.assertEqual(self.make(asked, references=references, resume=resume), whole)
        self.assertEqual(len(set(wholes)), 3)
        self.assertNotEqual(self.make(request(mode="i2v"), references=[{**head, "path": blue}]), wholes[0])
        self.assertNotEqual(self.make(request(mode="i2v", guidance_img=1.5), references=[head]), wholes[0])

    def test_an_image_that_is_none_fails_its_video_alone(self) -> None:
        path = Path(self.runner.folder) / "no-image.png"
        path.write_bytes(b"no image")
        video = self.name()
        workdir = self.runner.generate(
            video, request(mode="i2v"), references=[{"position": "head", "path": str(path)}]
        )
        self.assertEqual(self.runner.reply("failed", video)["code"], "bad_input")
        self.assertEqual(os.listdir(workdir), [])
        self.make(request(num_steps=2))

    def test_a_first_image_is_made_by_the_image_model_and_kept_for_a_resume(self) -> None:
        asked = request(mode="t2i2v", width=256, height=256, num_frames=5, num_steps=6)
        whole = self.make(asked)
        self.assertNotEqual(self.make({**asked, "mode": "t2v"}), whole)
        resume = self.yield_at(asked, 2)
        self.assertEqual(self.make(asked, resume=resume), whole)

    def test_both_classes_of_resolution_are_made_in_every_mode(self) -> None:
        head = [{"position": "head", "path": self.image("head", (255, 128, 0))}]
        for width, height in ((336, 192), (768, 768)):
            clips = set()
            for mode, more in (("t2v", {}), ("t2i2v", {}), ("i2v", {"references": head})):
                asked = request(mode=mode, width=width, height=height, num_frames=5, num_steps=1)
                clips.add(self.make(asked, **more))
            self.assertEqual((len(clips), {len(clip) for clip in clips}), (3, {width * height * 3 * 5}))

    def test_a_size_without_a_name_is_refused_where_one_is_needed(self) -> None:
        video = self.name()
        self.runner.generate(video, request(mode="t2i2v"))
        self.assertEqual(self.runner.reply("failed", video)["code"], "bad_input")

    def test_the_runners_own_encoder_writes_what_was_asked_for(self) -> None:
        runner = self.start({**REAL, "OPENSORA_ENCODER_COMMAND": ""}, pipeline=None)
        runner.generate("a", request(num_steps=2, num_frames=13))
        files = runner.reply("finished", "a")["files"]
        import av
        from PIL import Image

        with av.open(files["video"]) as container:
            (stream,) = container.streams
            self.assertEqual(
                (stream.codec_context.name, stream.width, stream.height, stream.average_rate),
                ("h264", 48, 32, 24),
            )
            self.assertEqual((stream.frames, float(stream.duration * stream.time_base)), (13, 13 / 24))
            context = stream.codec_context
            self.assertEqual(
                (context.pix_fmt, context.colorspace, context.color_range, context.color_primaries),
                ("yuv420p", 1, 1, 1),
            )
            self.assertEqual(len(list(container.decode(stream))), 13)
        head = Path(files["video"]).read_bytes()
        self.assertLess(head.index(b"moov"), head.index(b"mdat"))
        with Image.open(files["thumbnail"]) as thumbnail, Image.open(files["spritesheet"]) as sheet:
            self.assertEqual((thumbnail.format, thumbnail.size), ("WEBP", (48, 32)))
            self.assertEqual((sheet.format, sheet.size), ("JPEG", (3 * 48, 4 * 32)))


class SeveralRanks(RunnerTest):
    """Two ranks joined by torch.distributed (gloo); without a GPU each does the whole work, so the clip is
    the same."""

    def test_they_stop_together_and_resume_bit_identically(self) -> None:
        one = self.start(REAL, pipeline=None)
        whole = one.make("whole", request())
        one.close()
        runner = self.start({**REAL, "CUDA_VISIBLE_DEVICES": "0,1"}, pipeline=None)
        self.assertEqual(runner.make("a", request()), whole)
        runner.generate("b", request())
        runner.at_step("b", 4)
        runner.send({"type": "cancel", "id": "b"})
        runner.reply("cancelled", "b")
        runner.generate("c", request())
        runner.at_step("c", 4)
        runner.send({"type": "yield", "id": "c"})
        left = runner.reply("yielded", "c")
        self.assertEqual(
            runner.make("d", request(), resume={"step": left["step"], "path": left["path"]}), whole
        )
        runner.generate("e", request())
        runner.at_step("e", 2)
        os.kill(runner.ranks()[1], signal.SIGKILL)
        self.assertEqual(runner.reply("failed", "e")["code"], "device_lost")


class Offload(RunnerTest):
    def test_it_makes_the_same_clip(self) -> None:
        """On a CPU nothing really moves; what is shown is that the way through works."""
        asked = request(mode="t2i2v", width=256, height=256, num_frames=5, num_steps=3)
        one = self.start(REAL, pipeline=None)
        whole = one.make("whole", asked)
        one.close()
        runner = self.start({**REAL, "OPENSORA_OFFLOAD": "always"}, pipeline=None)
        self.assertEqual(runner.make("a", asked), whole)


class OnTheDevice(unittest.TestCase):
    def test_devices_are_named_by_their_family(self) -> None:
        from sluice_runner.with_torch.device import device_family

        for name, family in (
            ("NVIDIA H100 80GB HBM3", "h100"),
            ("NVIDIA H200", "h200"),
            ("NVIDIA A100-SXM4-80GB", "a100"),
            ("NVIDIA GeForce RTX 4090", "rtx4090"),
            ("NVIDIA RTX A6000", "rtxa6000"),
            ("Tesla V100-SXM2-32GB", "v100"),
            ("NVIDIA L40S", "l40s"),
        ):
            self.assertEqual(device_family(name), family)


class Installation(RunnerTest):
    def test_missing_weights_are_named_and_nothing_is_downloaded(self) -> None:
        environment = {name: value for name, value in REAL.items() if name != "OPENSORA_CONFIG"}
        runner = self.start(environment, load=False, pipeline=None)
        runner.send({"type": "load", "model": "open-sora-2"})
        failed = runner.reply("failed")
        self.assertEqual(failed["code"], "model_missing")
        for part in (
            "Open_Sora_v2.safetensors",
            "hunyuan_vae.safetensors",
            "google/t5-v1_1-xxl",
            "openai/clip-vit-large-patch14",
        ):
            self.assertIn(part, failed["message"])

    def test_a_machine_without_a_gpu_is_reported(self) -> None:
        environment = {name: value for name, value in REAL.items() if name != "OPENSORA_DEVICE"}
        runner = self.start(environment, load=False, pipeline=None)
        runner.send({"type": "load", "model": "open-sora-2"})
        self.assertIn("no CUDA device", runner.reply("failed")["message"])


if __name__ == "__main__":
    sys.exit(0 if unittest.main(exit=False).result.wasSuccessful() else 1)
