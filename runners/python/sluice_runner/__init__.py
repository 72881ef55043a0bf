"""What Sluice's Python runners share: the runner protocol (packages/shared/src/runner-protocol.ts), the
processes of the devices, checkpoints, and the encoders.

Everything but `encode_frames` and the folder `with_torch` needs the Python standard library only.
"""
