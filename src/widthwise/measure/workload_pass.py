"""One pass of a workload through a model: each batch is read, its new tokens written one by one."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .decoders import Decoder, Decoders
from .machine import synchronize
from .workloads import Workload

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, kw_only=True)
class WorkloadPass:
    """Seconds of one pass."""

    first_sec: float  # from a batch's prompts to its first new tokens; mean over batches
    next_sec: float | None  # from a new token to the next, mean; None where there is one
    all_sec: float  # the whole pass


def run_pass(
    model: Any,
    work: Workload,
    *,
    decoders: Callable[[int], Decoder] | None = None,
    seed: int = 0,
    clock: Callable[[], float] = time.perf_counter,
) -> WorkloadPass:
    """Read and write the workload, with random tokens.

    Which tokens they are makes no difference to a dense model's time. The most probable token is
    written each time, so that a step does what greedy decoding does.

    Args:
        model: A causal language model, on its device.
        work: The workload.
        decoders: Gives a decoder for a number of rows; by default a new `Decoders`.
        seed: Seed of the prompts' tokens.
        clock: Seconds.
    """
    import torch

    decoders = decoders or Decoders(model, work)
    first = rest = 0.0
    with torch.inference_mode():
        for number, (rows, length) in enumerate(work.batches):
            prompts = _prompts(model, rows, length, seed + number)
            reading, writing = _batch(decoders(rows), prompts, work.new_tokens, clock)
            first += reading
            rest += writing
    steps = (work.new_tokens - 1) * len(work.batches)
    return WorkloadPass(
        first_sec=first / len(work.batches),
        next_sec=rest / steps if steps else None,
        all_sec=first + rest,
    )


def _batch(
    decoder: Decoder, prompts: torch.Tensor, new_tokens: int, clock: Callable[[], float]
) -> tuple[float, float]:
    """Seconds until the first tokens are there, and from then until the last are."""
    decoder.ready()
    synchronize(prompts.device)
    start = clock()
    decoder.start(prompts)
    synchronize(prompts.device)
    middle = clock()
    for _ in range(new_tokens - 1):
        decoder.step()
    synchronize(prompts.device)
    return middle - start, clock() - middle


def _prompts(model: Any, rows: int, length: int, seed: int) -> torch.Tensor:
    import torch

    words = model.get_input_embeddings().num_embeddings
    generator = torch.Generator().manual_seed(seed)
    prompts = torch.randint(words, (rows, length), generator=generator)
    return prompts.to(next(model.parameters()).device)
