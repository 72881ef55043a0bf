"""Test scaffolding: Open-Sora's own scripts/diffusion/inference.py, unchanged, on a CPU. Its arguments are
this file's."""

from __future__ import annotations

import os
import runpy
import sys
from fractions import Fraction

sys.path[:0] = [os.environ["OPENSORA_HOME"], os.path.dirname(os.path.abspath(__file__))]
os.chdir(os.environ["OPENSORA_HOME"])

import cpu_scaffolding  # noqa: E402
import av  # noqa: E402
import torch  # noqa: E402
import torchvision.io  # noqa: E402


def write_video(path: str, frames: torch.Tensor, fps: int, video_codec: str, options: dict[str, str]) -> None:
    """What torchvision 0.19's did, for the arguments the script gives; and the raw frames where FRAMES_PATH
    says."""
    if os.environ.get("FRAMES_PATH"):
        with open(os.environ["FRAMES_PATH"], "wb") as file:
            file.write(frames.contiguous().numpy().tobytes())
    with av.open(path, "w") as container:
        stream = container.add_stream(f"lib{video_codec.replace('h264', 'x264')}", rate=fps, options=options)
        stream.height, stream.width, stream.pix_fmt = frames.shape[1], frames.shape[2], "yuv420p"
        stream.time_base = Fraction(1, fps)
        for pixels in frames.numpy():
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode(None))


def set_seed(seed: int) -> None:
    torch.manual_seed(seed)


# The script logs the device's memory.
torch.cuda.synchronize = lambda: None
torch.cuda.max_memory_allocated = torch.cuda.max_memory_reserved = lambda: 0
torchvision.io.write_video = write_video
cpu_scaffolding.stand_ins.put("colossalai.utils", set_seed=set_seed)
script = os.path.join("scripts", "diffusion", "inference.py")
sys.argv[0] = script
runpy.run_path(script, run_name="__main__")
