"""Test scaffolding: Open-Sora's own parts at a tiny size and with random weights, for a CPU. Read by
mmengine, named by OPENSORA_CONFIG. All that is not said here is as Open-Sora's own file has it."""

import sys

# mmengine puts this file's folder here; the scaffolding lies beside it.
sys.path.insert(0, "{{ fileDirname }}")
custom_imports = dict(imports=["cpu_scaffolding"])

_base_ = ["{{$OPENSORA_HOME:}}/configs/diffusion/inference/256px.py"]
# Several ranks join without colossalai's plugins.
plugin = plugin_config = plugin_ae = plugin_config_ae = None
_size = dict(
    hidden_size=96, mlp_ratio=2.0, num_heads=2, depth=2, depth_single_blocks=2, axes_dim=[16, 16, 16]
)
_text = dict(vec_in_dim=64, context_in_dim=48)
model = dict(type="scrambled_flux", from_pretrained=None, **_text, **_size)
# GroupNorm has 32 groups, so no fewer channels.
ae = dict(
    type="tiny_hunyuan_vae", from_pretrained=None, layers_per_block=1, block_out_channels=(32, 32, 32, 32)
)
t5 = dict(_delete_=True, type="hashed_text", length=512, width=48)
clip = dict(_delete_=True, type="hashed_text", length=0, width=64)
img_flux = dict(
    type="scrambled_flux",
    from_pretrained=None,
    guidance_embed=True,
    fused_qkv=False,
    use_liger_rope=True,
    cond_embed=False,
    in_channels=64,
    theta=10_000,
    qkv_bias=True,
    **_text,
    **_size,
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
