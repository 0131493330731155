"""What this machine can do, and how it is set up once before the first tensor."""

import ctypes
import os
import platform
from functools import lru_cache

import torch

from dlhw.errors import UserError

# <malloc.h> of glibc
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD = -1, -2, -3


@lru_cache
def keep_pages() -> bool:
    """Tell glibc to keep the blocks of a training step instead of giving them back to the kernel after each one.

    Saves the page faults that otherwise cost about a third of a small network's step. Returns whether it took effect: anywhere but
    on glibc nothing is done.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    megabyte = 1 << 20
    return all([mallopt(_M_MMAP_THRESHOLD, 1 << 30), mallopt(_M_TRIM_THRESHOLD, (1 << 31) - 1), mallopt(_M_TOP_PAD, 64 * megabyte)])


def flush_subnormals() -> bool:
    """Let the processor take numbers below 1e-38 for 0. Returns whether it can.

    It computes with them many times slower than with others, and the gradients of a network that has nothing left to learn, and Adam's
    squares of them, are such numbers: without this, an epoch of ``cnn_pool`` on blood cells at a training loss of 1e-9 took 3.5 times as
    long (one thread). To be called before the first tensor: on Linux, threads take it over from the one that starts them.
    """
    return torch.set_flush_denormal(True)


def ask_for_gpus_once() -> None:
    """Where there is no GPU, let torch know without looking again.

    Its optimizers ask before each step, and a build for CUDA then looks for the driver's library on the disk: 0.1 to 0.3 ms a step.
    Holds for this process and those that it starts.
    """
    if not torch.cuda.is_available():
        os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")


def prepare(threads: int | None = None) -> None:
    """What makes training faster on this machine, and the number of threads: see :func:`set_threads`."""
    keep_pages()
    flush_subnormals()
    ask_for_gpus_once()
    set_threads(threads)


def computes_bf16(device: torch.device) -> bool:
    """Whether the device multiplies bfloat16 in hardware, rather than emulating it more slowly than float32."""
    match device.type:
        case "cuda":
            return torch.cuda.is_bf16_supported(including_emulation=False)
        case "cpu":
            return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())
        case _:
            return False


def device_name(device: torch.device) -> str:
    """The device as a person would name it: the GPU's product name or the processor's."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    if device.type == "cpu":
        return f"{_processor()} ({torch.get_num_threads()} threads)"
    return device.type


@lru_cache
def _processor() -> str:
    try:
        with open("/proc/cpuinfo") as file:
            return next((line.split(":")[1].strip() for line in file if line.startswith("model name")), platform.machine())
    except OSError:
        return platform.processor() or platform.machine()


def set_threads(threads: int | None) -> None:
    """Use ``threads`` threads a process; by default what torch finds, which obeys OMP_NUM_THREADS.

    Raises:
        UserError: a number that is below 1 or above the machine's cores.
    """
    if threads is None:
        return
    cores = os.cpu_count() or 1
    if not 1 <= threads <= cores:
        raise UserError(f"trainer.threads={threads}: this machine has {cores} cores, so 1 to {cores} is possible")
    torch.set_num_threads(threads)
