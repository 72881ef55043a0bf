"""Test scaffolding: medium_config.py with its video model loaded from the file TINY_BASE names."""

_base_ = ["medium_config.py"]
model = dict(type="flux", from_pretrained="{{$TINY_BASE:}}")
