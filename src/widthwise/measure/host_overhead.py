"""Time that the host needs to ask for a forward pass, whatever the device then computes.

A model of the same kind and as many layers, but of 8 numbers a head and 8 neurons a block, asks for
the same operations and gives them next to nothing to do. What its pass takes is Python, dispatch
and launches: no pass of the real model is shorter.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from ..io import limited_memory
from .decoders import Decoders
from .workload_pass import run_pass
from .workloads import Workload

_SMALL = 8  # numbers a head, neurons a block, words of the vocabulary
_PASSES = 3  # after one that warms up; the shortest counts, as for the other ceilings
_NEW_TOKENS = 8


@dataclass(frozen=True, kw_only=True)
class HostTime:
    """Seconds that the host takes for a pass."""

    prefill_sec: float | None  # to ask for the reading of a batch of prompts
    step_sec: float | None  # to ask for one new token of a batch; None where there is no step
    reason: str | None = None  # why both are None: a model of this kind cannot be so small


def host_time(
    model: Any, work: Workload, *, clock: Callable[[], float] = time.perf_counter
) -> HostTime:
    """Measure the host on a model's `layerless_copy`; takes a fraction of a second.

    Args:
        model: A causal language model, on its device, with the attention that it will run with.
        work: Its batches have as many rows; prompts are one token long, and few are written.
        clock: Seconds.
    """
    rows = work.batches[0][0]
    short = replace(
        work, prompt_tokens=(1,) * rows, new_tokens=min(work.new_tokens, _NEW_TOKENS), batch=rows
    )
    try:
        small = layerless_copy(model)
        decoders = Decoders(small, short)
        with limited_memory(next(small.parameters()).device.type):
            passes = [
                run_pass(small, short, decoders=decoders, clock=clock) for _ in range(1 + _PASSES)
            ]
    except Exception as error:  # of many kinds, by what a family cannot have so small
        reason = f"no skeleton: {(str(error).splitlines() or [type(error).__name__])[0]}"
        return HostTime(prefill_sec=None, step_sec=None, reason=reason)
    del passes[0]
    steps = [p.next_sec for p in passes if p.next_sec is not None]
    return HostTime(prefill_sec=min(p.first_sec for p in passes), step_sec=min(steps, default=None))


def layerless_copy(model: Any) -> Any:
    """A random model with a model's layers and heads, and hardly any numbers in them."""
    from transformers import AutoModelForCausalLM

    make: Any = AutoModelForCausalLM.from_config
    config: Any = copy.deepcopy(model.config.get_text_config())
    config.hidden_size = _SMALL * config.num_attention_heads
    config.head_dim = config.intermediate_size = config.vocab_size = _SMALL
    config.pad_token_id = config.bos_token_id = config.eos_token_id = 0  # some must have them
    config.rope_parameters = _plain(config.rope_parameters)
    weight = next(model.parameters())
    small = make(config, dtype=weight.dtype, attn_implementation=config._attn_implementation)
    return small.to(weight.device).eval()


def _plain(rope: dict[str, Any]) -> dict[str, Any]:
    """Rotations without lists of a factor for each number of a head."""
    if any(isinstance(value, dict) for value in rope.values()):
        return {name: _plain(part) for name, part in rope.items()}
    settings = {k: v for k, v in rope.items() if k in ("rope_theta", "partial_rotary_factor")}
    return {**settings, "rope_type": "default"}
