"""A pipeline of the diffusers library as the shared part drives it: loaded once, called for every video."""

from __future__ import annotations

import inspect
import os
from typing import Any, Callable

from sluice_runner.failure import RunnerFailure
from sluice_runner.generation import Condition, Generation, Reference
from sluice_runner.model_weights import ModelWeights
from sluice_runner.pipeline import Job, Loaded, Place, Readiness, Rendered, Sound, StepGate

from ..served_model import ServedModel, open_models
from ..settings import read_settings


class DiffusersPipeline:
    """All models it is loaded with may be served; those of another folder are loaded by a process of their
    own (sluice_runner.models)."""

    def __init__(self, place: Place) -> None:
        self._offload = place.offload
        self._settings = read_settings(os.environ)
        self._served: dict[str, ServedModel] = {}
        # By mode; they share their components.
        self._pipelines: dict[str, Any] = {}
        # The model whose LoRA is in, or that has none.
        self._present: str | None = None
        # The mode whose pipeline the library's offload is set up for.
        self._placed: str | None = None
        # The Steps of the video in work.
        self._steps: Any = None

    def load(self, model: str, models: tuple[ModelWeights, ...]) -> Loaded:
        if not models:
            raise RunnerFailure("model_missing", f"model {model!r}: no catalogue says where its folder is")
        served = open_models(models)
        import torch

        from sluice_runner.with_torch.device import describe_device, find_device

        from .loading import check_class, load_pipelines, precision_of

        for one in served:
            check_class(one)
        torch.set_grad_enabled(False)
        self._device = find_device(self._settings.device)
        self._served = {one.id: one for one in served}
        self._pipelines = load_pipelines(self._served[model], self._settings)
        self._place(next(iter(self._pipelines)))
        self._watch_layers()
        self._try_loras(model)
        self.use(model, lambda *_: None)
        family, memory = describe_device(self._device)
        precision = precision_of(self._settings)
        readiness = Readiness(
            device=family,
            devices=1,
            vram_bytes=memory,
            models=tuple(self._served),
            modes=tuple({mode: None for one in served for mode in one.modes}),
            frames_max=max(one.weights.makes.frames.max for one in served),
            pixels_max=max(one.weights.makes.pixels_max for one in served),
        )
        return Loaded(readiness, {one.id: one.identity(precision) for one in served})

    def use(self, model: str, between: Callable[[int, int], None]) -> None:
        from sluice_runner.with_torch.device import synchronize

        from . import adapters

        if model == self._present:
            return
        between(0, 1)
        served, pipeline = self._served[model], next(iter(self._pipelines.values()))
        served.verify()
        self._present = None
        adapters.take_out(pipeline)
        adapters.put_in(pipeline, served)
        self._present = model
        synchronize(self._device)

    def generate(self, job: Job, gate: StepGate) -> Rendered:
        import torch

        from sluice_runner.with_torch.device import peak_bytes, reset_peak

        from .clip import write_frames
        from .steps import Steps

        generation, served = job.generation, self._served[job.generation.model]
        pipeline = self._pipelines[generation.mode]
        self._place(generation.mode)
        generator = torch.Generator(self._device).manual_seed(generation.seed)
        self._steps = steps = Steps(job, gate, served.family, generator)
        reset_peak(self._device)
        # Whatever draws from the generator that all share gets the same numbers too.
        torch.manual_seed(generation.seed)
        arguments = self._arguments(pipeline, generation)
        # A pipeline that expands timesteps by frame (Wan 2.2 5B) leaves a last image out without a word.
        is_head_only = bool(pipeline.config.get("expand_timesteps"))
        conditions: tuple[Condition, ...] = ("head",) if is_head_only else served.family.conditions
        arguments |= _images(conditions, generation, job.references)
        _check_prompt(served.family.image_word, generation)
        try:
            with torch.no_grad(), steps.watching(pipeline):
                made = pipeline(generator=generator, callback_on_step_end=steps.after_step, **arguments)
        finally:
            # With offload: a call that was stopped leaves a component on the device.
            pipeline.maybe_free_model_hooks()
        steps.check_count()
        write_frames(job.frames_path, made.frames[0], generation)
        sound = self._sound(served, pipeline, made, job.sound_path)
        return Rendered(steps.timings(), peak_bytes(self._device), sound)

    # Parts

    def _place(self, mode: str) -> None:
        from .loading import place

        if mode == self._placed or (self._placed is not None and not self._offload):
            self._pipelines[mode].set_progress_bar_config(disable=True)
            return
        place(self._pipelines[mode], self._settings, self._device, offload=self._offload)
        self._placed = mode

    def _watch_layers(self) -> None:
        """A text encoder or a decode may take a minute; each layer is a sign of life."""
        import torch

        def alive(*_: Any) -> None:
            if self._steps is not None:
                self._steps.alive()

        components = {
            id(component): component
            for pipeline in self._pipelines.values()
            for component in pipeline.components.values()
            if isinstance(component, torch.nn.Module)
        }
        for component in components.values():
            for module in component.modules():
                module.register_forward_pre_hook(alive)

    def _try_loras(self, model: str) -> None:
        """A LoRA that does not fit is known before the first video asks for it."""
        folder = self._served[model].folder.path
        for one in self._served.values():
            if one.folder.path == folder and one.id != model:
                self.use(one.id, lambda *_: None)

    def _arguments(self, pipeline: Any, generation: Generation) -> dict[str, Any]:
        """What of a generation the pipeline takes."""
        known = inspect.signature(type(pipeline).__call__).parameters
        given: dict[str, Any] = {
            "prompt": generation.prompt,
            "negative_prompt": generation.negative_prompt,
            "width": generation.width,
            "height": generation.height,
            "num_frames": generation.num_frames + _frames_left_out(pipeline),
            "frame_rate": generation.fps,
            "num_inference_steps": generation.num_steps,
            # 1 = no guidance: for a distilled model, which has none.
            "guidance_scale": 1.0 if generation.guidance is None else generation.guidance,
            "output_type": "pt",
        }
        return {name: value for name, value in given.items() if name in known}

    def _sound(self, served: ServedModel, pipeline: Any, made: Any, path: str) -> Sound | None:
        from .clip import write_sound

        if not served.weights.makes.sound:
            return None
        return write_sound(path, made.audio[0], pipeline.vocoder.config.output_sampling_rate)


def _check_prompt(image_word: str | None, generation: Generation) -> None:
    """Raises RunnerFailure where the text encoder would look for a second image."""
    if generation.mode == "i2v" and image_word is not None and image_word in generation.prompt:
        said = f"request.prompt has {image_word}, which stands for the input image with this model"
        raise RunnerFailure("bad_input", f"{said}; allowed is any other word")


def _frames_left_out(pipeline: Any) -> int:
    """How many frames at its start the pipeline decodes and leaves out of a clip: HunyuanVideo those of the
    image's own latent frame, where the image stands beside the noise."""
    # Wan may come without one of its two transformers.
    config = getattr(pipeline.transformer, "config", {})
    return 4 if config.get("image_condition_type") == "latent_concat" else 0


def _images(
    conditions: tuple[Condition, ...], generation: Generation, references: tuple[Reference, ...]
) -> dict[str, Any]:
    """The input images, cropped to the clip's shape. Raises RunnerFailure for what is no image, and for a
    place that the pipeline has none for."""
    if not references:
        return {}
    images = {reference.position: _image(reference.path, generation) for reference in references}
    condition = "loop" if len(images) == 2 else next(iter(images))
    if condition not in conditions:
        allowed = ", ".join(conditions)
        raise RunnerFailure("bad_input", f"request.i2v_condition is {condition}; allowed is {allowed}")
    return {"image": images["head"], **({"last_image": images["tail"]} if condition == "loop" else {})}


def _image(path: str, generation: Generation) -> Any:
    from PIL import Image, ImageOps

    try:
        with Image.open(path) as image:
            whole = ImageOps.exif_transpose(image).convert("RGB")
    except Exception as error:
        raise RunnerFailure(
            "bad_input", f"references: {os.path.basename(path)} is no image: {error}"
        ) from None
    return ImageOps.fit(whole, (generation.width, generation.height), Image.Resampling.LANCZOS)
