"""Random numbers as functions of where a run is, so that a resumed run draws what it would have drawn.

Nothing here keeps a state: the order of an epoch is a function of (seed, epoch), the dropout masks of a step of
(seed, epoch, step, rank), and the augmentation of a sample of (seed, epoch, index).
"""

import hashlib

import torch
from torch import Tensor


def derive(*parts: int | str) -> int:
    """A 63-bit seed made of ``parts``; equal parts give equal seeds, on every machine."""
    digest = hashlib.sha256("/".join(map(str, parts)).encode(errors="surrogateescape")).digest()  # names of files may be no UTF-8
    return int.from_bytes(digest[:8], "little") >> 1


def permutation(n: int, seed: int, epoch: int) -> Tensor:
    """The order of ``n`` samples in an epoch: int64 (n,)."""
    return torch.randperm(n, generator=torch.Generator().manual_seed(derive("order", seed, epoch)))


def reseed(seed: int, epoch: int, step: int, rank: int, device: torch.device) -> None:
    """Set torch's own generators (dropout and the like) for one step."""
    value = derive("step", seed, epoch, step, rank)
    torch.default_generator.manual_seed(value)
    if device.type == "cuda":
        torch.cuda.manual_seed(value)
    elif device.type == "mps":
        torch.mps.manual_seed(value)


# The increment and the two multipliers of splitmix64 (Steele, Lea and Flood, 2014), as signed 64-bit numbers.
_GOLDEN, _MIX1, _MIX2 = (c - (1 << 64) for c in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB))


def _mix(x: Tensor) -> Tensor:
    """The finalizer of splitmix64 on int64 with wrap-around; masks make the arithmetic shifts logical ones."""
    x = (x ^ ((x >> 30) & 0x3FFFFFFFF)) * _MIX1
    x = (x ^ ((x >> 27) & 0x1FFFFFFFFF)) * _MIX2
    return x ^ ((x >> 31) & 0x1FFFFFFFF)


def uniform(seed: int, epoch: int, index: Tensor, draws: int) -> Tensor:
    """Counter-based uniform numbers in [0, 1): float32 (N, draws), row i a function of (seed, epoch, index[i]) alone.

    ``index`` is int64 (N,). The same on every device, in any batch, in any order.
    """
    key = derive("sample", seed, epoch)
    sample = _mix(index.to(torch.int64) * _GOLDEN + key)
    columns = torch.arange(1, draws + 1, device=index.device, dtype=torch.int64) * _GOLDEN
    bits = _mix(sample[:, None] + columns)
    return ((bits >> 40) & 0xFFFFFF).to(torch.float32) * 2.0**-24
