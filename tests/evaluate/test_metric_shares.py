"""Shares of items in a metric: they add up, and their spread is its error."""

from __future__ import annotations

import dataclasses
import json
import math
import statistics
from typing import Any

import numpy as np
import pytest
from harness_answers import Oracle, draw
from scored_tasks import LIMIT, METRICS, NO_FLOOR, needs_nltk_data, scored

from widthwise.evaluate import (
    answer_task,
    score_answers,
)
from widthwise.evaluate.score import item_values

CASES = [
    pytest.param(name, metric, marks=needs_nltk_data if name == "ifeval" else ())
    for name, metrics in METRICS.items()
    for metric in metrics
]


@pytest.mark.parametrize(("name", "metric"), CASES)
def test_shares_add_up_and_their_spread_is_that_of_a_bootstrap(
    name: str, metric: str, task_of: Any
) -> None:
    task = dataclasses.replace(task_of(name), metric=metric)
    score = scored(task)
    assert len(score.items) == score.n == LIMIT
    assert score.standard_error is not None
    mean = statistics.fmean(score.items)
    if metric in ("f1", "mcc", "inst_level_strict_acc", "inst_level_loose_acc"):
        # Pseudo-values of the jackknife: off by the estimated bias, O(1/n) beside an error O(1/√n).
        assert abs(mean - score.value) < score.standard_error
    else:  # the terms beside the value add up to nothing, up to rounding
        assert mean == pytest.approx(score.value, rel=1e-9, abs=1e-12)

    values = item_values(task, score.answers)
    aggregate = task.parts[0].lm_task.aggregation()[metric]
    repeats = 400 if metric in ("f1", "mcc") else 1500
    dice = draw(name, metric)
    again = [float(aggregate(dice.choices(values, k=LIMIT))) for _ in range(repeats)]
    # The bootstrap's own error is 1/sqrt(2 repeats) <= 3.5 %; it is sqrt(n/(n-1)) = 1.2 % narrower;
    # and curved metrics (mcc, f1) differ in the next order, 1/sqrt(n) = 16 % of it at most.
    assert score.standard_error == pytest.approx(statistics.stdev(again), rel=0.25)


def test_a_mean_has_the_standard_error_of_a_mean(task_of: Any) -> None:
    score = scored(task_of("piqa"), "acc")
    p = score.value
    # Bessel's correction of a share of right answers: sqrt(p (1 - p) / (n - 1)).
    assert score.standard_error == pytest.approx(math.sqrt(p * (1 - p) / (LIMIT - 1)), rel=1e-12)
    assert set(score.items) == {0.0, 1.0}


def test_one_item_has_no_standard_error_and_few_are_not_shared_out(task_of: Any) -> None:
    task = task_of("own")
    answers = answer_task(Oracle(), task)
    assert score_answers(task, answers[:2], NO_FLOOR).items == ()
    assert score_answers(task, answers[:2], NO_FLOOR).standard_error is None
    piqa = task_of("piqa")
    one = score_answers(piqa, answer_task(Oracle(), piqa)[:1], NO_FLOOR)
    assert (len(one.items), one.standard_error) == (1, None)


def test_numbers_of_numpy_are_shared_out_as_a_mean(task_of: Any) -> None:
    """Also where there are too many for the jackknife."""
    task = task_of("piqa")
    (first, *_) = answer_task(Oracle(), task)
    right = [np.bool_(number % 3 == 0) for number in range(3001)]
    answers = [dataclasses.replace(first, metrics={"acc_norm,none": value}) for value in right]
    score = score_answers(task, answers, NO_FLOOR)
    assert score.items == tuple(float(value) for value in right)
    json.dumps(score.items)
