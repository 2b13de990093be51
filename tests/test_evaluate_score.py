"""Scores, their standard errors and their floors."""

from __future__ import annotations

import math
import random
from typing import Any

import numpy as np
import pytest
import torch
from families import tiny
from questions import oracle, prose, task, tokenizer

from widthwise.errors import RunError
from widthwise.evaluate import Item, Task, accuracy_floor, score_prose, score_task


@pytest.fixture(scope="module")
def words() -> Any:
    return tokenizer()


@pytest.fixture(scope="module")
def model() -> Any:
    return tiny("llama", vocab_size=307, max_position_embeddings=512)


@pytest.mark.parametrize("metric", ["acc", "acc_norm"])
def test_items_are_right_where_the_oracle_is(metric: str, model: Any, words: Any) -> None:
    questions = task(metric, ("", "first the width.\n\n"), items=24)
    expected = []
    for item in questions.items:
        values = np.array(oracle(model, words, item))
        if metric == "acc_norm":
            values = values / [len(option) - 1 for option in item.options]
        expected.append(float(values.argmax() == item.answer))
    done: list[int] = []
    score = score_task(model, words, questions, on_item=done.append)
    assert score.items == tuple(expected)
    assert 0 < score.value == np.mean(expected) < 1
    assert score.standard_error == pytest.approx(np.std(expected, ddof=1) / math.sqrt(24))
    assert (score.unit, score.n, score.higher_is_better) == ("accuracy", 24, True)
    assert done[-1] == 24


def test_the_two_metrics_differ(model: Any, words: Any) -> None:
    """Else the test above could not tell them apart."""
    acc, norm = (score_task(model, words, task(m, items=24)) for m in ("acc", "acc_norm"))
    assert acc.items != norm.items


def test_scores_are_the_same_twice(model: Any, words: Any) -> None:
    questions = task("acc_norm", items=12)
    assert score_task(model, words, questions) == score_task(model, words, questions)


def built(answers: list[int], options: tuple[str, ...]) -> Task:
    items = [Item(id=str(i), context="q", options=options, answer=a) for i, a in enumerate(answers)]
    return Task(name="t", metric="acc", shots=0, items=tuple(items), source="test")


def test_floor_is_the_better_of_chance_and_a_constant() -> None:
    four = (" A", " B", " C", " D")
    assert accuracy_floor(built([0, 1, 2, 3], four)) == (0.25, "chance")
    assert accuracy_floor(built([0, 1, 1, 3], four)) == (0.5, "always 'B'")
    assert accuracy_floor(built([1, 1, 1, 0], (" no", " yes"))) == (0.75, "always 'yes'")
    free = Item(id="x", context="q", options=(" y", " z", " w"), answer=2)
    mixed = built([2, 2], four)
    floor = accuracy_floor(Task(**{**vars(mixed), "items": (*mixed.items, free)}))
    assert floor == (1.0, "always option 3")
    uneven = built([0, 1], (" a", " b"))
    floor = accuracy_floor(Task(**{**vars(uneven), "items": (*uneven.items, free)}))
    assert floor == (pytest.approx((1 / 2 + 1 / 2 + 1 / 3) / 3), "chance")


def test_output_that_is_not_finite_names_task_and_item(words: Any) -> None:
    broken = tiny("llama", vocab_size=307)
    with torch.no_grad():
        broken.model.layers[1].mlp.up_proj.weight[3, 5] = torch.nan
    with pytest.raises(RunError, match="task test, item item 0: the model's output is not finite"):
        score_task(broken, words, task("acc"))
    with pytest.raises(RunError, match="prose, text 0: the model's output is not finite"):
        score_prose(broken, words, ["a net", "is cut"])


def test_items_that_cannot_be_scored_are_refused() -> None:
    with pytest.raises(RunError, match="item x: answer 2 is not one of 2 options"):
        Item(id="x", context="q", options=(" a", " b"), answer=2)
    with pytest.raises(RunError, match="item x: the question and its options must not be empty"):
        Item(id="x", context="", options=(" a", " b"), answer=0)
    item = Item(id="x", context="q", options=(" a", " b"), answer=0)
    for items in ((), (item,), (item, item)):
        with pytest.raises(
            RunError, match="task t: at least two items are needed, with distinct names"
        ):
            Task(name="t", metric="acc", shots=0, items=items, source="test")


def texts() -> list[str]:
    chance = random.Random(3)
    return [prose(chance, chance.randint(2, 60)) + " é — 1 < 2" for _ in range(9)]


def bits_of(model: Any, words: Any, text: str, length: int) -> float:
    """One token at a time, each from as many tokens before it as its window of lm-eval holds."""
    tokens = [1, *words.encode(text, add_special_tokens=False)]
    end, total = min(length + 1, len(tokens)), 0.0
    windows = [(0, 1, end)]
    while end < len(tokens):
        more = min(length, len(tokens) - end)
        windows.append((end + more - length - 1, end, end + more))
        end += more
    for start, first, stop in windows:
        for position in range(first, stop):
            logits = model(torch.tensor([tokens[start:position]])).logits[0, -1]
            total -= float(logits.log_softmax(-1)[tokens[position]]) / math.log(2)
    return total


@pytest.mark.parametrize("length", [16, 512])
def test_prose_counts_every_token_once(length: int, words: Any) -> None:
    model = tiny("llama", vocab_size=307, max_position_embeddings=length)
    with torch.no_grad():
        bits = np.array([bits_of(model, words, text, length) for text in texts()])
    sizes = np.array([len(text.encode()) for text in texts()])
    score = score_prose(model, words, texts())
    ratio = bits.sum() / sizes.sum()
    assert score.value == pytest.approx(ratio, rel=1e-6)  # float32 sums
    # Cochran's ratio estimator, written out
    n, residuals = len(bits), bits - ratio * sizes
    error = math.sqrt((residuals**2).sum() / (n - 1) / n) / sizes.mean()
    assert score.standard_error == pytest.approx(error, rel=1e-4)
    assert np.mean(score.items) == pytest.approx(score.value)
    assert (score.n, score.unit, score.higher_is_better) == (9, "bits_per_byte", False)


def test_prose_floor_is_the_entropy_of_bytes(model: Any, words: Any) -> None:
    assert score_prose(model, words, ["aabb", "abab"]).floor == pytest.approx(1.0)
    assert score_prose(model, words, ["abcd", "aaaa"]).floor == pytest.approx(
        5 / 8 * math.log2(8 / 5) + 3 / 8 * 3
    )


def test_a_uniform_model_needs_the_logarithm_of_its_vocabulary(words: Any) -> None:
    flat = tiny("llama", vocab_size=307, max_position_embeddings=512)
    with torch.no_grad():
        flat.lm_head.weight.zero_()
    score = score_prose(flat, words, texts())
    tokens = sum(len(words.encode(text)) for text in texts())
    size = sum(len(text.encode()) for text in texts())
    assert score.value == pytest.approx(tokens * math.log2(307) / size, rel=1e-6)


def test_prose_needs_texts(model: Any, words: Any) -> None:
    for wrong in ([], ["one"], ["one", ""]):
        with pytest.raises(
            RunError, match="prose: at least two texts are needed, none of them empty"
        ):
            score_prose(model, words, wrong)
