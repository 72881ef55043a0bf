"""Test scaffolding: tiny_config.py with a video model that is large enough for its branches to cost more than
the calls that run them. Texts are short."""

_base_ = ["tiny_config.py"]
model = dict(
    hidden_size=256, mlp_ratio=4.0, num_heads=2, depth=2, depth_single_blocks=4, axes_dim=[16, 56, 56]
)
t5 = dict(length=16)
img_flux = None
img_flux_ae = None
