"""Keeps a pipeline of the diffusers library warm, as a pipeline of sluice_runner (runners/python).

Everything outside the folder `with_library` needs the Python standard library only.
"""
