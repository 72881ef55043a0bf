"""The parts of Open-Sora by themselves: steps by their number of branches, text, encode, decode. Open-Sora's
way first, then each means of the runner switched on in turn."""

from __future__ import annotations

import argparse
import gc
import math as math_of_numbers
import os
import tempfile
import time
from dataclasses import dataclass
from typing import Any, Callable, Sequence

import torch
from kernel_times import profile
from measure import GIB, device_name, peak_tflops, synchronize, timed
from parts import DEVICE, HERE, IS_TINY, LACKING
from report import Report

# Only now: parts.py stands in for what they import.
from mmengine.config import Config
from opensora.models.hunyuan_vae import vae as vae_module
from opensora.models.hunyuan_vae.unet_causal_3d_blocks import CausalConv3d
from opensora.models.mmdit import math
from opensora.registry import MODELS, build_module
from opensora.utils.inference import prepare_inference_condition
from opensora.utils.sampling import get_noise, pack, prepare
from sluice_open_sora.attention_choice import FP8_KERNEL, KERNELS, choose_kernel
from sluice_open_sora.compile_choice import describe
from sluice_open_sora.guidance_branches import BRANCHES
from sluice_open_sora.open_sora.attention import Attend, Heads, find_kernel, put_in_place, try_kernels
from sluice_open_sora.open_sora.autoencoder_passes import CompiledNorms, replace_padding
from sluice_open_sora.open_sora.causal_mask import CausalMask
from sluice_open_sora.open_sora.compiled_blocks import CompiledBlocks, CompileFailure
from sluice_open_sora.open_sora.first_block_cache import FirstBlockCache
from sluice_open_sora.open_sora.frames_file import write_frames
from sluice_open_sora.open_sora.network import Network
from sluice_open_sora.open_sora.quantized_weights import quantize
from sluice_open_sora.precision import torchao_version
from sluice_open_sora.sold_sizes import SoldSize
from sluice_runner.model_weights import Precision
from sluice_runner.step_cache import StepCache

DTYPE = torch.bfloat16
STEPS = 50
# Steps by their branches: Open-Sora's way, and the runner's (docs/adr/0035).
THEIRS = {3: STEPS}
OURS_FROM_TEXT = {2: 30, 1: 20}
OURS_FROM_IMAGE = {3: 30, 1: 20}
TEXT_TOKENS = 512
# Weights that see each token, and width and number of the blocks: 19 double ones and 38 single ones.
WEIGHTS_PER_TOKEN, WIDTH, BLOCKS = 6.45e9, 3072, 57


@dataclass(frozen=True)
class Clip:
    name: str
    width: int
    height: int
    frames: int

    @property
    def tokens(self) -> int:
        return ((self.frames - 1) // 4 + 1) * (self.height // 16) * (self.width // 16)

    @property
    def is_slow(self) -> bool:
        return self.tokens > 20_000

    def __str__(self) -> str:
        return f"{self.name} {self.width}x{self.height}, {self.frames} frames"

    def tflop(self, branches: int) -> float:
        """Of one step of the full-size network."""
        length = self.tokens + TEXT_TOKENS
        return branches * (2 * WEIGHTS_PER_TOKEN * length + 4 * length**2 * WIDTH * BLOCKS) / 1e12


CLIPS = (
    (Clip("256px", 48, 32, 9), Clip("768px", 64, 64, 9))
    if IS_TINY
    else (Clip("256px", 336, 192, 129), Clip("768px", 1024, 576, 129))
)


THEIR_WAY = "Open-Sora's way"
OUR_DECODE = "and compiled norms"

# What a row is called, whose steps, and how many of each kind.
WAYS = (
    ("Open-Sora's way, from text or image", THEIR_WAY, THEIRS),
    ("branches needed, from text", "branches needed", OURS_FROM_TEXT),
    ("branches needed, from an image", "branches needed", OURS_FROM_IMAGE),
    ("and the fastest kernel, from text", "the fastest kernel", OURS_FROM_TEXT),
    ("and compiled blocks, from text", "compiled blocks", OURS_FROM_TEXT),
)
# In which the weights are kept, and for the first the sums made too.
PRECISIONS: tuple[Precision, ...] = ("fp8-sums", "fp8", "int8")


@dataclass
class Parts:
    network: Any
    autoencoder: Any
    t5: Any
    clip: Any


class ClipBench:
    """All rows of one size. Steps are given as what runs the branches of `rows`, places in the batch."""

    def __init__(self, report: Report, parts: Parts, clip: Clip, text_s: float) -> None:
        self._report = report
        self._text_s = text_s
        # The fastest here, once that is known.
        self._kernel: Attend | None = None
        self._parts = parts
        self._clip = clip
        self._noise = get_noise(
            1, clip.height, clip.width, (clip.frames - 1) // 4 + 1, DEVICE, DTYPE, 1, patch_size=2, channel=16
        )
        self._inputs = self._prepare()
        # Seconds of a step by what made it and its branches.
        self.seconds: dict[tuple[str, int], float] = {}
        self.decode_s: dict[str, float] = {}
        self.ways_in_8_bits: list[str] = []
        self._decoded: torch.Tensor | None = None

    def steps(self) -> None:
        """Ours first: of the long clip Open-Sora's way takes most of the time, and is the first left out."""
        # The first step compiles Open-Sora's timestep_embedding.
        if not self._clip.is_slow:
            self._call([0])
        theirs = math.flash_attn_func
        with self._report.part(f"{self._clip}: kernels"):
            self._kernel = self._kernels()
        if self._kernel is not None:
            with self._report.part(f"{self._clip}: compiled blocks"):
                self._compiled(self._kernel)
            put_in_place(self._kernel)
        with self._report.part(f"{self._clip}: step cache"):
            self._cached()
        put_in_place(theirs)
        self._step(THEIR_WAY, 3, self._call)
        for branches in (1, 2):
            self._step("branches needed", branches, self._call)
        self.seconds["branches needed", 3] = self.seconds.get((THEIR_WAY, 3), float("nan"))

    def in_8_bits(self, precision: Precision) -> None:
        """Steps of a network whose weights are so by now, with the kernel that was the fastest, and for sums
        in fp8 with attention in fp8 as well."""
        if self._kernel is None:
            return
        # Of the long clip a step of two takes as long as two of one.
        each = (1,) if self._clip.is_slow else (2, 1)
        ways: dict[str, Attend] = {precision: self._kernel}
        if precision == "fp8-sums":
            ways |= {f"{precision}, attention too": kernel for kernel in self._fp8_kernel()}
        for way, kernel in ways.items():
            put_in_place(kernel)
            for branches in each:
                if not self._clip.is_slow:
                    self._step(way, branches, self._call)
            self._compiled(kernel, f"{way}, compiled", each)
            self.ways_in_8_bits += [way, f"{way}, compiled"]

    def _fp8_kernel(self) -> list[Attend]:
        """Attention in fp8, where it is to be had."""
        what = f"{self._clip}: attention alone, {FP8_KERNEL}"
        (trial,) = try_kernels((FP8_KERNEL,), self._heads(), [self._clip.tokens + TEXT_TOKENS], DEVICE)
        milliseconds = [round(1000 * seconds, 2) for seconds in trial.seconds.values()]
        self._report.row(what, milliseconds=milliseconds[0] if milliseconds else None, found=trial.problem)
        return [] if trial.problem is not None else [find_kernel(FP8_KERNEL)]

    def _heads(self) -> Heads:
        network = self._parts.network
        return Heads(network.num_heads, network.hidden_size // network.num_heads, DTYPE)

    def choose_kernel(self) -> None:
        """Without a row: of a process that measures the weights in 8 bits alone."""
        trials = try_kernels(KERNELS, self._heads(), [self._clip.tokens + TEXT_TOKENS], DEVICE)
        self._kernel = find_kernel(choose_kernel(trials, "auto"))

    def _kernels(self) -> Attend:
        """Each attention kernel that works here, by itself, and then the fastest, which stays in place."""
        trials = try_kernels(KERNELS, self._heads(), [self._clip.tokens + TEXT_TOKENS], DEVICE)
        for trial in trials:
            what = f"{self._clip}: attention alone, {trial.kernel}"
            # It is timed on a GPU alone.
            milliseconds = [round(1000 * seconds, 2) for seconds in trial.seconds.values()]
            found = trial.problem or ("works" if milliseconds == [] else None)
            self._report.row(what, milliseconds=milliseconds[0] if milliseconds else None, found=found)
        name = choose_kernel(trials, "auto")
        self._report.row(f"{self._clip}: the fastest kernel, which what follows has", kernel=name)
        kernel = find_kernel(name)
        put_in_place(kernel)
        for branches in (2, 1):
            self._step("the fastest kernel", branches, self._call)
        return kernel

    def _compiled(
        self, kernel: Attend, way: str = "compiled blocks", each: Sequence[int] = (2, 1)
    ) -> None:
        """As the runner compiles them while it loads, and takes them back where that is not faster."""
        clip, what = self._clip, f"{self._clip}: {way}"
        # The programs of the first clip are those of the second too.
        if not self._report.has_time(what, 40 if DEVICE.type == "cuda" else 0):
            return
        size = SoldSize(clip.width, clip.height, clip.frames, clip.tokens)
        blocks = CompiledBlocks(self._parts.network, kernel, DEVICE, DTYPE)
        started_at = time.monotonic()
        try:
            compared = blocks.put_in_place([size])
        except CompileFailure as failure:
            self._report.row(what, not_compiled=str(failure))
            return
        took = round(time.monotonic() - started_at, 1)
        self._report.row(f"{what}, to compile and check", seconds=took, found=describe(compared))
        for branches in each:
            self._step(way, branches, self._call)
        self._profile(f"a step of 1, {way}", lambda: self._call([0]))
        blocks.take_back()

    def _cached(self) -> None:
        """A step in full, which fills the cache, and one that leaves out all it can."""
        step = 0
        cache = FirstBlockCache(StepCache(1e9), lambda: step)
        network = Network(self._parts.network, None, cache)

        def call(rows: list[int]) -> torch.Tensor:
            return network(branches=tuple(BRANCHES[row] for row in rows), **self._cut(rows))

        self._step("step cache, in full", 2, call)
        step = 1
        for branches in (2, 1):
            self._step("step cache, left out", branches, call)

    def other_phases(self) -> None:
        clip, autoencoder = self._clip, self._parts.autoencoder
        picture = torch.zeros((1, 3, 1, clip.height, clip.width), dtype=DTYPE, device=DEVICE)
        encode = timed(lambda: autoencoder.encode(picture))
        self._report.row(f"{clip}: encode an input image", **encode.as_row())
        for name, prepare, undo in self._ways_to_decode():
            if not self._report.has_time(f"{clip}: decode, {name}", 30 if clip.is_slow else 5):
                continue
            prepare()
            with self._report.part(f"{clip}: decode, {name}"):
                self._decode(name)
            undo()

    def _decode(self, name: str) -> None:
        made: list[torch.Tensor] = []

        def decode() -> None:
            made[:] = [self._parts.autoencoder.decode(self._noise)]

        timing = timed(decode, warm=0 if self._clip.is_slow else 1, runs=1)
        more: dict[str, Any] = {}
        if timing.seconds is not None:
            self.decode_s[name] = timing.seconds
            if self._decoded is None:
                self._decoded = made[0].cpu()
            else:
                more = compared(self._decoded, made[0].cpu())
        self._report.row(f"{self._clip}: decode, {name}", **timing.as_row(), **more)
        if not self._clip.is_slow and name == OUR_DECODE:
            self._profile(f"decode, {name}", decode)

    def _ways_to_decode(self) -> list[tuple[str, Callable[[], Any], Callable[[], Any]]]:
        """Each with what puts it in place and what takes it back."""
        theirs = vae_module.prepare_causal_attention_mask

        pads = CausalConv3d.forward
        norms = CompiledNorms(self._parts.autoencoder, DEVICE, DTYPE)

        def restore() -> None:
            vae_module.prepare_causal_attention_mask = theirs
            CausalConv3d.forward = pads
            norms.take_back()

        def padded() -> None:
            CausalMask().replace()
            replace_padding()

        def compiled() -> None:
            padded()
            started_at = time.monotonic()
            try:
                plain_s, compiled_s = norms.put_in_place()
            except CompileFailure as failure:
                self._report.row("compiled norms", not_compiled=str(failure))
                return
            took = round(time.monotonic() - started_at, 1)
            milliseconds = {"as_it_is_ms": 1000 * plain_s, "compiled_ms": 1000 * compiled_s}
            rounded = {name: round(value, 2) for name, value in milliseconds.items()}
            self._report.row("compiled norms, to compile and check", seconds=took, **rounded)

        return [
            (THEIR_WAY, lambda: None, restore),
            ("the mask made once", lambda: CausalMask().replace(), restore),
            ("and padding by copies", padded, restore),
            (OUR_DECODE, compiled, restore),
        ]

    def _profile(self, what: str, call: Callable[[], Any]) -> None:
        what = f"{self._clip}: where the time goes, {what}"
        if not self._report.has_time(what, 30 if self._clip.is_slow else 10):
            return
        with self._report.part(what):
            self._report.row(what, **profile(call, self._report.folder / "kernels.txt", what))

    def hand_over(self) -> None:
        """A decoded clip into the file that the encoder reads: the device idles meanwhile."""
        clip = self._clip
        shape = (3, clip.frames, clip.height, clip.width)
        pixels = torch.rand(shape, dtype=DTYPE, device=DEVICE) * 2 - 1
        path = os.path.join(tempfile.mkdtemp(), "frames.rgb")

        def in_one_piece() -> None:
            scaled = pixels.float().clamp_(-1, 1).add_(1).mul_(127.5).add_(0.5).clamp_(0, 255)
            frames = scaled.permute(1, 2, 3, 0).to(torch.uint8).contiguous().cpu()
            with open(path, "wb") as file:
                file.write(memoryview(frames.numpy()).cast("B"))

        ways = (("in one piece", in_one_piece), ("as the runner does", lambda: write_frames(path, pixels)))
        for name, call in ways:
            self._report.row(f"{clip}: frames to the encoder, {name}", **timed(call, runs=3).as_row())
            os.remove(path)

    def decode_beside_a_step(self) -> None:
        """Whether the next video's steps gain anything by beginning while this one is decoded."""
        if not self._report.has_time(f"{self._clip}: a decode beside a step", 30):
            return

        def decode() -> None:
            self._parts.autoencoder.decode(self._noise)

        def one_then_the_other() -> None:
            decode()
            self._call([0, 2])

        def at_once() -> None:
            other = torch.cuda.Stream()
            other.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(other):
                decode()
            self._call([0, 2])
            torch.cuda.current_stream().wait_stream(other)

        ways = [("a decode, then a step of 2", one_then_the_other)]
        if DEVICE.type == "cuda":
            ways.append(("a decode and a step of 2 at once, on two streams", at_once))
        theirs = vae_module.prepare_causal_attention_mask
        CausalMask().replace()
        for name, call in ways:
            self._report.row(f"{self._clip}: {name}", **timed(call).as_row())
        vae_module.prepare_causal_attention_mask = theirs

    def whole_clips(self, ways: Sequence[tuple[str, str, dict[int, int]]]) -> None:
        """Extrapolated: the measured seconds of a step of each kind, as often as a clip has it."""
        for name, way, steps in ways:
            seconds = [self.seconds.get((way, branches)) for branches in steps]
            if any(one is None for one in seconds):
                continue
            denoise = sum(one * times for one, times in zip(seconds, steps.values()) if one is not None)
            decode = THEIR_WAY if way == THEIR_WAY else OUR_DECODE
            whole = self._text_s + denoise + self.decode_s.get(decode, 0)
            self._report.row(
                f"{self._clip}: {STEPS} steps, {name}, extrapolated",
                steps_s=round(denoise, 1),
                whole_s=round(whole, 1),
                tokens_per_s=round(self._clip.tokens * STEPS / whole),
            )

    def fast_clips(self) -> None:
        """Extrapolated: what a step cache leaves out is its threshold's choice, which random weights do not
        tell."""
        ways = ("compiled blocks", "step cache, left out")
        kinds = ((branches, way) for way in ways for branches in (2, 1))
        known = [self.seconds.get((way, branches)) for branches, way in kinds]
        if any(one is None for one in known):
            return
        full_2, full_1, left_2, left_1 = (one or 0 for one in known)
        # Every fourth step is run in full, and those have two branches.
        often = 13 * full_2 + 17 * left_2 + 20 * left_1
        half = 15 * (full_2 + left_2) + 10 * (full_1 + left_1)
        for name, steps_s in (("half of the steps", half), ("every step that may be", often)):
            whole = self._text_s + steps_s + self.decode_s.get(OUR_DECODE, 0)
            self._report.row(
                f"{self._clip}: {STEPS} steps, open-sora-2-fast that leaves out {name}, extrapolated",
                steps_s=round(steps_s, 1),
                whole_s=round(whole, 1),
            )

    def _step(self, way: str, branches: int, call: Callable[[list[int]], Any]) -> None:
        what = f"{self._clip}: a step of {branches}, {way}"
        # As it would be at a third of an H100's peak.
        if not self._report.has_time(what, max(3, self._clip.tflop(branches) / 330)):
            return
        # Two branches are those of a video from text.
        rows = {3: [0, 1, 2], 2: [0, 2], 1: [0]}[branches]
        slow = self._clip.is_slow
        timing = timed(lambda: call(rows), warm=0 if slow else 1, runs=1 if slow else 3)
        more: dict[str, Any] = {}
        if timing.seconds is not None:
            self.seconds[way, branches] = timing.seconds
            more = {"tokens_per_s": round(self._clip.tokens / timing.seconds)}
            peak = peak_tflops()
            if not IS_TINY and "left out" not in way:
                tflops = self._clip.tflop(branches) / timing.seconds
                more["TFLOPs"] = round(tflops)
                more["of_the_peak"] = None if peak is None else f"{100 * tflops / peak:.0f} %"
        self._report.row(what, **timing.as_row(), **more)

    def _call(self, rows: list[int]) -> torch.Tensor:
        return self._parts.network(**self._cut(rows))

    def _cut(self, rows: list[int]) -> dict[str, torch.Tensor]:
        return {name: value[rows] for name, value in self._inputs.items()}

    def _prepare(self) -> dict[str, torch.Tensor]:
        inputs = prepare(
            self._parts.t5,
            self._parts.clip,
            self._noise,
            prompt=["a paper boat. 24 FPS. 4 motion score.", "", ""],
            patch_size=2,
        )
        masks, references = prepare_inference_condition(self._noise, "t2v", ref_list=[None], causal=True)
        condition = pack(torch.cat((masks, references), dim=1))
        inputs["cond"] = torch.cat([condition] * len(BRANCHES))
        for name, value in (("timesteps", 0.7), ("guidance", 7.5)):
            inputs[name] = torch.full((len(BRANCHES),), value, dtype=DTYPE, device=DEVICE)
        return inputs


def build_part(name: str) -> Any:
    config = Config.fromfile(str(HERE / "config.py"))
    return build_module(config[name], MODELS, device_map=DEVICE, torch_dtype=DTYPE)


def build_parts(report: Report) -> Parts:
    made = {}
    for name in ("model", "ae", "t5", "clip"):
        started_at = time.monotonic()
        made[name] = build_part(name)
        synchronize()
        count = sum(parameter.numel() for parameter in made[name].parameters())
        took = round(time.monotonic() - started_at, 1)
        report.row(f"random weights: {name}", seconds=took, parameters=f"{count / 1e9:.2f} B")
    return Parts(made["model"], made["ae"], made["t5"], made["clip"])


def measure_parts(report: Report, parts: Parts) -> list[ClipBench]:
    t5 = timed(lambda: parts.t5(["a paper boat", "", ""]))
    report.row("text: T5, 3 x 512", **t5.as_row())
    clip_text = timed(lambda: parts.clip(["a paper boat", "", ""]))
    report.row("text: CLIP, 3 x 77", **clip_text.as_row())
    benches = []
    for clip in CLIPS:
        bench = ClipBench(report, parts, clip, (t5.seconds or 0) + (clip_text.seconds or 0))
        for part in (bench.steps, bench.other_phases, bench.hand_over):
            with report.part(f"{clip}: {part.__name__}"):
                part()
        bench.whole_clips(WAYS)
        bench.fast_clips()
        benches.append(bench)
    with report.part("a decode beside a step"):
        benches[0].decode_beside_a_step()
    return benches


def compared(first: torch.Tensor, second: torch.Tensor) -> dict[str, Any]:
    """Two clips from -1 to 1."""
    if torch.equal(first, second):
        return {"same_bits": True}
    error = float((first.float().clamp(-1, 1) - second.float().clamp(-1, 1)).pow(2).mean())
    return {"same_bits": False, "PSNR_dB": round(10 * math_of_numbers.log10(4 / error), 1)}


def measure_8_bits(report: Report, parts: Parts, benches: list[ClipBench]) -> None:
    for precision in PRECISIONS:
        what = f"weights in {precision}"
        if precision != "fp8-sums" and torchao_version() is None:
            report.row(what, not_usable="torchao is not installed")
            continue
        if not report.has_time(what, 30 if DEVICE.type == "cuda" else 0):
            continue
        with report.part(what):
            # Before the next is made: both at once may not fit. Blocks and what was compiled of them hold
            # each other.
            parts.network = None
            gc.collect()
            parts.network = build_part("model")
            for block in (*parts.network.double_blocks, *parts.network.single_blocks):
                quantize(block, precision, DEVICE)
            gc.collect()
            if DEVICE.type == "cuda":
                torch.cuda.empty_cache()
                report.row(what, allocated_GiB=round(torch.cuda.memory_allocated() / GIB, 1))
            with torch.inference_mode():
                for bench in benches:
                    bench.in_8_bits(precision)
                    ways = bench.ways_in_8_bits
                    bench.whole_clips([(f"{way}, from text", way, OURS_FROM_TEXT) for way in ways])
                    bench.ways_in_8_bits = []


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--rows-of", choices=("parts", "8-bits"), required=True)
    given = parser.parse_args()
    # opensora.utils.sampling divides by it.
    os.environ["AE_SPATIAL_COMPRESSION"] = "16"
    torch.set_grad_enabled(False)
    report = Report(given.rows, given.seconds)
    report.row(
        "machine",
        device=device_name(),
        torch=torch.__version__,
        date=time.strftime("%Y-%m-%d", time.gmtime()),
        stood_in_for=" ".join(LACKING),
    )
    parts = build_parts(report)
    with torch.inference_mode():
        if given.rows_of == "parts":
            measure_parts(report, parts)
            return
        benches = [ClipBench(report, parts, clip, 0) for clip in CLIPS]
        for bench in benches:
            bench.choose_kernel()
    # Only the network is needed from here on.
    parts.autoencoder = parts.t5 = parts.clip = None
    measure_8_bits(report, parts, benches)


if __name__ == "__main__":
    main()
