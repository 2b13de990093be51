"""Greedy continuation of many prompts at once equals `model.generate` of each alone."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from families import FAMILIES, HIDDEN, VOCAB
from sharp import sharp

from widthwise.errors import RunError
from widthwise.evaluate.engine import CacheUse, Generated, Prompt, TokenBudget, cache_use, generate
from widthwise.evaluate.engine.generate import ends_in_loop
from widthwise.evaluate.engine.kv_cache import PaddedKVCache

LIMIT = 20
LENGTHS = (3, 9, 1, 14, 6, 2, 11)
PROMPTS = [tuple(random.Random(length).choices(range(3, VOCAB), k=length)) for length in LENGTHS]
SLIDING = ["mistral", "gemma2", "gemma3_text", "exaone4", "phi3"]
CASES = [*((family, {}) for family in FAMILIES), *((f, {"sliding_window": 8}) for f in SLIDING)]


def alone(model: Any, prompts: Sequence[Sequence[int]], limit: int = LIMIT) -> list[list[int]]:
    """What the library writes, one prompt at a time, up to the limit."""
    model.generation_config.eos_token_id = None
    written = []
    for prompt in prompts:
        ids = torch.tensor([list(prompt)])
        whole = model.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            do_sample=False,
            max_new_tokens=limit,
            pad_token_id=0,
        )
        written.append(whole[0, len(prompt) :].tolist())
    return written


def ended(written: Sequence[int], limit: int, ends: frozenset[int]) -> tuple[int, ...]:
    """The oracle's tokens up to the limit, before the first that ends a text."""
    kept = list(written[:limit])
    stop = next((place for place, token in enumerate(kept) if token in ends), len(kept))
    return tuple(kept[:stop])


def prompts_of(limits: Sequence[int]) -> list[Prompt]:
    pairs = zip(PROMPTS, limits, strict=True)
    return [Prompt(tokens=tokens, limit=limit) for tokens, limit in pairs]


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


def test_rows_of_every_family_may_be_joined_but_of_one_that_attends_in_chunks() -> None:
    assert {cache_use(sharp(family, **changes)) for family, changes in CASES} == {"joined"}
    model = sharp("llama")
    model.config.attention_chunk_size = 8
    assert cache_use(model) != "joined"


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


def test_the_cache_grows_past_its_first_room() -> None:
    """Room is made 64 tokens at a time: 130 tokens need it twice."""
    model = sharp("llama", max_position_embeddings=256)
    written = alone(model, PROMPTS[:3], limit=130)
    asked = [Prompt(tokens=prompt, limit=130) for prompt in PROMPTS[:3]]
    got = generate(model, asked, frozenset(), rows=2)
    assert [list(text.tokens) for text in got] == written


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
