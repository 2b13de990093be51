"""Which storage type a device computes faster with."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Literal

from .machine import synchronize


@dataclass(frozen=True, kw_only=True)
class DtypeChoice:
    """The faster storage type on a device.

    Attributes:
        name: `"bfloat16"` or `"float32"`.
        speedup: Time of float32 / time of bfloat16 for the same matrix product; above 1, bfloat16
            wins.
    """

    name: Literal["bfloat16", "float32"]
    speedup: float


def faster_dtype(device: str = "cpu") -> DtypeChoice:
    """Whether bfloat16 or float32 is faster here, by a measured product of a GLU block's size.

    Processors without bfloat16 units emulate it, many times slower than float32. Takes a fraction
    of a second.
    """
    import torch

    generator = torch.Generator().manual_seed(0)
    inputs = torch.rand(512, 576, generator=generator)
    weight = torch.rand(1536, 576, generator=generator)
    times = {}
    for dtype in (torch.float32, torch.bfloat16):
        a, b = inputs.to(device, dtype), weight.to(device, dtype)
        rounds = []
        for _ in range(9):
            synchronize(a.device)
            start = time.perf_counter()
            for _ in range(4):
                torch.nn.functional.linear(a, b)
            synchronize(a.device)
            rounds.append(time.perf_counter() - start)
        times[dtype] = min(rounds[1:])  # the least disturbed
    speedup = times[torch.float32] / times[torch.bfloat16]
    return DtypeChoice(name="bfloat16" if speedup >= 1 else "float32", speedup=speedup)
