"""Test scaffolding: float_config.py with heads for four ranks."""

_base_ = ["float_config.py"]
model = dict(num_heads=4, axes_dim=[8, 8, 8])
