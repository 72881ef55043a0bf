"""Keeps Open-Sora 2.0 warm, as a pipeline of sluice_runner (runners/python).

Everything outside the folder `open_sora` needs the Python standard library only.
"""
