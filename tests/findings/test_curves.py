"""Trends, the smallest width, knees: words and places that intervals carry."""

from dataclasses import replace

import numpy as np
import pytest
from findings_records import WIDTHS, curve, perplexity, place, right, study
from report_records import score

from widthwise.findings import build_findings
from widthwise.stats import paired_share_interval
from widthwise.study import Record


@pytest.mark.parametrize(
    ("counts", "trend"),
    [
        ((160, 150, 140, 120, 100, 80, 60), "falls"),
        ((100, 110, 130, 150, 160, 170, 180), "rises"),
        ((100, 130, 150, 120, 100, 70, 60), "rises and falls"),
        ((160, 159, 160, 159, 160, 159, 160), "no change shown"),
        ((50, 51, 49, 50, 48, 52, 50), "at the floor"),
        ((50, 40, 30, 20, 10, 5, 0), "at the floor"),
        ((50, 60, 70, 80, 90, 100, 110), "rises"),
    ],
)
def test_trend_of_200_items(counts: tuple[int, ...], trend: str) -> None:
    assert curve(study(counts)).trend == trend


@pytest.mark.parametrize(
    ("right", "n", "trend"),
    [(5, 20, "cannot tell"), (50, 200, "at the floor"), (30, 200, "at the floor")],
)
def test_of_few_items_nobody_can_tell_that_dense_is_at_its_floor(
    right: int, n: int, trend: str
) -> None:
    """0.25 ± 0.19 of 20 items, ± 0.06 of 200; the floor is 0.25."""
    records = study((right, right, right), n, floor=0.25)
    assert curve(records).trend == trend
    (found,) = build_findings(records)
    said = "On piqa there are too few items to tell: intervals reach from the floor to well above"
    assert (said in found.sentences[0]) == (trend == "cannot tell")


def test_holds_only_where_intervals_are_within_the_loss() -> None:
    """Of 4,000 items 4 are lost: 0.1 points, and at most 0.2 by the interval."""
    many = study((3000, 2998, 2997, 2996, 2998, 2999, 2996), 4000)
    assert curve(many).trend == "holds"
    assert curve(many, loss=0.001).trend != "holds"
    few = study((150, 150, 150, 150, 150, 150, 150), 50 * 4)
    assert curve(few).trend == "holds"  # up to z² / (n + z²) = 1.9 points may be lost unseen
    assert curve(few, loss=0.01).trend == "no change shown"


@pytest.mark.parametrize(("won", "lost", "n"), [(0, 0, 50), (1, 0, 200), (3, 9, 80), (40, 10, 90)])
def test_paired_share_interval_is_what_the_score_test_does_not_reject(
    won: int, lost: int, n: int
) -> None:
    """At either end the statistic, with the likeliest shares that have this difference, is z."""
    low, high = paired_share_interval(won, lost, n)
    for end in (low, high):
        shares = np.linspace(max(0.0, -end), (1 - end) / 2, 200_001)[1:-1]
        both = shares + (shares + end)
        likelihood = won * np.log(shares + end) + lost * np.log(shares)
        likelihood += (n - won - lost) * np.log1p(-both)
        best = shares[likelihood.argmax()]
        statistic = (won - lost - n * end) / np.sqrt(n * (2 * best + end * (1 - end)))
        assert abs(statistic) == pytest.approx(1.96, abs=2e-3)  # the grid's step


def test_a_shown_change_within_the_loss_holds() -> None:
    small = study((3000, 2980, 2980, 2980, 2980, 2980, 2980), 4000)
    assert curve(small).trend == "holds"
    assert curve(small, loss=0.004).trend == "falls"


@pytest.mark.parametrize("records", [study((3, 1), 4), study((1, 0), 1), study((100,))[:1]])
def test_few_items_tell_nothing(records: list[Record]) -> None:
    (found,) = build_findings(records)
    assert {one.trend for one in found.curves} <= {"cannot tell", "at the floor"}
    assert all("falls" not in sentence for sentence in found.sentences)


def test_without_dense_nothing_can_be_told() -> None:
    found = curve(study((160, 150, 140))[1:])
    assert (found.trend, found.smallest, found.knee) == ("cannot tell", None, None)


def test_no_change_is_called_a_change_in_one_of_twenty_at_most() -> None:
    """Of 100 studies without any change 5 % ± 3 standard errors (6.5 %) have one; at most 11."""
    rng = np.random.default_rng(3)
    wrong = 0
    for _ in range(100):
        ability = rng.uniform(size=60)
        records = [
            score(place("ppm", width), "piqa", (rng.uniform(size=60) < ability).astype(float))
            for width in WIDTHS[:4]
        ]
        wrong += curve(records).trend in ("falls", "rises", "rises and falls", "holds")
    assert wrong <= 11


def test_points_are_dense_first_with_intervals_and_words() -> None:
    points = curve(study((160, 150, 60))).points
    assert [point.label for point in points] == ["dense", "ppm 2.39x", "ppm 2.11x"]
    assert [point.word for point in points] == [None, "degrades", "at the floor"]
    assert points[0].value == 0.8
    # Wilson's ends of 160 of 200: (.8 + z²/400 ± z √(.8 .2/200 + z²/160,000)) / (1 + z²/200)
    assert (points[0].low, points[0].high) == pytest.approx((0.7391, 0.8495), abs=1e-4)


def test_smallest_width_is_shown_down_to_where_intervals_allow() -> None:
    """Of 4,000 items 0, 20, 72 and 400 are lost: 0, 0.5, 1.8 and 10 points."""
    found = curve(study((3000, 3000, 2980, 2928, 2600), 4000))
    assert found.smallest is not None
    assert found.smallest.shown.label == "ppm 2.11x"
    assert found.smallest.measured.label == "ppm 1.86x"  # 1.8 points, up to 2.2 by the interval
    assert found.loss == 0.02


def test_a_wide_network_beyond_the_loss_stops_narrower_ones() -> None:
    found = curve(study((3000, 2600, 3000, 3000), 4000))
    assert found.smallest is not None
    assert found.smallest.shown.label == found.smallest.measured.label == "dense"


def test_a_failed_width_stops_narrower_ones() -> None:
    records = study((3000, 3000, 3000, 3000), 4000)
    records[2] = replace(
        records[2], value=None, standard_error=None, items=(), n=0, reason="no memory"
    )
    found = curve(records)
    assert found.smallest is not None
    assert found.smallest.shown.label == "ppm 2.39x"
    (whole,) = build_findings(records)
    assert "Missing, no memory: piqa of ppm 2.11x" in whole.tables[0].notes


def test_within_the_loss_must_be_above_the_floor_too() -> None:
    records = study((3000, 2990, 2980), 4000, floor=0.735)
    found = curve(records)
    assert found.smallest is not None
    assert found.smallest.shown.label == "dense"  # 2,990 of 4,000 are 74.75 % ± 1.35 %
    assert found.smallest.measured.label == "ppm 2.11x"


def test_nothing_can_be_lost_at_the_floor() -> None:
    assert curve(study((50, 50, 50))).smallest is None


def test_perplexities_are_compared_by_their_logarithms() -> None:
    """A million times the perplexity has an error of its own size, and still is a loss."""
    logs = np.random.default_rng(0).normal(3, 1, 100)
    wild = np.random.default_rng(1).normal(17, 12, 100)
    records = [perplexity(1536, logs), perplexity(1376, wild)]
    assert records[1].standard_error is not None
    assert records[1].value is not None
    assert records[1].standard_error * 1.96 > records[1].value * 0.9
    found = curve(records)
    assert found.trend == "falls"
    assert found.points[1].low is not None
    assert found.points[1].low > 0


def test_relative_loss_of_perplexities_is_five_per_cent() -> None:
    logs = np.random.default_rng(0).normal(3, 1, 400)
    noise = np.random.default_rng(1).normal(0, 0.01, 400)
    for more, label in ((1.04, "ppm 2.39x"), (1.06, "dense")):
        found = curve([perplexity(1536, logs), perplexity(1376, logs + np.log(more) + noise)])
        assert found.smallest is not None
        assert found.smallest.shown.label == label
        assert found.loss == pytest.approx(0.05 * found.points[0].value)


def test_each_model_has_its_own_findings() -> None:
    first = study((160, 150, 60))
    second = [replace(r, model="other", cell=f"other {r.cell}") for r in study((160, 160, 160))]
    found = build_findings([*first, *second])
    assert [one.model for one in found] == [first[0].model, "other"]
    assert [one.curves[0].trend for one in found] == ["falls", "holds"]


def test_items_of_all_widths_right_have_an_interval_still() -> None:
    point = curve([score(place("ppm", w), "piqa", right(40, 40)) for w in WIDTHS]).points[0]
    assert point.low == pytest.approx(40 / (40 + 1.959964**2))  # Wilson: n / (n + z²)
    assert point.high == 1.0
