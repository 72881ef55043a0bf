"""What went wrong, in the protocol's words."""

from __future__ import annotations

import re
from typing import Literal

Code = Literal["bad_input", "out_of_memory", "device_lost", "model_missing", "internal"]
CODES: tuple[Code, ...] = ("bad_input", "out_of_memory", "device_lost", "model_missing", "internal")

MESSAGE_CHARS_MAX = 600

# Device errors reach Python as RuntimeError (torch.AcceleratorError since torch 2.8); only the driver's words
# in the message tell them apart.
# cuDNN and cuBLAS allocate beside torch, and have many words for it: a workspace that cannot be had is an
# engine that is not found, an execution that failed or an internal error. After any of them the ranks end.
_OUT_OF_MEMORY = re.compile(
    r"out of memory|CU(BLAS|DNN)_STATUS_(ALLOC_FAILED|NOT_INITIALIZED)|"
    r"CUDNN_STATUS_(EXECUTION_FAILED|INTERNAL_ERROR)|unable to find (an engine|a valid cuDNN algorithm)",
    re.I,
)
_DEVICE_LOST = re.compile(
    r"CUDA error|CUDA driver error|cuDNN error|CUBLAS_STATUS|CUDNN_STATUS|NCCL|HIP error|device-side assert|"
    r"illegal memory access|unspecified launch failure|uncorrectable ECC|GPU is lost|fallen off the bus|"
    r"No CUDA GPUs are available|no CUDA-capable device|ACL error|"
    r"Connection closed by peer|Connection reset by peer|Broken pipe",
    re.I,
)


class RunnerFailure(Exception):
    """Becomes the reply `failed`. Anything else that is raised goes through `classify`."""

    def __init__(self, code: Code, message: str, retryable: bool = False) -> None:
        super().__init__(message)
        self.code: Code = code
        self.message = message[:MESSAGE_CHARS_MAX]
        self.retryable = retryable


def classify(error: BaseException) -> RunnerFailure:
    """Returns the failure that an exception of a pipeline stands for.

    After `device_lost` the state of the device is unknown: its process must end."""
    if isinstance(error, RunnerFailure):
        return error
    said = f"{type(error).__name__}: {error}"[:MESSAGE_CHARS_MAX]
    # torch.cuda.OutOfMemoryError is torch.OutOfMemoryError. The host's MemoryError is another matter.
    if type(error).__name__ == "OutOfMemoryError" or (
        isinstance(error, RuntimeError) and _OUT_OF_MEMORY.search(said)
    ):
        return RunnerFailure("out_of_memory", said, retryable=True)
    if isinstance(error, (RuntimeError, ConnectionError)) and _DEVICE_LOST.search(said):
        return RunnerFailure("device_lost", said, retryable=True)
    return RunnerFailure("internal", said, retryable=True)


def classify_load(error: BaseException) -> RunnerFailure:
    """As `classify`, while a model loads: a module or file that is not there is `model_missing`."""
    if isinstance(error, (ImportError, FileNotFoundError, NotADirectoryError)):
        return RunnerFailure("model_missing", f"{type(error).__name__}: {error}")
    return classify(error)
