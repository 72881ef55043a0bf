"""Keeps Open-Sora 2.0 warm and speaks Sluice's runner protocol (packages/shared/src/runner-protocol.ts).

Everything outside the folder `open_sora` needs the Python standard library only.
"""
