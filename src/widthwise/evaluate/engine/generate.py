"""Greedy continuation of many prompts at once: a row that ends makes room for the next prompt.

The rows of a batch are padded on the left, so that all write their next token at the same place. A
batch that waits for its longest row computes the others in vain; here ended rows are taken out and
waiting prompts put in. The key-value cache is written in place, not copied for every token.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from ...errors import RunError
from ...io import out_of_memory
from .cache_trial import CacheUse, cache_use
from .generation_batch import BatchRow, batch_of
from .lm_head import TokenBudget, evaluating, rope_limit

_LOOK_EVERY = 4  # tokens between two searches for stop strings; what comes after one is cut off
_LOOP_TOKENS, _LOOP_TIMES, _LOOP_PERIOD = 24, 3, 64


@dataclass(frozen=True, kw_only=True)
class Prompt:
    """A text to continue.

    Attributes:
        tokens: At least one.
        limit: New tokens at most.
        is_over: Whether these new tokens hold a stop string.
    """

    tokens: tuple[int, ...]
    limit: int
    is_over: Callable[[Sequence[int]], bool] = lambda _: False


@dataclass(frozen=True, kw_only=True)
class Generated:
    """A continuation."""

    tokens: tuple[int, ...]  # new tokens, the end-of-text token left out
    capped: bool  # whether it was cut off at the limit
    loops: bool  # whether it ends in one piece of text said over and over (`ends_in_loop`)
    is_finite: bool  # whether the model's output was finite all along


def ends_in_loop(tokens: Sequence[int]) -> bool:
    """Whether the last tokens are one piece repeated: three times at least, and 24 tokens or more.

    A piece is at most 64 tokens long.

    Example:
        >>> ends_in_loop([9] + [1, 2, 3] * 8), ends_in_loop(range(100))
        (True, False)
    """
    tokens = list(tokens)
    for period in range(1, _LOOP_PERIOD + 1):
        size = max(_LOOP_TIMES * period, _LOOP_TOKENS)
        tail = tokens[-size:]
        if len(tail) == size and tail[period:] == tail[:-period]:
            return True
    return False


def generate(
    model: Any,
    prompts: Sequence[Prompt],
    ends: frozenset[int],
    *,
    rows: int | None = None,
    budget: TokenBudget | None = None,
    use: CacheUse | None = None,
    on_done: Callable[[int], None] = lambda _: None,
) -> list[Generated]:
    """Continue each prompt with the most probable token, again and again.

    Args:
        model: Any `AutoModelForCausalLM`; left as it was.
        prompts: In any order.
        ends: Token ids that end a text.
        rows: Prompts that are continued at the same time; by default what suits the device.
        budget: Tokens of prompts read in one pass.
        use: Result of `cache_use` for the model; by default the model is tried here,
            which takes up to a dozen short passes.
        on_done: Called with the number of prompts done so far.

    Raises:
        RunError: Not even one prompt fits into memory, or a text may grow past the length where a
            model turns its positions otherwise (longrope, dynamic scaling).
    """
    import torch

    _check_turn(model, prompts)
    texts = [BatchRow(prompt.tokens, partial(_is_over, prompt, ends)) for prompt in prompts]
    waiting = deque(sorted(texts, key=lambda row: -len(row.prompt)))
    on_cpu = next(model.parameters()).device.type == "cpu"
    size, budget = rows or (64 if on_cpu else 256), budget or TokenBudget.of(model)
    table = batch_of(model, use or cache_use(model), size, budget)
    done = 0
    with evaluating(model), torch.inference_mode():
        while waiting or not table.is_empty:
            try:
                table.step(waiting)
            except (MemoryError, RuntimeError) as error:
                if not out_of_memory(error):
                    raise
                if table.size == 1:
                    raise RunError("a single prompt does not fit into memory") from error
                waiting.extendleft(reversed(table.give_back()))
            over = sum(row.is_over for row in texts)
            if over > done:
                done = over
                on_done(done)
    return [_generated(row, prompt, ends) for row, prompt in zip(texts, prompts, strict=True)]


def _check_turn(model: Any, prompts: Sequence[Prompt]) -> None:
    """A text must not grow past the length from which on all its positions turn otherwise."""
    limit = rope_limit(model)
    longest = max((len(prompt.tokens) + prompt.limit for prompt in prompts), default=0)
    if longest > limit:
        raise RunError(
            f"the model treats texts of more than {limit} tokens differently, and a prompt with "
            f"its continuation may have {longest} tokens: ask for fewer new tokens, or pass "
            "--backend hf"
        )


def _is_over(prompt: Prompt, ends: frozenset[int], new: Sequence[int]) -> bool:
    """Whether a text has come to its end, as far as it is time to look."""
    if new[-1] in ends or len(new) >= prompt.limit:
        return True
    return len(new) % _LOOK_EVERY == 0 and prompt.is_over(new)


def _generated(row: BatchRow, prompt: Prompt, ends: frozenset[int]) -> Generated:
    ended = row.new[-1] in ends
    tokens = tuple(row.new[:-1] if ended else row.new)
    return Generated(
        tokens=tokens,
        capped=len(row.new) >= prompt.limit and not ended and not prompt.is_over(tokens),
        loops=ends_in_loop(tokens),
        is_finite=row.is_finite,
    )
