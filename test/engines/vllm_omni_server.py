"""vLLM-Omni's own routes of /v1/videos and /v1/models, form parsing, jobs and storage, with an engine that
has no device: `python vllm_omni_server.py CLIP WORK_FOLDER`. vLLM itself is not installed; of it stand here
the three bodies of GET /v1/models (vllm/entrypoints/serve/engine/protocol.py)."""

from __future__ import annotations

import os
import sys
from types import SimpleNamespace
from typing import TypedDict

from stand_ins import stand_in_for

os.environ["VLLM_OMNI_SERVER_STORAGE__PATH"] = sys.argv[2]
OPENAI = "vllm_omni.entrypoints.openai"
stand_in_for(
    "torch",
    "uvloop",
    "vllm",
    "vllm_omni",
    real=(
        f"{OPENAI}.api_server",
        f"{OPENAI}.app_state",
        f"{OPENAI}.errors",
        f"{OPENAI}.image_api_utils",
        f"{OPENAI}.models.serving",
        f"{OPENAI}.protocol",
        f"{OPENAI}.serving_video",
        f"{OPENAI}.stage_params",
        f"{OPENAI}.storage",
        f"{OPENAI}.stores",
        f"{OPENAI}.utils",
        f"{OPENAI}.video",
        f"{OPENAI}.video_api_utils",
        "vllm_omni.config.server_settings",
        "vllm_omni.errors",
        "vllm_omni.inputs.data",
    ),
)

import vllm.envs as envs  # noqa: E402
import vllm.entrypoints.serve.engine.protocol as engine_protocol  # noqa: E402
import vllm.inputs as inputs  # noqa: E402
import vllm.v1.engine.exceptions as exceptions  # noqa: E402
import vllm_omni.diffusion.data as diffusion_data  # noqa: E402
import vllm_omni.diffusion.model_metadata as model_metadata  # noqa: E402
import vllm_omni.diffusion.models.interface as interface  # noqa: E402
import vllm_omni.diffusion.utils.media_utils as media_utils  # noqa: E402
import vllm_omni.entrypoints.async_omni as async_omni  # noqa: E402
import vllm_omni.model_extras as model_extras  # noqa: E402
from fastapi import FastAPI  # noqa: E402
from pydantic import BaseModel  # noqa: E402
from serve import MODEL, generate, say, serve  # noqa: E402


class ModelPermission(BaseModel):
    id: str = "modelperm"


class ModelCard(BaseModel):
    id: str
    object: str = "model"
    owned_by: str = "vllm"
    root: str | None = None
    permission: list[ModelPermission] = []


class ModelList(BaseModel):
    object: str = "list"
    data: list[ModelCard] = []


engine_protocol.ModelPermission, engine_protocol.ModelCard = ModelPermission, ModelCard
engine_protocol.ModelList = ModelList
inputs.TextPrompt = TypedDict("TextPrompt", {"prompt": str})
inputs.TokensPrompt = TypedDict("TokensPrompt", {"prompt_token_ids": list})
inputs.EmbedsPrompt = TypedDict("EmbedsPrompt", {})
exceptions.EngineDeadError = type("EngineDeadError", (Exception,), {})
exceptions.EngineGenerateError = type("EngineGenerateError", (Exception,), {})
STARTED = SimpleNamespace()
diffusion_data.is_diffusion_request_started_output = lambda output: output is STARTED
interface.ReferenceVideoDecodeSpec = lambda max_frames=None, keep="first": SimpleNamespace(
    max_frames=max_frames, keep=keep
)
model_metadata.get_diffusion_model_metadata = lambda _: SimpleNamespace(
    supports_mixed_reference_inputs=False,
    supports_latent_mask_editing=False,
    supported_control_upload_types=(),
)
envs.VLLM_MAX_IMAGE_PIXELS = 0
media_utils.count_mp4_frames = lambda _: None
async_omni.ABORT_TIMEOUT_S = 5.0
model_extras.get_video_generation_defaults = lambda *_: None
model_extras.should_preserve_reference_image_size = lambda *_, **__: False

from vllm_omni.entrypoints.openai import api_server  # noqa: E402
from vllm_omni.entrypoints.openai.models.serving import _DiffusionServingModels  # noqa: E402
from vllm_omni.entrypoints.openai.serving_video import OmniOpenAIServingVideo  # noqa: E402


class Engine:
    """Stands where AsyncOmni and its processes are."""

    stage_configs = [{"stage_type": "diffusion", "final_output": True, "final_output_type": "video"}]

    async def generate(self, prompt, request_id, sampling_params_list):
        (asked,) = sampling_params_list
        yield STARTED
        image = prompt.get("multi_modal_data", {}).get("image")
        clip = await generate(
            prompt["prompt"],
            negative_prompt=prompt.get("negative_prompt"),
            size=[asked.width, asked.height],
            num_frames=asked.num_frames,
            fps=asked.fps,
            steps=asked.num_inference_steps,
            guidance=asked.guidance_scale,
            seed=asked.seed,
            image=None if image is None else list(image.size),
        )
        yield SimpleNamespace(images=[clip])

    async def abort(self, request_id, timeout):
        say(aborted=request_id)


engine = Engine()
app = FastAPI()
app.state.api_server_count = 1
app.state.stage_configs = engine.stage_configs
app.state.openai_serving_models = _DiffusionServingModels([SimpleNamespace(name=MODEL, model_path=MODEL)])
app.state.openai_serving_video = OmniOpenAIServingVideo.for_diffusion(engine, MODEL, engine.stage_configs)
app.include_router(api_server.router)
serve(app)
