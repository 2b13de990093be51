"""Whether a score beats its floor: by known numbers, by simulation, and of older records."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from findings_records import place
from report_records import score

from widthwise.findings import beats_its_floor, estimate_of
from widthwise.findings.floor_estimates import floor_of, shared_luck
from widthwise.stats import Estimate, Positive, beats_floor, confidence_sequence, share_interval
from widthwise.study import Record


def asked(
    items: np.ndarray, floor_items: np.ndarray | None, floor: float, **more: object
) -> Record:
    """Answers of the dense model to a task, beside a floor."""
    values = tuple(float(item) for item in items)
    known = () if floor_items is None else tuple(float(item) for item in floor_items)
    found = score(place("ppm", 1536), "boolq", values)
    return replace(found, floor=floor, floor_kind="always 'yes'", floor_items=known, **more)


def error_of(share: float, n: int) -> float:
    return math.sqrt(share * (1 - share) / n)


@pytest.mark.parametrize("paired", [True, False], ids=["paired", "older records"])
@pytest.mark.parametrize("n", [60, 400])
@pytest.mark.parametrize("leaning", [0.0, 0.5], ids=["blind", "leaning"])
def test_a_scorer_as_good_as_the_floor_seldom_beats_it(
    paired: bool, n: int, leaning: float
) -> None:
    """Right as often as the larger class in truth, .6217, whose share is counted on the same items.

    Nominal are 2.5 %, and 5 % are promised; by the number alone it was 8 to 9 %. 1,000 samples have
    an error of 0.5 points. `leaning` is the share of items where the scorer answers `yes` as well.
    """
    rng, beaten, truth = np.random.default_rng(n), 0, 0.6217
    for _ in range(1000):
        floor_items = rng.random(n) < truth
        own = np.where(rng.random(n) < leaning, floor_items, rng.random(n) < truth)
        floor = float(floor_items.mean())
        counted = {"floor_n": n, "floor_error": error_of(floor, n)} if paired else {}
        beaten += beats_its_floor(asked(own, floor_items if paired else None, floor, **counted))
    assert beaten / 1000 < 0.04


def test_a_floor_of_many_documents_is_nearly_a_known_number() -> None:
    """60 items of 14,042: 39 of 60 beats .5 known by its interval, and that of many as well."""
    own = np.arange(60) < 39
    record = asked(own, None, 0.5, floor_n=14042, floor_error=error_of(0.5, 14042))
    assert beats_its_floor(record)
    assert not beats_its_floor(replace(record, floor_n=60, floor_error=error_of(0.5, 60)))


def test_what_score_and_floor_share_counts() -> None:
    """Right wherever `yes` is, and on 12 more of 200: that no luck of the items explains."""
    floor_items = np.arange(200) < 100
    own = np.arange(200) < 112
    counted = {"floor_n": 200, "floor_error": error_of(0.5, 200)}
    record = asked(own, floor_items, 0.5, **counted)
    # 100 of both, 12 of one, 88 of none.
    known = (100 * 200 - 112 * 100) / math.sqrt(112 * 88 * 100 * 100)
    assert shared_luck(record) == pytest.approx(known, abs=1e-12)
    assert beats_its_floor(record)
    assert not beats_its_floor(replace(record, floor_items=()))


def test_luck_is_shared_on_the_items_alone() -> None:
    items = np.arange(50) < 25
    record = asked(items, items, 0.5, floor_n=5000, floor_error=error_of(0.5, 5000))
    assert shared_luck(record) == pytest.approx(math.sqrt(50 / 5000), abs=1e-12)


def test_a_score_that_stopped_early_beats_the_floor_by_the_interval_of_every_stop() -> None:
    """130 of 200: Wilson's [.582, .713] is above .56, [.547, .751] at every stop is not."""
    items = 7 * np.arange(200) % 20 < 13
    whole = asked(items, None, 0.56, floor_n=14042, floor_error=error_of(0.56, 14042))
    stopped = replace(whole, settings={**whole.settings, "until": 0.05})
    found = confidence_sequence(whole.items, low=0.0, high=1.0)
    for record, ends in (
        (whole, share_interval(0.65, 200)),
        (stopped, (found.low, found.high)),
    ):
        score = estimate_of(record)
        assert score is not None
        assert score.interval() == pytest.approx(ends)
    assert found.low < 0.56 < share_interval(0.65, 200)[0]
    assert beats_its_floor(whole)
    assert not beats_its_floor(stopped)
    assert beats_its_floor(replace(stopped, floor=0.5, floor_error=error_of(0.5, 14042)))


@pytest.mark.parametrize("kind", ["chance", "uniform likelihood"])
def test_an_even_guess_of_an_older_record_is_a_known_number(kind: str) -> None:
    record = replace(asked(np.ones(9), None, 0.25), floor_kind=kind)
    assert floor_of(record) == 0.25


def test_a_guess_that_is_the_same_on_every_document_is_a_known_number() -> None:
    guess = np.full(9, 0.25)
    record = asked(np.ones(9), guess, 0.25, floor_n=4000, floor_error=0.0)
    assert floor_of(record) == 0.25
    assert shared_luck(record) == 0.0


def test_an_older_floor_of_no_share_is_as_uncertain_as_the_score() -> None:
    record = replace(
        asked(np.ones(9), None, 400.0),
        unit="perplexity",
        value=100.0,
        standard_error=10.0,
        items=(),
    )
    floor = floor_of(record)
    assert isinstance(floor, Positive)
    assert (floor.value, floor.standard_error, floor.n) == (400.0, pytest.approx(40.0), record.n)


def test_the_interval_is_that_of_a_difference() -> None:
    """Normal errors .03 and .04 make .05; with correlation .96 in units of their product, .014."""
    floor = Estimate(value=0.5, standard_error=0.04, n=10**6)
    for correlation, error in ((0.0, 0.05), (0.96, math.sqrt(0.0025 - 2 * 0.96 * 0.0012))):
        for times, beats in ((1.95, False), (1.97, True)):  # 1.96 is the normal quantile
            own = Estimate(value=0.5 + times * error, standard_error=0.03, n=10**6)
            assert beats_floor(own, floor, higher_is_better=True, correlation=correlation) is beats
            turned = Estimate(value=0.5 - times * error, standard_error=0.03, n=10**6)
            assert (
                beats_floor(turned, floor, higher_is_better=False, correlation=correlation) is beats
            )


def test_perplexities_are_compared_by_logarithms() -> None:
    """Relative errors 3 and 4 % make 5 %: 1.96 of them is a factor of 1.103."""
    floor = Positive(value=400.0, standard_error=16.0, n=10**6)
    for factor, beats in ((1.10, False), (1.106, True)):
        own = Positive(value=400.0 / factor, standard_error=12.0 / factor, n=10**6)
        assert beats_floor(own, floor, higher_is_better=False) is beats


def test_an_unknown_error_beats_nothing() -> None:
    alone = Estimate(value=0.2, standard_error=None, n=1)
    sure = Estimate(value=0.9, standard_error=0.01, n=900)
    assert not beats_floor(sure, alone, higher_is_better=True)
