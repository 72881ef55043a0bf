"""For OPENSORA_CONFIG: Open-Sora's own configs/diffusion/inference/256px.py, with random weights. SIZE=tiny
makes its parts small."""

import sys

# mmengine puts this file's folder here.
sys.path.insert(0, "{{ fileDirname }}")
custom_imports = dict(imports=["parts"])

_base_ = ["{{$OPENSORA_HOME:}}/configs/diffusion/inference/256px.py"]
_tiny = "{{$SIZE:full}}" == "tiny"
_tiny_model = dict(
    hidden_size=96,
    num_heads=2,
    depth=2,
    depth_single_blocks=2,
    axes_dim=[16, 16, 16],
    vec_in_dim=64,
    context_in_dim=48,
)
_tiny_ae = dict(layers_per_block=1, block_out_channels=(32, 32, 32, 32))
model = dict(type="random_flux", from_pretrained=None, **(_tiny_model if _tiny else {}))
ae = dict(type="random_vae", from_pretrained=None, **(_tiny_ae if _tiny else {}))
t5 = dict(_delete_=True, type="random_text", kind="t5", max_length=512)
clip = dict(_delete_=True, type="random_text", kind="clip", max_length=77)
