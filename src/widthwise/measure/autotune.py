"""The attention, threads and storage type with which a device is fastest, by trial."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import Any, Literal

from ..evaluate.engine import grouped_attention
from ..io import free_bytes, limited_memory, out_of_memory
from .machine import calls_sec
from .workload_pass import run_pass
from .workloads import Workload

_TRIAL_TOKENS = 4  # new ones; the time of more follows from them
_TRIALS = 2  # after one that warms up
_SHARE = 0.25  # of free memory that scores may take in a trial
_GROUPED = "sdpa, grouped"  # keys and values are not copied for each query head
ATTENTIONS = ("sdpa", _GROUPED, "eager")


@dataclass(frozen=True, kw_only=True)
class RuntimeConfig:
    """Attention and threads that a model runs with."""

    attention: str  # one of `ATTENTIONS`, or on a GPU what the model came with
    threads: int  # CPU threads


def current_config(model: Any) -> RuntimeConfig:
    """A model's default config."""
    import torch

    return RuntimeConfig(
        attention=str(model.config.get_text_config()._attn_implementation),
        threads=torch.get_num_threads(),
    )


def fastest_config(
    models: Sequence[Any], work: Workload, *, clock: Callable[[], float] = time.perf_counter
) -> RuntimeConfig:
    """The setting with which the first of the models does a workload fastest, and that all take.

    First fewer and fewer threads are tried, until fewer are slower; then the kinds of attention.
    A trial is the first batch with few new tokens, from which the time of all is reckoned. On a GPU
    nothing is tried: attention is the first model's own, if all take that.

    Args:
        models: Causal language models, on their device.
        work: Their workload.
        clock: Seconds.
    """
    first = models[0]
    default = current_config(first)
    attentions = [a for a in (default.attention, *ATTENTIONS) if all(_takes(m, a) for m in models)]
    default = replace(default, attention=attentions[0]) if attentions else default
    if next(first.parameters()).device.type != "cpu":
        return default
    try:
        with limited_memory("cpu"):
            return _fastest(first, work, default, attentions, clock)
    except (MemoryError, RuntimeError) as error:
        if not out_of_memory(error):
            raise
        return default  # the measurement itself will say so


def _fastest(
    model: Any,
    work: Workload,
    default: RuntimeConfig,
    attentions: Sequence[str],
    clock: Callable[[], float],
) -> RuntimeConfig:
    best, best_sec = default, _trial_sec(model, work, default, clock)
    threads = default.threads // 2
    while threads:
        setting = replace(default, threads=threads)
        if (sec := _trial_sec(model, work, setting, clock)) >= best_sec:
            break
        best, best_sec, threads = setting, sec, threads // 2
    for attention in dict.fromkeys(attentions):
        if attention != default.attention:
            setting = replace(best, attention=attention)
            if (sec := _trial_sec(model, work, setting, clock)) < best_sec:
                best, best_sec = setting, sec
    return best


def _takes(model: Any, attention: str) -> bool:
    """Whether a model can run with a kind of attention."""
    default = current_config(model).attention
    try:
        _set_attention(model, attention)
    except ValueError:  # transformers: this model has no such
        return False
    _set_attention(model, default)
    return True


def _trial_sec(
    model: Any, work: Workload, setting: RuntimeConfig, clock: Callable[[], float]
) -> float:
    """Seconds that a batch of the workload would take; infinite where its scores are too many."""
    new_tokens = min(work.new_tokens, _TRIAL_TOKENS)
    prompts = work.prompt_tokens[: work.batch]
    trial = replace(work, prompt_tokens=prompts, new_tokens=new_tokens)
    if setting.attention == "eager" and _scores_bytes(model, trial) > _SHARE * free_bytes("cpu"):
        return math.inf
    seconds = []
    with applied(setting, [model]):
        for _ in range(1 + _TRIALS):
            took = run_pass(model, trial, clock=clock)
            seconds.append(took.first_sec + (took.next_sec or 0.0) * (work.new_tokens - 1))
    return min(seconds[1:])


def _scores_bytes(model: Any, work: Workload) -> int:
    """Bytes of eager attention's scores of a layer, held as they are and in float32."""
    heads = int(model.config.get_text_config().num_attention_heads)
    return max(rows * length**2 for rows, length in work.batches) * heads * (4 + 4)


@contextmanager
def applied(setting: RuntimeConfig, models: Iterable[Any]) -> Iterator[None]:
    """Run models with a setting; afterwards all is as it was."""
    import torch

    models = list(models)
    before = [current_config(model) for model in models]
    threads = torch.get_num_threads()
    try:
        for model in models:
            _set_attention(model, setting.attention)
        torch.set_num_threads(setting.threads)
        with grouped_attention() if setting.attention == _GROUPED else nullcontext():
            yield
    finally:
        torch.set_num_threads(threads)
        for model, config in zip(models, before, strict=True):
            _set_attention(model, config.attention)


def _set_attention(model: Any, attention: str) -> None:
    name = "sdpa" if attention == _GROUPED else attention
    if model.config.get_text_config()._attn_implementation != name:
        model.set_attn_implementation(name)


@dataclass(frozen=True, kw_only=True)
class DtypeChoice:
    """The faster storage type on a device."""

    name: Literal["bfloat16", "float32"]
    speedup: float  # time of float32 / time of bfloat16 for the same matrix product


@cache
def faster_dtype(device: str = "cpu") -> DtypeChoice:
    """Whether bfloat16 or float32 is faster here, by a measured product of a GLU block's size.

    Processors without bfloat16 units emulate it, many times slower than float32. Takes a fraction
    of a second, once in a process.
    """
    import torch

    generator = torch.Generator().manual_seed(0)
    inputs = torch.rand(512, 576, generator=generator)
    weight = torch.rand(1536, 576, generator=generator)
    times = {}
    for dtype in (torch.float32, torch.bfloat16):
        a, b = inputs.to(device, dtype), weight.to(device, dtype)
        product = partial(torch.nn.functional.linear, a, b)
        rounds = [calls_sec(product, 4, a.device) for _ in range(9)]
        times[dtype] = min(rounds[1:])  # the least disturbed
    speedup = times[torch.float32] / times[torch.bfloat16]
    return DtypeChoice(name="bfloat16" if speedup >= 1 else "float32", speedup=speedup)
