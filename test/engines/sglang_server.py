"""SGLang's own routes of /v1/videos and /v1/models, form parsing, sampling parameters and jobs, with a
scheduler that has no device: `python sglang_server.py CLIP WORK_FOLDER`."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

from stand_ins import stand_in_for

GEN = "sglang.multimodal_gen"
RUNTIME = f"{GEN}.runtime"
stand_in_for(
    "torch",
    "zmq",
    "imageio",
    "imageio_ffmpeg",
    "sglang",
    real=(
        f"{GEN}.configs.sample",
        f"{GEN}.configs.task_type",
        f"{RUNTIME}.entrypoints.openai",
        f"{RUNTIME}.entrypoints.utils",
        f"{RUNTIME}.pipelines_core.request_utils",
        f"{RUNTIME}.pipelines_core.schedule_batch",
        f"{RUNTIME}.utils.common",
        f"{RUNTIME}.utils.image_io",
    ),
)

import sglang.multimodal_gen.registry as registry  # noqa: E402
import sglang.multimodal_gen.runtime.scheduler_client as scheduler_client  # noqa: E402
import sglang.multimodal_gen.runtime.server_args as server_args  # noqa: E402
from fastapi import FastAPI  # noqa: E402
from PIL import Image  # noqa: E402
from serve import MODEL, generate, serve  # noqa: E402
from sglang.multimodal_gen.configs.sample.wan import Wan2_2_TI2V_5B_SamplingParam  # noqa: E402
from sglang.multimodal_gen.configs.task_type import ModelTaskType  # noqa: E402

WORK = Path(sys.argv[2])
TASK = ModelTaskType.TI2V


class Scheduler:
    """Stands where the process with the device is."""

    async def forward(self, batches):
        (batch,) = batches
        asked = batch.sampling_params
        # As run_progress_listener does for a message of the device's process.
        job, percent = VIDEO_PROGRESS.update(asked.request_id, 9, asked.num_inference_steps)
        await apply_progress(job, percent)
        path = Path(asked.output_file_path())
        try:
            clip = await generate(
                asked.prompt,
                negative_prompt=asked.negative_prompt,
                size=[asked.width, asked.height],
                num_frames=asked.num_frames,
                fps=asked.fps,
                steps=asked.num_inference_steps,
                guidance=asked.guidance_scale,
                seed=asked.seed,
                image=image_size(asked.image_path),
            )
        except RuntimeError as error:
            return OutputBatch(error=str(error))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(clip)
        return OutputBatch(output_file_paths=[str(path)])


def image_size(path):
    if path is None:
        return None
    with Image.open(path[0] if isinstance(path, list) else path) as image:
        return list(image.size)


PIPELINE = SimpleNamespace(
    task_type=TASK,
    get_supported_task_types=lambda: [TASK],
    resolve_task_type=lambda *_, **__: TASK,
    adjust_num_frames=lambda frames: frames,
    vae_config=None,
    dit_precision="bf16",
    vae_precision="bf16",
)
ARGS = SimpleNamespace(
    model_path=MODEL,
    served_model_name=MODEL,
    model_id=None,
    backend=None,
    pipeline_class_name=None,
    pipeline_config=PIPELINE,
    attention_backend_config=None,
    batching_max_size=1,
    comfyui_mode=False,
    enable_trace=False,
    input_save_path=str(WORK / "inputs"),
    num_gpus=1,
    output_path=str(WORK / "outputs"),
)
server_args.get_global_server_args = lambda: ARGS
registry.get_model_info = lambda *_, **__: SimpleNamespace(
    sampling_param_cls=Wan2_2_TI2V_5B_SamplingParam, pipeline_cls=None
)
scheduler_client.async_scheduler_client = Scheduler()

from sglang.multimodal_gen.runtime.entrypoints.openai import common_api, video_api  # noqa: E402
from sglang.multimodal_gen.runtime.entrypoints.openai.video_progress import (  # noqa: E402
    VIDEO_PROGRESS,
    apply_progress,
)
from sglang.multimodal_gen.runtime.pipelines_core.schedule_batch import OutputBatch  # noqa: E402

app = FastAPI()
app.include_router(common_api.router)
app.include_router(video_api.router)
serve(app)
