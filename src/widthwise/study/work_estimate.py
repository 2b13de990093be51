"""The work of a unit of a study, before it is done: a least time, never a promise.

Reading takes the FLOPs of a pass over all tokens, each shared beginning once; writing moves all
weights for every new token of a batch. Both are what the device's limits allow at best, so real
times are longer; the pace of what is measured already says by how much.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..arch import Architecture, counts_at, decode_traffic, prefill_traffic
from ..errors import UnsupportedModelError
from ..evaluate import Task
from ..evaluate.engine import shared_length
from ..measure import PeakRates, Workload

_ROWS = 16  # texts that are written at a time
_PROMPT = 512  # tokens of the pass that stands for all reading
CALIBRATING_READS = 12.0  # time to calibrate on a token, in tokens read
_SAMPLE = 64  # requests whose tokens are counted, to know how long a token is


@dataclass(frozen=True, kw_only=True)
class WorkEstimate:
    """FLOPs, and bytes that are moved between memory and processor."""

    flops: float = 0.0
    moved_bytes: float = 0.0

    def least_sec(self, ceilings: PeakRates) -> float:
        """Time that the limits of a device ask for, computing and moving one after the other."""
        return self.flops / ceilings.flops_per_sec + self.moved_bytes / ceilings.bytes_per_sec


NOMINAL = PeakRates(  # of no device: to weigh computing and moving where only shares are wanted
    flops_per_sec=1e12, bytes_per_sec=2e10, device="", dtype="", name="", threads=None
)


@dataclass(frozen=True, kw_only=True)
class Tokens:
    """Tokens of a task: those that are read, a shared beginning once, and at most written."""

    read: float
    written: int


def tokens_of(task: Task, tokenizer: Any) -> Tokens:
    """Tokens of a task, from its characters and the tokens of a sample of its requests."""
    texts = task.texts
    sample = texts[:: max(1, len(texts) // _SAMPLE)]
    counted = sum(len(ids) for ids in tokenizer(sample)["input_ids"])
    per_character = counted / max(1, sum(map(len, sample)))
    return Tokens(read=per_character * _distinct(texts), written=sum(task.new_tokens))


def scoring(architecture: Architecture, width: int, tokens: Tokens, dtype: str) -> WorkEstimate:
    """Work of reading and writing these tokens."""
    prompt = _reading(architecture, width, 1, _PROMPT, dtype)
    step = _writing(architecture, width, _ROWS, _PROMPT, 1, dtype)
    return WorkEstimate(
        flops=prompt.flops / _PROMPT * (tokens.read + tokens.written),
        moved_bytes=step.moved_bytes * tokens.written / _ROWS,
    )


def timing(
    architecture: Architecture, widths: Sequence[int], work: Workload, rounds: int, dtype: str
) -> WorkEstimate:
    """Work of all rounds of a workload, and of the one before them."""
    parts = []
    for width in widths:
        for rows, length in work.batches:
            parts.append(_reading(architecture, width, rows, length, dtype))
            if work.new_tokens > 1:
                steps = work.new_tokens - 1
                parts.append(_writing(architecture, width, rows, length, steps, dtype))
    return WorkEstimate(
        flops=sum(part.flops for part in parts) * (rounds + 1),
        moved_bytes=sum(part.moved_bytes for part in parts) * (rounds + 1),
    )


def _reading(
    architecture: Architecture, width: int, rows: int, length: int, dtype: str
) -> WorkEstimate:
    """Work of reading a batch of prompts; less than that where a cache cannot be counted."""
    try:
        part = prefill_traffic(architecture, width, batch=rows, prompt_tokens=length, dtype=dtype)
    except UnsupportedModelError:
        counts = counts_at(architecture, width, context=length, dtype=dtype)
        flops = rows * length * counts.prefill_flops_per_token
        return WorkEstimate(flops=flops, moved_bytes=float(counts.weight_bytes))
    return WorkEstimate(flops=float(part.flops), moved_bytes=float(part.num_bytes))


def _writing(
    architecture: Architecture, width: int, rows: int, context: int, steps: int, dtype: str
) -> WorkEstimate:
    """Work of writing after a batch of prompts; less than that where a cache cannot be counted."""
    try:
        part = decode_traffic(
            architecture, width, batch=rows, context=context, steps=steps, dtype=dtype
        )
    except UnsupportedModelError:
        counts = counts_at(architecture, width, context=context, dtype=dtype)
        flops = rows * steps * counts.decode_flops_per_token
        return WorkEstimate(flops=flops, moved_bytes=float(steps * counts.weight_bytes))
    return WorkEstimate(flops=float(part.flops), moved_bytes=float(part.num_bytes))


def _distinct(texts: Sequence[str]) -> int:
    """Characters of texts, those of a shared beginning once.

    >>> _distinct(["abcd", "abX", "abcde"])
    6
    """
    total, before = 0, ""
    for text in sorted(texts):
        total += len(text) - shared_length(before, text)
        before = text
    return total
