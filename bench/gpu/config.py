"""For OPENSORA_CONFIG: the numbers of Open-Sora's configs/diffusion/inference/256px.py, with random weights.
SIZE=tiny makes them small."""

import sys

# mmengine puts this file's folder here.
sys.path.insert(0, "{{ fileDirname }}")
custom_imports = dict(imports=["parts"])

dtype = "bf16"
seed = 42
batch_size = 1
dataset = dict(type="text")
motion_score = "4"
fps_save = 24
tiny = "{{$SIZE:full}}" == "tiny"
_full = dict(
    hidden_size=3072,
    mlp_ratio=4.0,
    num_heads=24,
    depth=19,
    depth_single_blocks=38,
    axes_dim=[16, 56, 56],
    vec_in_dim=768,
    context_in_dim=4096,
)
_tiny = dict(
    hidden_size=96,
    mlp_ratio=4.0,
    num_heads=2,
    depth=2,
    depth_single_blocks=2,
    axes_dim=[16, 16, 16],
    vec_in_dim=64,
    context_in_dim=48,
)
model = dict(
    type="random_flux",
    guidance_embed=False,
    fused_qkv=False,
    use_liger_rope=True,
    in_channels=64,
    theta=10_000,
    qkv_bias=True,
    cond_embed=True,
    **(_tiny if tiny else _full),
)
ae = dict(
    type="random_vae",
    in_channels=3,
    out_channels=3,
    layers_per_block=1 if tiny else 2,
    latent_channels=16,
    use_spatial_tiling=True,
    use_temporal_tiling=False,
    block_out_channels=(32, 32, 32, 32) if tiny else (128, 256, 512, 512),
)
t5 = dict(type="random_text", kind="t5", max_length=512)
clip = dict(type="random_text", kind="clip", max_length=77)
sampling_option = dict(
    resolution="256px",
    aspect_ratio="16:9",
    num_frames=129,
    num_steps=50,
    shift=True,
    temporal_reduction=4,
    is_causal_vae=True,
    guidance=7.5,
    guidance_img=3.0,
    text_osci=True,
    image_osci=True,
    scale_temporal_osci=True,
    method="i2v",
    seed=None,
)
