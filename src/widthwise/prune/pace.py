"""At which pace this machine does what a calibrated cut consists of."""

from __future__ import annotations

import time
from collections.abc import Callable
from math import prod
from typing import TYPE_CHECKING

from ..cut import Weights
from .calibration.moments import Moments, float32_products
from .calibration.text import BATCH_BLOCKS, BLOCK_TOKENS
from .cut_estimate import CutWork

if TYPE_CHECKING:
    import torch

_HEADS, _HEAD_SIZE = 8, 64
_MOST_HIDDEN, _MOST_NEURONS, _MOST_SUMMED = 2048, 2048, 1024
_READ_NUMBERS = 2**22
_TURNS = 3  # that are timed, behind one that is not


def measured_pace(weights: Weights, dtype: torch.dtype, device: str) -> CutWork:
    """How much of each kind of work is done in a second now, with sizes like a model's.

    Args:
        weights: The model, of which some weights are read.
        dtype: The dtype that it is run in.
        device: Where it is run.

    Cost: about a second.
    """
    import torch

    architecture = weights.architecture
    hidden = min(architecture.hidden_size, _MOST_HIDDEN)
    neurons = max(architecture.neurons())
    with torch.no_grad(), float32_products():
        return CutWork(
            passes=_passes(hidden, min(neurons, _MOST_NEURONS), dtype, device),
            attention=_attention(dtype, device),
            moments=_moments(min(neurons, _MOST_SUMMED), dtype, device),
            factors=_factors(min(neurons, _MOST_NEURONS), device),
            products=_products(min(neurons, _MOST_NEURONS), hidden, device),
            numbers=_numbers(weights),
        )


def _passes(hidden: int, neurons: int, dtype: torch.dtype, device: str) -> float:
    """FLOPs a second of a GLU block."""
    import torch

    def block() -> None:
        gate, up = (torch.nn.functional.linear(states, each) for each in (first, second))
        torch.nn.functional.linear(torch.nn.functional.silu(gate) * up, down)

    states = torch.ones(BLOCK_TOKENS, hidden, dtype=dtype, device=device)
    first, second = (torch.ones(neurons, hidden, dtype=dtype, device=device) for _ in range(2))
    down = torch.ones(hidden, neurons, dtype=dtype, device=device)
    return 6 * BLOCK_TOKENS * hidden * neurons / _seconds(block, device)


def _attention(dtype: torch.dtype, device: str) -> float:
    """FLOPs a second of causal attention over a block, counted as `TokenFlops.attention` is."""
    import torch

    def attend() -> None:
        torch.nn.functional.scaled_dot_product_attention(heads, heads, heads, is_causal=True)

    heads = torch.ones(1, _HEADS, BLOCK_TOKENS, _HEAD_SIZE, dtype=dtype, device=device)
    pairs = BLOCK_TOKENS * (BLOCK_TOKENS + 1) // 2
    return 4 * _HEADS * _HEAD_SIZE * pairs / _seconds(attend, device)


def _moments(neurons: int, dtype: torch.dtype, device: str) -> float:
    """FLOPs a second of sums of second moments."""
    import torch

    sums = Moments.empty(neurons, device)
    rows = torch.ones(BATCH_BLOCKS * BLOCK_TOKENS, neurons, dtype=dtype, device=device)
    return len(rows) * Moments.flops(neurons) / _seconds(lambda: sums.add(rows), device)


def _factors(neurons: int, device: str) -> float:
    """FLOPs a second of a Cholesky factorization."""
    import torch

    matrix = torch.eye(neurons, device=device)
    return neurons**3 / 3 / _seconds(lambda: torch.linalg.cholesky_ex(matrix), device)


def _products(neurons: int, hidden: int, device: str) -> float:
    """FLOPs a second of a triangular solve and a product of the same matrices."""
    import torch

    def both() -> None:
        torch.linalg.solve_triangular(factor, columns, upper=False)
        torch.mm(factor, columns)

    factor = torch.eye(neurons, device=device)
    columns = torch.ones(neurons, hidden, device=device)
    return 3 * neurons**2 * hidden / _seconds(both, device)


def _numbers(weights: Weights) -> float:
    """Weights a second of the first block, read once."""
    name = weights.architecture.groups[0].up
    shape = weights.architecture.tensors[name].shape
    row = prod(shape[1:])
    count = min(shape[0], max(1, _READ_NUMBERS // row))
    start = time.perf_counter()
    weights.rows(name, 0, count)
    return count * row / (time.perf_counter() - start)


def _seconds(run: Callable[[], object], device: str) -> float:
    """Shortest time of a few turns, behind one that is left out."""
    import torch

    times = []
    for _ in range(1 + _TURNS):
        start = time.perf_counter()
        run()
        if device != "cpu":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    return min(times[1:])
