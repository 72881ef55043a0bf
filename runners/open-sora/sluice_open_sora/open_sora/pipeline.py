"""Open-Sora 2.0 as a pipeline: loaded once, called in-process for every video."""

from __future__ import annotations

import os
import random
import sys
import tempfile
import traceback
from dataclasses import replace
from typing import Any, Callable

from sluice_runner.failure import RunnerFailure, classify
from sluice_runner.log import log
from sluice_runner.model_weights import ModelWeights, Precision
from sluice_runner.pipeline import Job, Loaded, Place, Readiness, Rendered, StepGate

from ..attention_choice import check_ring
from ..fast_model import FULL_STEP_EVERY, MODEL
from ..largest_clip import CLIP_SETTING, ENOUGH_BYTES, LargestClip, find_largest_clip
from ..precision import check_precisions
from ..served_model import ServedModel, open_models
from ..settings import read_settings, set_allocator, visible_home
from ..sold_sizes import SoldSize, sold_sizes
from .trial_clip import SilentGate, job_of_one_step

# The training clips' bounds: 129 frames, 768 x 768 pixels (README of commit d0cd5ac).
FRAMES_MAX = 129
PIXELS_MAX = 768 * 768
RESOLUTIONS = ("256px", "768px")


class OpenSoraPipeline:
    """Every rank calls the same with the same seed; rank 0 alone writes files."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._settings = read_settings(os.environ)
        # The Steps of the video in work.
        self._steps: Any = None
        self._served: dict[str, ServedModel] = {}
        self._causal_mask: Any = None
        # None while there is one model, whose weights stay.
        self._weights: Any = None
        # The ranks that share guidance branches (network.py); None where they do not.
        self._devices: Any = None
        # None until everything is loaded.
        self._residency: Any = None
        # None = as large as Open-Sora makes them.
        self._largest: LargestClip | None = None
        # How it computes (computing.py).
        self._computing: Any = None

    def load(self, model: str, models: tuple[ModelWeights, ...]) -> Loaded:
        if not models and model != MODEL:
            raise RunnerFailure("model_missing", f"model {model!r}; this runner makes {MODEL}")
        served = open_models(models) if models else (ServedModel(model),)
        self._served = {one.id: one for one in served}
        sys.path.insert(0, visible_home(self._settings))
        set_allocator(os.environ)
        import torch

        from sluice_runner.with_torch.device import find_device

        from .attention import stand_in_for_flash_attn
        from .computing import (
            LoadedNetwork,
            compile_ahead,
            settle_blocks,
            settle_computing,
            settle_norms,
        )
        from .configuration import check_heads, check_ranks, read_configuration, sequence_ranks
        from .network import Devices
        from .parallel_guidance import RankGroups, SplitAttention

        torch.set_grad_enabled(False)
        self._config = config = read_configuration(self._settings, self._place.ranks)
        shares_branches = self._place.ranks > 1 and self._settings.parallel == "guidance"
        (check_heads if shares_branches else check_ranks)(
            config, self._place.ranks, self._settings.device_variable
        )
        self._device = find_device(os.environ.get("OPENSORA_DEVICE") or "cuda")

        flash_attn_problem = stand_in_for_flash_attn()
        from opensora.utils.misc import to_torch_dtype

        ring = 1 if shares_branches else sequence_ranks(config, self._place.ranks)
        # Before the ranks join and read their weights.
        check_ring(ring, self._settings.attention, flash_attn_problem)
        boost = self._boosters() if self._place.ranks > 1 and not shares_branches else None
        check_precisions(models, boost is not None)
        groups = RankGroups(self._device) if shares_branches else None
        dtype = to_torch_dtype(config.get("dtype", "bf16"))
        video_model = self._make_parts(dtype, self._offload or self._served[model].precision is not None)
        precision = self._served[model].precision
        network = LoadedNetwork(video_model, self._device, dtype, self._place.ranks, ring, precision)
        sizes = sold_sizes(models)
        precisions = {one.precision for one in served}
        self._computing = settle_computing(network, self._settings, sizes, precisions)
        # Before the ranks split it: each still has every tensor whole.
        self._prepare_weights(video_model)
        self.use(model, lambda *_: None)
        if boost is not None:
            video_model, self._autoencoder = boost(video_model, self._autoencoder)
        # Around the kernel that is in place by now.
        self._devices = None if groups is None else Devices(groups, SplitAttention.replace())
        self._model = video_model
        self._place_parts(precision)
        self._residency.use("model")
        kept = precision or config.get("dtype", "bf16")
        computing = settle_blocks(self._computing.with_weights(kept), network, self._settings, sizes)
        self._computing = settle_norms(computing, self._autoencoder, network, self._settings)
        compile_ahead(network)
        self._watch()
        self._largest = self._largest_clip(model, sizes)
        return self._loaded(ring)

    def use(self, model: str, between: Callable[[int, int], None]) -> None:
        from sluice_runner.with_torch.device import synchronize

        if self._weights is not None:
            if self._residency is not None:
                self._residency.rest()
            self._weights.use(self._served[model], between)
            synchronize(self._device)

    @property
    def _offload(self) -> bool:
        return self._place.offload and self._place.ranks == 1

    def _make_parts(self, dtype: Any, on_host: bool) -> Any:
        """Returns the video model. `on_host`: nothing comes to the device yet."""
        import torch

        from opensora.utils.sampling import prepare_models

        from .undrawn import check_whole, undrawn_networks

        with undrawn_networks():
            parts = prepare_models(self._config, torch.device("cpu") if on_host else self._device, dtype)
        video_model, self._autoencoder, self._t5, self._clip, self._image_parts = parts
        if self._config.get("pretrained_lora_path") is None:
            check_whole(video_model, self._config["model"])
        return video_model

    def _place_parts(self, precision: Precision | None) -> None:
        """With `precision` they are still in the host's memory: the device may not hold the video model as it
        is."""
        import torch

        from .autoencoder_passes import replace_padding
        from .causal_mask import CausalMask
        from .fp8_linear import check_fp8_sums
        from .quantized_weights import quantize
        from .residency import Residency

        flux, flux_autoencoder = self._image_parts.get("img_flux"), self._image_parts.get("img_flux_ae")
        parts = {
            "text": [self._t5, self._clip],
            "model": [self._model],
            "autoencoder": [self._autoencoder],
            "image": [part for part in (flux, flux_autoencoder) if part is not None],
        }
        if precision == "fp8-sums":
            check_fp8_sums(self._device)
        if precision is not None:
            home = torch.device("cpu") if self._offload else self._device
            for block in blocks_of(self._model):
                quantize(block, precision, self._device)
                block.to(home)
            for part in (part for modules in parts.values() for part in modules):
                part.to(home)
        self._causal_mask = CausalMask()
        self._causal_mask.replace()
        replace_padding()
        self._residency = Residency(self._device, parts, self._offload)

    def _loaded(self, ring: int) -> Loaded:
        """`ring`: the devices that a sequence is split over."""
        from sluice_runner.with_torch.device import describe_device

        family, memory = describe_device(self._device)
        largest, uses, settled = self._largest, self._computing.uses, self._computing.settled
        if largest is not None:
            uses = {**uses, "largest clip": str(largest)}
            settled = {**settled, CLIP_SETTING: str(largest)}
        has_flux = self._image_parts.get("img_flux") is not None
        readiness = Readiness(
            device=family,
            devices=self._place.ranks,
            vram_bytes=memory,
            models=tuple(self._served),
            modes=("t2v", "t2i2v", "i2v") if has_flux else ("t2v", "i2v"),
            frames_max=FRAMES_MAX if largest is None else min(FRAMES_MAX, largest.frames),
            pixels_max=PIXELS_MAX if largest is None else min(PIXELS_MAX, largest.pixels_max),
            sequence_ranks=ring,
            uses=uses,
        )
        # What rounds differently: a checkpoint of one way is none of another.
        way = f" branches={self._settings.branches}"
        way += "" if self._devices is None else f" parallel=guidance/{self._place.ranks}"
        identities = {
            id: f"{served.identity} {self._computing.identity_of(served.precision)}{way}"
            for id, served in self._served.items()
        }
        return Loaded(readiness, identities, settled)

    def _largest_clip(self, model: str, sizes: tuple[SoldSize, ...]) -> LargestClip | None:
        """Tries clips on one device that is small for Open-Sora, unless a video that does not fit is made
        with offload anyway. Raises RunnerFailure."""
        from sluice_runner.with_torch.device import describe_device

        if self._settings.largest_clip is not None:
            return self._settings.largest_clip
        _, memory = describe_device(self._device)
        is_retried = self._settings.offload == "retry" and not self._offload
        if self._place.ranks > 1 or is_retried or not 0 < memory < ENOUGH_BYTES:
            return None
        return find_largest_clip(sizes, lambda size: self._short_of_memory(model, size))

    def _short_of_memory(self, model: str, size: SoldSize) -> str | None:
        """Makes a clip in one step, with all guidance branches: those from an image may need them. Returns
        what was short; None when it was made."""
        import torch

        settings = self._settings
        self._settings = replace(settings, branches="all")
        try:
            with tempfile.TemporaryDirectory() as folder:
                self.generate(job_of_one_step(model, size, folder), SilentGate())
            return None
        except RuntimeError as error:
            failure = classify(error)
            if failure.code != "out_of_memory":
                raise
            # Its frames hold the clip's tensors.
            traceback.clear_frames(error.__traceback__)
            log(f"a clip of {size.width}x{size.height}x{size.frames} does not fit: {failure.message}")
            return failure.message
        finally:
            self._settings = settings
            if self._device.type == "cuda":
                torch.cuda.empty_cache()

    def _watch(self) -> None:
        """A decode may take a minute, and so may a step: each layer and each block is a sign of life."""
        flux, flux_autoencoder = self._image_parts.get("img_flux"), self._image_parts.get("img_flux_ae")
        for autoencoder in (self._autoencoder, flux_autoencoder):
            for module in [] if autoencoder is None else autoencoder.modules():
                module.register_forward_pre_hook(lambda *_: self._steps.alive())
        for block in blocks_of(self._model):
            block.register_forward_pre_hook(lambda *_: self._steps.before_block())
        for block in [] if flux is None else blocks_of(flux):
            block.register_forward_pre_hook(lambda *_: self._steps.before_image_block())

    def _prepare_weights(self, video_model: Any) -> None:
        from .switched_weights import SwitchedWeights, base_file

        models = self._served.values()
        if all(served.is_base for served in models):
            return
        self._weights = SwitchedWeights(video_model, base_file(self._config), self._device)
        self._weights.check(models)

    def generate(self, job: Job, gate: StepGate) -> Rendered:
        import torch

        from sluice_runner.with_torch.device import reset_peak

        from .frames_file import write_frames
        from .parallel_decode import OthersPutTogether
        from .steps import Steps

        cache = self._served[job.generation.model].step_cache
        self._steps = Steps(job, gate, self._device, 1 if cache is None else FULL_STEP_EVERY)
        reset_peak(self._device)
        _seed_everything(job.generation.seed)
        try:
            with torch.inference_mode():
                clip = self._clip_of(job)
                if self._place.rank == 0:
                    write_frames(job.frames_path, clip)
            return self._rendered()
        except OthersPutTogether:
            return self._rendered()
        finally:
            self._causal_mask.forget()
            self._remove_scratch(job)

    def _rendered(self) -> Rendered:
        from sluice_runner.with_torch.device import peak_bytes

        return Rendered(self._steps.timings(), peak_bytes(self._device), uses=self._computing.uses)

    def _clip_of(self, job: Job) -> Any:
        """Returns [3, frames, height, width] from -1 to 1, on the device."""
        from opensora.utils.inference import add_fps_info_to_text, add_motion_score_to_text
        from opensora.utils.sampling import SamplingOption, prepare_api, sanitize_sampling_option

        from .parallel_decode import ParallelAutoencoder
        from .watched_parts import WatchedAutoencoder, WatchedModule

        generation, steps, config = job.generation, self._steps, self._config
        guidance = {
            name: value
            for name, value in (
                ("guidance", generation.guidance),
                ("guidance_img", generation.guidance_img),
            )
            if value is not None
        }
        option = sanitize_sampling_option(
            replace(
                SamplingOption(**config.sampling_option),
                resolution=None,
                aspect_ratio=None,
                width=generation.width,
                height=generation.height,
                num_frames=generation.num_frames,
                num_steps=generation.num_steps,
                seed=generation.seed,
                **guidance,
            )
        )
        decoding: Any = self._autoencoder
        if self._devices is not None:
            decoding = ParallelAutoencoder(decoding, self._devices.groups)
        t5 = WatchedModule(self._t5, self._residency, "text", steps.before_text)
        clip = WatchedModule(self._clip, self._residency, "text", steps.before_text)
        autoencoder = WatchedAutoencoder(
            decoding, self._residency, "autoencoder", steps.encode_reference, steps.before_decode
        )
        condition, references = self._condition(job, option, t5, clip)
        network = self._network(generation.model, option, condition)
        model = WatchedModule(network, self._residency, "model", steps.before_step)
        api = prepare_api(model, autoencoder, t5, clip, self._image_parts)
        # As Open-Sora's script does: "..., 24 FPS. 4 motion score."
        text = add_fps_info_to_text([generation.prompt], fps=generation.fps)
        if generation.motion_score is not None:
            text = add_motion_score_to_text(text, generation.motion_score)
        clip_pixels = api(
            option,
            condition,
            seed=generation.seed,
            text=text,
            neg=[generation.negative_prompt],
            patch_size=config.get("patch_size", 2),
            channel=config["model"]["in_channels"],
            **({} if references is None else {"ref": [references]}),
        )
        expected = (1, 3, generation.num_frames, option.height, option.width)
        if tuple(clip_pixels.shape) != expected:
            raise RunnerFailure(
                "internal", f"Open-Sora made a clip of shape {tuple(clip_pixels.shape)}; asked was {expected}"
            )
        return clip_pixels[0]

    def _network(self, model: str, option: Any, condition: str) -> Any:
        """Returns what runs the steps of one video of `model`."""
        from .first_block_cache import FirstBlockCache
        from .guided_model import GuidedModel, scales_of
        from .network import Network

        steps, step_cache = self._steps, self._served[model].step_cache
        cache = None if step_cache is None else FirstBlockCache(step_cache, lambda: steps.step)
        network = Network(self._model, self._devices, cache)
        if self._settings.branches == "all":
            return network
        return GuidedModel(network, scales_of(option, condition), lambda: steps.step)

    def _condition(self, job: Job, option: Any, t5: Any, clip: Any) -> tuple[str, str | None]:
        """Returns Open-Sora's cond_type, and the paths of the input images joined with semicolons."""
        mode = job.generation.mode
        if mode == "t2v":
            return "t2v", None
        if ";" in job.workdir:
            raise RunnerFailure(
                "internal",
                f"workdir {job.workdir!r} has a semicolon, which parts Open-Sora's reference paths",
            )
        if mode == "t2i2v":
            return "i2v_head", self._make_condition_image(job, option, t5, clip)
        paths = {}
        for reference in job.references:
            _check_image(reference.path)
            # Open-Sora knows an image by its name's ending; PIL, which reads it, by the content.
            link = self._scratch(job, f"reference-{reference.position}.png")
            os.symlink(os.path.abspath(reference.path), link)
            paths[reference.position] = link
        if len(paths) == 2:
            return "i2v_loop", f"{paths['head']};{paths['tail']}"
        return ("i2v_head", paths["head"]) if "head" in paths else ("i2v_tail", paths["tail"])

    def _make_condition_image(self, job: Job, option: Any, t5: Any, clip: Any) -> str:
        """Writes the first frame of mode t2i2v and returns its path.

        FLUX makes it, as in Open-Sora's script, unless the checkpoint has it."""
        from opensora.datasets import save_sample
        from opensora.datasets.aspect import get_image_size
        from opensora.datasets.utils import rescale_image_by_path
        from opensora.utils.inference import modify_option_to_t2i
        from opensora.utils.sampling import prepare_api

        from .watched_parts import WatchedAutoencoder, WatchedModule

        path = self._scratch(job, "condition.png")
        image = self._steps.stored_condition_image()
        if image is None:
            resolution, aspect = self._named_size(option.width, option.height)
            named = replace(option, resolution=resolution, aspect_ratio=aspect)
            image_resolution = self._config.get("img_resolution", "768px")
            image_option = modify_option_to_t2i(named, distilled=True, img_resolution=image_resolution)
            flux = WatchedModule(
                self._image_parts["img_flux"], self._residency, "image", self._steps.before_image_step
            )
            flux_autoencoder = WatchedAutoencoder(
                self._image_parts["img_flux_ae"],
                self._residency,
                "image",
                lambda pixels, encode: encode(pixels),
                lambda: None,
            )
            pixels = prepare_api(flux, flux_autoencoder, t5, clip, self._image_parts)(
                image_option,
                "t2v",
                seed=job.generation.seed,
                text=[job.generation.prompt],
                channel=self._config["img_flux"]["in_channels"],
            )
            save_sample(
                pixels[0].cpu(), save_path=path.removesuffix(".png"), fps=job.generation.fps, verbose=False
            )
            if image_resolution != resolution:
                # The script swaps width and height here too; the first frame is cropped to size later.
                height, width = get_image_size(resolution, aspect)
                rescale_image_by_path(path, width, height)
            with open(path, "rb") as file:
                image = file.read()
        else:
            with open(path, "wb") as file:
                file.write(image)
        self._steps.condition_image = image
        return path

    def _named_size(self, width: int, height: int) -> tuple[str, str]:
        """Returns the resolution and aspect ratio that Open-Sora calls a size by; mode t2i2v needs them.

        Raises RunnerFailure."""
        from opensora.datasets.aspect import get_aspect_ratios_dict, get_num_pexels_from_name

        for resolution in RESOLUTIONS:
            sizes = get_aspect_ratios_dict(get_num_pexels_from_name(resolution), training=False)
            # Three ratios have 336 x 192: the common ones come first.
            for aspect in sorted(sizes, key=lambda name: name not in ("16:9", "9:16")):
                table_height, table_width = (-(-side // 16) * 16 for side in sizes[aspect])
                if (table_width, table_height) == (width, height):
                    return resolution, aspect
        raise RunnerFailure(
            "bad_input",
            f"width x height is {width}x{height}; allowed with mode t2i2v is a size of Open-Sora's table",
        )

    def _boosters(self) -> Any:
        """Joins the ranks. Returns a function that makes model and autoencoder parallel."""
        from opensora.utils.cai import get_booster, init_inference_environment

        init_inference_environment()
        booster, autoencoder_booster = get_booster(self._config), get_booster(self._config, ae=True)

        def boost(model: Any, autoencoder: Any) -> tuple[Any, Any]:
            if booster is not None:
                model = booster.boost(model=model)[0].unwrap()
            if autoencoder_booster is not None:
                autoencoder = autoencoder_booster.boost(model=autoencoder)[0].unwrap()
            return model, autoencoder

        return boost

    def _scratch(self, job: Job, name: str) -> str:
        """Returns a path of this rank's own in the work folder, which is removed at the end."""
        folder = os.path.join(job.workdir, f"rank-{self._place.rank}")
        os.makedirs(folder, exist_ok=True)
        return os.path.join(folder, name)

    def _remove_scratch(self, job: Job) -> None:
        folder = os.path.join(job.workdir, f"rank-{self._place.rank}")
        if os.path.isdir(folder):
            for name in os.listdir(folder):
                os.remove(os.path.join(folder, name))
            os.rmdir(folder)


def blocks_of(transformer: Any) -> list[Any]:
    """Open-Sora's blocks, also of a network that a LoRA or parallelism wraps."""
    kinds = ("DoubleStreamBlock", "SingleStreamBlock")
    return [module for module in transformer.modules() if type(module).__name__ in kinds]


def _check_image(path: str) -> None:
    """Raises RunnerFailure `bad_input` for a file that PIL cannot read, which Open-Sora reads images with."""
    from PIL import Image

    try:
        with Image.open(path) as image:
            image.load()
    except Exception as error:
        raise RunnerFailure(
            "bad_input", f"references: {os.path.basename(path)} is no image: {error}"
        ) from None


def _seed_everything(seed: int) -> None:
    """Seeds the global generators: Open-Sora samples from them too, above all the autoencoder's posterior."""
    import numpy
    import torch

    random.seed(seed)
    numpy.random.seed(seed % 2**32)
    torch.manual_seed(seed)
