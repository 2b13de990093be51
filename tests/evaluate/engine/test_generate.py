"""Greedy continuation of many prompts at once equals `model.generate` of each alone."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from continued import CASES, LIMIT, PROMPTS, alone, ended, prompts_of
from families import HIDDEN, VOCAB
from sharp import sharp

from widthwise.errors import RunError
from widthwise.evaluate.engine import Generated, Prompt, generate
from widthwise.evaluate.engine.generate import ends_in_loop


@pytest.mark.parametrize(("family", "changes"), CASES)
def test_each_text_is_what_the_library_writes(family: str, changes: dict[str, Any]) -> None:
    """Ragged prompts and limits, early ends, and places that are filled again."""
    model = sharp(family, **changes)
    written = alone(model, PROMPTS)
    assert len({tuple(text) for text in written}) == len(PROMPTS)
    ends = frozenset({written[0][3], written[3][7]})
    limits = [20, 5, 13, 20, 1, 20, 20]
    expected = [ended(text, n, ends) for text, n in zip(written, limits, strict=True)]
    for rows in (None, 3, 1):
        got = generate(model, prompts_of(limits), ends, rows=rows)
        assert [text.tokens for text in got] == expected, rows
        for text, tokens, limit in zip(got, expected, limits, strict=True):
            assert text.capped == (len(tokens) == limit)
            assert text.is_finite


def test_a_stop_string_ends_a_text_soon() -> None:
    """It is looked for every four tokens, and what comes after it is the caller's to cut."""
    model = sharp("llama")
    written = alone(model, PROMPTS)
    stop = written[3][5]
    asked = [Prompt(tokens=p, limit=LIMIT, is_over=lambda new: stop in new) for p in PROMPTS]
    for text, oracle in zip(generate(model, asked, frozenset(), rows=3), written, strict=True):
        if stop not in oracle:
            assert list(text.tokens) == oracle
            assert text.capped
            continue
        needed = oracle.index(stop) + 1
        assert list(text.tokens) == oracle[: len(text.tokens)]
        assert needed <= len(text.tokens) <= min(LIMIT, needed + 3)
        assert not text.capped
    (late,) = generate(  # found when the limit is met, between two looks
        model,
        [Prompt(tokens=PROMPTS[3], limit=6, is_over=lambda new: stop in new)],
        frozenset(),
    )
    assert late.tokens[-1] == stop
    assert not late.capped


def test_an_end_at_the_limit_or_at_once() -> None:
    model = sharp("llama")
    written = alone(model, PROMPTS[:1])[0]
    first = written.index(written[4])
    prompt = Prompt(tokens=PROMPTS[0], limit=first + 1)
    (text,) = generate(model, [prompt], frozenset({written[4]}))
    assert text == Generated(
        tokens=tuple(written[:first]), capped=False, loops=False, is_finite=True
    )
    (text,) = generate(model, [prompt], frozenset({written[0]}))
    assert text.tokens == ()
    assert not text.capped
    assert generate(model, [], frozenset()) == []


def test_loops_are_seen() -> None:
    """A model that says one token after all."""
    model = sharp("llama")
    model.lm_head = torch.nn.Linear(HIDDEN, VOCAB)
    with torch.no_grad():
        model.lm_head.weight.zero_()
        model.lm_head.bias.copy_(torch.arange(VOCAB) == 17)
    asked = [Prompt(tokens=PROMPTS[0], limit=limit) for limit in (23, 24)]
    short, long = generate(model, asked, frozenset())
    assert set(short.tokens) == set(long.tokens) == {17}
    assert (short.loops, long.loops) == (False, True)


@pytest.mark.parametrize(
    ("tokens", "loops"),
    [
        ([], False),
        ([7] * 23, False),  # too short
        ([7] * 24, True),
        ([1, 2, 3] * 8, True),
        ([1, 2, 3] * 7, False),
        ([9, *range(8), *range(8), *range(8)], True),
        ([*range(8), *range(8), *range(7)], False),  # the third time not to its end
        (list(range(12)) * 2, False),  # twice only
        (list(range(64)) * 3, True),
        (list(range(65)) * 3, False),  # a longer piece is no loop
        ([*range(64), *range(64), *range(64), 99], False),  # over, and on to something else
        ([5, 2, 3, *[1, 2, 3] * 8], True),
    ],
)
def test_a_loop_is_three_times_the_same(tokens: list[int], loops: bool) -> None:
    assert ends_in_loop(tokens) == loops


def test_numbers_that_are_not_finite_end_a_text() -> None:
    """A token of which the embedding is not finite spoils the texts that hold it, and no other."""
    model = sharp("llama")
    written = alone(model, PROMPTS)
    bad = next(token for token in written[3] if all(token not in p for p in PROMPTS))
    with torch.no_grad():
        model.get_input_embeddings().weight[bad] = torch.nan
    got = generate(model, prompts_of([LIMIT] * len(PROMPTS)), frozenset(), rows=3)
    for text, oracle in zip(got, written, strict=True):
        assert text.is_finite == (bad not in oracle[:-1])
        if text.is_finite:
            assert list(text.tokens) == oracle
        else:
            kept = oracle.index(bad) + 1
            assert list(text.tokens[:kept]) == oracle[:kept]
            assert len(text.tokens) == kept + 1  # the next is of no meaning, and the last
            assert not text.capped


def test_other_errors_pass() -> None:
    model = sharp("llama")
    with pytest.raises(IndexError):
        generate(model, [Prompt(tokens=(VOCAB + 1,), limit=3)], frozenset())


def test_a_text_may_not_grow_past_a_turn_of_frequencies() -> None:
    rope = {"rope_type": "longrope", "rope_theta": 1e4, "factor": 2.0}
    rope |= {"short_factor": [1.0] * 4, "long_factor": [1.0, 2.0, 3.0, 4.0]}
    model = sharp("phi3", rope_parameters=rope, original_max_position_embeddings=32)
    written = alone(model, PROMPTS, limit=18)
    asked = [Prompt(tokens=prompt, limit=18) for prompt in PROMPTS]
    assert [list(text.tokens) for text in generate(model, asked, frozenset(), rows=3)] == written
    with pytest.raises(RunError, match=r"more than 32 tokens .* may have 33"):
        generate(model, [Prompt(tokens=PROMPTS[3], limit=19)], frozenset())


def test_the_model_is_left_as_it_was() -> None:
    model = sharp("llama").train()
    generate(model, prompts_of([4] * len(PROMPTS)), frozenset())
    assert model.training


def test_a_prompt_knows_when_it_is_over_by_default() -> None:
    assert not Prompt(tokens=(1,), limit=1).is_over([1, 2])
