"""One pass of a workload: what is read, what is written, and which time is whose."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from families import tiny

from widthwise.measure import Workload, run_pass, workload


@pytest.fixture
def models() -> dict[str, Any]:
    return {"wide": tiny("llama"), "narrow": tiny("llama", intermediate_size=16)}


@pytest.fixture
def shapes(models: dict[str, Any]) -> Iterator[list[tuple[int, ...]]]:
    """Rows and tokens of every pass of the wide model."""
    seen: list[tuple[int, ...]] = []
    hook = (
        models["wide"]
        .get_input_embeddings()
        .register_forward_hook(lambda module, inputs, output: seen.append(tuple(inputs[0].shape)))
    )
    yield seen
    hook.remove()


def ticking(step: float = 1.0) -> Any:
    """A clock that goes on by a step at every look."""
    ticks = itertools.count()
    return lambda: step * next(ticks)


def test_every_prompt_is_read_and_a_fixed_number_of_tokens_written(
    models: dict[str, Any], shapes: list[tuple[int, ...]]
) -> None:
    """Even when every token is end-of-text."""
    model = models["wide"]
    with torch.no_grad():
        model.lm_head.weight.zero_()  # all logits equal: argmax is token 0
    model.config.eos_token_id = model.generation_config.eos_token_id = 0
    work = Workload(name="three", prompt_tokens=(7, 5, 4), new_tokens=3, batch=2)
    run_pass(model, work)
    assert shapes == [(2, 7), (2, 1), (2, 1), (1, 4), (1, 1), (1, 1)]
    assert work.tokens == 9


def test_the_first_token_comes_with_the_prompt(models: dict[str, Any]) -> None:
    """Three looks at the clock a batch: before, at the first token, at the last."""
    got = run_pass(models["wide"], workload("4x1x2"), clock=ticking())
    assert (got.first_sec, got.next_sec, got.all_sec) == (1, None, 2)
    got = run_pass(models["wide"], workload("4x5"), clock=ticking(2.0))
    assert (got.first_sec, got.next_sec, got.all_sec) == (2, 2 / 4, 4)


def test_time_grows_with_tokens(models: dict[str, Any]) -> None:
    """On a clock that goes on by one for each token that is read."""
    now = 0

    def read(_: Any, inputs: Any, __: Any) -> None:
        nonlocal now
        now += inputs[0].numel()

    models["wide"].get_input_embeddings().register_forward_hook(read)
    for prompt, new, rows in ((4, 2, 1), (8, 2, 1), (8, 9, 1), (8, 9, 3)):
        got = run_pass(models["wide"], workload(f"{prompt}x{new}x{rows}"), clock=lambda: now)
        assert (got.first_sec, got.next_sec) == (prompt * rows, rows)
        assert got.all_sec == rows * (prompt + new - 1)  # the last token is written, not read
