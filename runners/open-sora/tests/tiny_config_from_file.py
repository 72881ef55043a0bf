"""Test scaffolding: tiny_config.py with its video model loaded by Open-Sora's own loader, from the file
TINY_BASE names."""

_base_ = ["tiny_config.py"]
model = dict(type="flux", from_pretrained="{{$TINY_BASE:}}")
