"""Batches of texts whose rows come and go: of one length, of any length, in any number."""

from __future__ import annotations

import random
from typing import Any

import pytest
import torch
from continued import LIMIT, PROMPTS, SLIDING, alone, ended, prompts_of
from families import VOCAB
from sharp import sharp

from widthwise.errors import RunError
from widthwise.evaluate.engine import CacheUse, Prompt, TokenBudget, generate
from widthwise.evaluate.engine.kv_cache import PaddedKVCache


@pytest.mark.parametrize(("family", "use"), [(f, "own") for f in SLIDING] + [("llama", "none")])
def test_rows_of_one_length_are_written_without_padding(
    family: str, use: CacheUse, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the library's own cache, of which a sliding layer keeps the end alone, and with none."""
    monkeypatch.setattr(PaddedKVCache, "of", pytest.fail)
    model = sharp(family, **({} if family == "llama" else {"sliding_window": 8}))
    prompts = [*PROMPTS[1:5], *([tokens[0] + 1, *tokens[1:]] for tokens in PROMPTS[1:5])]
    written = alone(model, prompts)
    ends = frozenset({written[0][3], written[2][7]})
    asked = [Prompt(tokens=tuple(tokens), limit=LIMIT) for tokens in prompts]
    got = generate(model, asked, ends, rows=4, use=use)
    assert [text.tokens for text in got] == [ended(text, LIMIT, ends) for text in written]


def test_many_more_prompts_than_places() -> None:
    model, draw = sharp("llama"), random.Random(1)
    prompts = [tuple(draw.choices(range(3, VOCAB), k=draw.randint(1, 20))) for _ in range(25)]
    written = alone(model, prompts)
    ends = frozenset({token for text in written for token in text[6:8]})
    done: list[int] = []
    asked = [Prompt(tokens=prompt, limit=LIMIT) for prompt in prompts]
    forward, read = model.forward, []

    def watching(input_ids: Any, **kwargs: Any) -> Any:
        read.append(input_ids.shape)
        return forward(input_ids, **kwargs)

    model.forward = watching
    got = generate(model, asked, ends, rows=4, budget=TokenBudget(30), on_done=done.append)
    assert max(rows for rows, _ in read) == 4
    assert all(rows == 1 or rows * width <= 30 for rows, width in read)
    assert [text.tokens for text in got] == [ended(text, LIMIT, ends) for text in written]
    assert done == sorted(set(done))
    assert done[-1] == len(prompts)


def test_a_text_that_is_over_takes_no_further_position() -> None:
    """It keeps its place for a while; a model with learned positions has no more of them."""
    model, highest = sharp("llama"), []
    forward = model.forward

    def watching(input_ids: Any, **kwargs: Any) -> Any:
        highest.append(int(kwargs["position_ids"].max()))
        return forward(input_ids, **kwargs)

    model.forward = watching
    limits = [LIMIT, LIMIT, LIMIT, 1, LIMIT, LIMIT, 2]  # two of seven are over at once
    generate(model, prompts_of(limits), frozenset(), use="joined")
    assert max(highest) == 9 + LIMIT - 2  # the last token that is read of the second prompt


class Failing:
    """Raises as a device does that has no room, at one call, or where a batch is too large."""

    def __init__(self, function: Any, *, at: int = -1, most: int = 1 << 30) -> None:
        self.function, self.at, self.most, self.calls = function, at, most, 0

    def __call__(self, first: Any, *args: Any, **kwargs: Any) -> Any:
        self.calls += 1
        size = first.numel() if isinstance(first, torch.Tensor) else 0
        if self.calls - 1 == self.at or size > self.most:
            raise torch.OutOfMemoryError("no room")
        return self.function(first, *args, **kwargs)


@pytest.mark.parametrize("family", ["llama", "gemma2"])
def test_out_of_memory_at_any_time_changes_nothing(
    family: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At each forward pass, and where rows of the cache are joined or chosen."""
    model = sharp(family)
    written = alone(model, PROMPTS, limit=9)
    ends = frozenset({written[0][3], written[3][7], written[5][1]})
    limits = [9, 5, 7, 8, 1, 9, 6]
    expected = [ended(text, n, ends) for text, n in zip(written, limits, strict=True)]
    forward, joined, chosen = model.forward, PaddedKVCache.joined, PaddedKVCache.chosen
    failed = 0
    for at in range(8):
        for name in ("forward", "joined", "chosen"):
            call = Failing({"forward": forward, "joined": joined, "chosen": chosen}[name], at=at)
            with monkeypatch.context() as patch:
                if name == "forward":
                    patch.setattr(model, "forward", call)
                else:
                    patch.setattr(PaddedKVCache, name, lambda *args, call=call: call(*args))
                budget = TokenBudget(1024)
                asked = prompts_of(limits)
                got = generate(model, asked, ends, rows=3, budget=budget, use="joined")
            assert [text.tokens for text in got] == expected, (name, at)
            assert budget.halved == int(call.calls > at)
            failed += budget.halved
    assert failed >= 8


def test_room_for_few_tokens_is_enough() -> None:
    model = sharp("llama")
    written = alone(model, PROMPTS)
    model.forward = Failing(model.forward, most=40)
    budget = TokenBudget(1024)
    asked = prompts_of([LIMIT] * len(PROMPTS))
    got = generate(model, asked, frozenset(), budget=budget)
    assert [list(text.tokens) for text in got] == written
    assert budget.halved > 1
    model.forward = Failing(model.forward, most=10)
    with pytest.raises(RunError, match="a single prompt does not fit into memory"):
        generate(model, asked, frozenset(), use="joined")
    with pytest.raises(RunError, match="a few short texts do not fit into memory"):
        generate(model, asked, frozenset())
