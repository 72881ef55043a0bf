"""Test scaffolding: tiny_config.py with a video model of 0.6 billion parameters, for measuring how weights
move. Texts are short."""

_base_ = ["tiny_config.py"]
model = dict(
    hidden_size=1536, mlp_ratio=4.0, num_heads=12, depth=4, depth_single_blocks=8, axes_dim=[16, 56, 56]
)
t5 = dict(length=16)
img_flux = None
img_flux_ae = None
