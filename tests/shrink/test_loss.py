"""How much was lost, in one number."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from findings_records import perplexity, right
from report_records import score

from widthwise.errors import RunError
from widthwise.findings import TaskPair, task_pairs
from widthwise.shrink import loss_of
from widthwise.stats import paired_difference
from widthwise.study import Record

DENSE, CUT = (None, "dense", 1536), (None, "dense", 1376)


def pair(before: Any, after: Any, task: str = "piqa", **rest: Any) -> TaskPair:
    """A task of both models, by the values of its items."""
    (found,) = task_pairs([score(CUT, task, after, **rest)], [score(DENSE, task, before, **rest)])
    return found


def text(rise: float, *, noise: float = 0.01, items: int = 40) -> TaskPair:
    """Bits per byte that rise by a share."""
    rng = np.random.default_rng(3)
    before = rng.normal(1, 0.1, items)
    after = before * (1 + rise + rng.normal(0, noise, items))
    how = {"unit": "bits_per_byte", "floor": 4.0, "higher_is_better": False}
    return pair(before, after, "prose", **how)


def test_the_loss_of_answers_is_the_share_of_right_ones_that_went() -> None:
    one = pair(right(150, 200), right(135, 200))
    loss = loss_of([one], 0.2)
    assert loss.value == pytest.approx(15 / 150)
    known = paired_difference(right(135, 200), right(150, 200))
    assert loss.low == pytest.approx(-known.high / 0.75)
    assert loss.high == pytest.approx(-known.low / 0.75)
    assert loss.is_within
    assert not loss_of([one], 0.1).is_within  # the interval reaches beyond
    assert str(loss).endswith("on piqa, within the 20.0 % that are allowed")
    assert "more than the 1.0 % that are allowed" in str(loss_of([one], 0.01))
    assert "not shown to be within the 10.0 %" in str(loss_of([one], 0.1))


def test_a_perplexity_is_compared_by_its_ratio() -> None:
    logs = np.random.default_rng(0).normal(3, 0.5, 60)
    before, after = perplexity(1536, logs), perplexity(1376, logs + 0.1)
    (one,) = task_pairs([Record(**{**vars(after), "criterion": None, "asked": "dense"})], [before])
    assert loss_of([one], 0.2).value == pytest.approx(np.expm1(0.1), rel=1e-6)


def test_texts_decide_where_there_are_any_and_others_must_not_contradict() -> None:
    same = pair(right(150, 200), right(148, 200))
    worse = pair(right(150, 200), right(90, 200), "arc_easy")
    loss = loss_of([same, text(0.01)], 0.02)
    assert loss.tasks == ("prose",)
    assert loss.value == pytest.approx(0.01, abs=0.005)  # three standard errors, .01 / √40 each
    assert loss.is_within
    contradicted = loss_of([worse, text(0.01)], 0.02)
    assert contradicted.others == ("arc_easy",)
    assert not contradicted.is_within
    assert str(contradicted).endswith("on prose, and of more than 2.0 % on arc_easy")


def test_without_texts_it_is_the_mean_with_an_interval_of_recovered_variances() -> None:
    one, two = pair(right(150, 200), right(135, 200)), pair(right(160, 200), right(160, 200), "b")
    both, first, second = (loss_of(pairs, 0.1) for pairs in ([one, two], [one], [two]))
    assert both.tasks == ("piqa", "b")
    assert both.value == pytest.approx((first.value + second.value) / 2)
    reach = np.hypot(first.high - first.value, second.high - second.value) / 2
    assert both.high - both.value == pytest.approx(reach)
    assert str(both).startswith("a loss of 5.0 % [")
    assert "on the mean of piqa and b" in str(both)


def test_what_does_not_beat_the_floor_has_nothing_to_lose() -> None:
    low = pair(right(50, 200), right(48, 200), floor=0.25)
    assert loss_of([low, text(0.01)], 0.02).tasks == ("prose",)
    with pytest.raises(RunError, match="at none of the tasks the model without a cut beats"):
        loss_of([low], 0.02)


@pytest.mark.long
@pytest.mark.parametrize("items", [100, 400])
def test_a_loss_of_the_limit_is_called_allowed_as_rarely_as_is_said(items: int) -> None:
    """Three tasks, of whose right answers a cut loses exactly the limit in the mean."""
    rng, draws, wrongly = np.random.default_rng(items), 800, 0
    chances, lost, won = (0.55, 0.7, 0.85), 0.12, 0.03
    limit = np.mean([(lost * p - won * (1 - p)) / p for p in chances])
    for _ in range(draws):
        pairs = []
        for name, chance in zip("abc", chances, strict=True):
            before = rng.random(items) < chance
            flips = rng.random(items) < np.where(before, lost, won)
            pairs.append(pair(before * 1.0, (before ^ flips) * 1.0, name, floor=0.25))
        wrongly += loss_of(pairs, float(limit)).is_within
    # 2 % of 800 draws has a standard error of 0.5 points; four of them.
    assert wrongly / draws <= 0.02 + 0.02


@pytest.mark.long
@pytest.mark.parametrize("items", [8, 24, 60])
def test_a_rise_of_the_limit_is_called_allowed_as_rarely_as_is_said(items: int) -> None:
    rng, draws, wrongly = np.random.default_rng(items), 1000, 0
    how = {"unit": "bits_per_byte", "floor": 4.0, "higher_is_better": False}
    for _ in range(draws):
        before = rng.gamma(20, 0.05, items)
        after = before + 0.02 * rng.gamma(2, 0.5, items)  # skewness 1.4, 2 % of 1 in the mean
        wrongly += loss_of([pair(before, after, "prose", **how)], 0.02).is_within
    # 5 % of 1,000 draws has a standard error of 0.7 points; three of them.
    assert wrongly / draws <= 0.05 + 0.021


def test_few_texts_show_nothing() -> None:
    loss = loss_of([text(0.01, items=7)], 0.5)
    assert loss.high == np.inf
    assert not loss.is_within
