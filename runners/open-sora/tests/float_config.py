"""Test scaffolding: tiny_config.py in 32-bit floats, where only the order of sums is left to differ."""

_base_ = ["tiny_config.py"]
dtype = "fp32"
