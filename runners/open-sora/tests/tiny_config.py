"""Test scaffolding: Open-Sora's own parts at a tiny size and with random weights, for a CPU. Read by
mmengine, named by OPENSORA_CONFIG."""

import sys

# mmengine puts this file's folder here; the scaffolding lies beside it.
sys.path.insert(0, "{{ fileDirname }}")
custom_imports = dict(imports=["cpu_scaffolding"])

dtype = "bf16"
seed = 42
batch_size = 1
dataset = dict(type="text")
motion_score = "4"
fps_save = 24
_head = dict(
    hidden_size=96,
    mlp_ratio=2.0,
    num_heads=2,
    depth=2,
    depth_single_blocks=2,
    axes_dim=[16, 16, 16],
    theta=10_000,
)
_text = dict(vec_in_dim=64, context_in_dim=48, qkv_bias=True, in_channels=64)
model = dict(
    type="scrambled_flux",
    guidance_embed=False,
    fused_qkv=False,
    use_liger_rope=True,
    cond_embed=True,
    **_text,
    **_head,
)
# GroupNorm has 32 groups, so no fewer channels.
ae = dict(
    type="tiny_hunyuan_vae",
    in_channels=3,
    out_channels=3,
    layers_per_block=1,
    latent_channels=16,
    use_spatial_tiling=True,
    use_temporal_tiling=False,
    block_out_channels=(32, 32, 32, 32),
)
t5 = dict(type="hashed_text", length=512, width=48)
clip = dict(type="hashed_text", length=0, width=64)
img_flux = dict(
    type="scrambled_flux",
    guidance_embed=True,
    fused_qkv=False,
    use_liger_rope=True,
    cond_embed=False,
    **_text,
    **_head,
)
img_flux_ae = dict(
    type="autoencoder_2d",
    from_pretrained=None,
    resolution=256,
    in_channels=3,
    ch=32,
    out_ch=3,
    ch_mult=[1, 1, 1, 1],
    num_res_blocks=1,
    z_channels=16,
)
img_resolution = "256px"
# As configs/diffusion/inference/256px.py has them.
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
