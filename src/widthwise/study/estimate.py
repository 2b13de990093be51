"""How much work a piece of a study is, before it is done: a least time, never a promise.

Reading takes the FLOPs of a pass over all tokens, each shared beginning once; writing moves all
weights for every new token of a batch. Both are what the device's limits allow at best, so real
times are longer; the pace of what is measured already says by how much.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..arch import Architecture, decode_traffic, prefill_traffic
from ..evaluate import Task
from ..measure import Ceilings, Workload

_ROWS = 16  # texts that are written at a time
_PROMPT = 512  # tokens of the pass that stands for all reading
_SAMPLE = 64  # requests whose tokens are counted, to know how long a token is


@dataclass(frozen=True, kw_only=True)
class Amount:
    """FLOPs, and bytes that are moved between memory and processor."""

    flops: float = 0.0
    moved_bytes: float = 0.0

    def least_sec(self, ceilings: Ceilings) -> float:
        """Time that the limits of a device ask for, computing and moving one after the other."""
        return self.flops / ceilings.flops_per_sec + self.moved_bytes / ceilings.bytes_per_sec


NOMINAL = Ceilings(  # of no device: to weigh computing and moving where only shares are wanted
    flops_per_sec=1e12, bytes_per_sec=2e10, device="", dtype="", name="", threads=None
)


@dataclass(frozen=True, kw_only=True)
class Tokens:
    """Of a task: those that are read, a shared beginning once, and at most written."""

    read: float
    written: int


def texts_of(task: Task) -> list[str]:
    """What each request of a task lets a model read."""
    return [
        str(request.args[0]) if isinstance(request.args[-1], dict) else "".join(request.args)
        for request in task.requests
    ]


def tokens_of(task: Task, tokenizer: Any) -> Tokens:
    """Tokens of a task, from its characters and the tokens of a sample of its requests."""
    settings = [request.args[-1] for request in task.requests]
    written = sum(int(s.get("max_gen_toks", 256)) for s in settings if isinstance(s, dict))
    texts = texts_of(task)
    sample = texts[:: max(1, len(texts) // _SAMPLE)]
    counted = sum(len(ids) for ids in tokenizer(sample)["input_ids"])
    per_character = counted / max(1, sum(map(len, sample)))
    return Tokens(read=per_character * _distinct(texts), written=written)


def scoring(architecture: Architecture, width: int, tokens: Tokens, dtype: str) -> Amount:
    """Work of reading and writing these tokens."""
    one = prefill_traffic(architecture, width, batch=1, prompt_tokens=_PROMPT, dtype=dtype)
    per_token = one.flops / _PROMPT
    step = decode_traffic(architecture, width, batch=_ROWS, context=_PROMPT, steps=1, dtype=dtype)
    return Amount(
        flops=per_token * (tokens.read + tokens.written),
        moved_bytes=step.num_bytes * tokens.written / _ROWS,
    )


def timing(
    architecture: Architecture, widths: Sequence[int], work: Workload, rounds: int, dtype: str
) -> Amount:
    """Work of all rounds of a workload, and of the one before them."""
    flops, moved = 0, 0
    for width in widths:
        for rows, length in work.batches:
            read = prefill_traffic(
                architecture, width, batch=rows, prompt_tokens=length, dtype=dtype
            )
            flops, moved = flops + read.flops, moved + read.num_bytes
            if work.new_tokens > 1:
                steps = work.new_tokens - 1
                written = decode_traffic(
                    architecture, width, batch=rows, context=length, steps=steps, dtype=dtype
                )
                flops, moved = flops + written.flops, moved + written.num_bytes
    return Amount(flops=float(flops * (rounds + 1)), moved_bytes=float(moved * (rounds + 1)))


def _distinct(texts: Sequence[str]) -> int:
    """Characters of texts, those of a shared beginning once.

    >>> _distinct(["abcd", "abX", "abcde"])
    6
    """
    total, before = 0, ""
    for text in sorted(texts):
        total += len(text) - _shared(before, text)
        before = text
    return total


def _shared(one: str, other: str) -> int:
    """Length of the beginning that two texts share, by halving."""
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        if one[:middle] == other[:middle]:
            low = middle
        else:
            high = middle - 1
    return low
