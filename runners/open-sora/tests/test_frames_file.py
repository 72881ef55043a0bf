"""A clip in the file that the encoder reads (frames_file.py). Needs torch."""

from __future__ import annotations

import errno
import resource
import signal
import tempfile
import unittest
from pathlib import Path

import torch

from sluice_open_sora.open_sora.frames_file import FRAMES_AT_A_TIME, write_frames


class FramesFile(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = Path(folder.name) / "frames.rgb"

    def test_every_number_of_frames_is_rounded_and_laid_out_as_open_sora_saves_a_clip(self) -> None:
        for dtype in (torch.float32, torch.bfloat16):
            for count in (1, FRAMES_AT_A_TIME, FRAMES_AT_A_TIME + 1, 2 * FRAMES_AT_A_TIME + 5):
                with self.subTest(dtype=dtype, count=count):
                    clip = (torch.randn(3, count, 6, 10, generator=torch.Generator().manual_seed(count))).to(
                        dtype
                    )
                    before = clip.clone()
                    write_frames(str(self.path), clip)
                    scaled = clip.float().clamp(-1, 1).add(1).div(2).mul(255).add(0.5).clamp(0, 255)
                    theirs = scaled.permute(1, 2, 3, 0).to(torch.uint8)
                    self.assertEqual(self.path.read_bytes(), theirs.contiguous().numpy().tobytes())
                    self.assertTrue(torch.equal(clip, before))

    def test_a_file_that_has_no_room_is_an_error_and_not_the_end_of_the_process(self) -> None:
        # A limit of the process stands for a full disk.
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        self.addCleanup(resource.setrlimit, resource.RLIMIT_FSIZE, before)
        self.addCleanup(signal.signal, signal.SIGXFSZ, signal.signal(signal.SIGXFSZ, signal.SIG_IGN))
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
        with self.assertRaises(OSError) as raised:
            write_frames(str(self.path), torch.zeros(3, 9, 32, 32))
        self.assertEqual(raised.exception.errno, errno.EFBIG)


if __name__ == "__main__":
    unittest.main()
