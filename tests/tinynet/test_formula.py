"""The tiny formula, its intervals, and what it is compared with."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from widthwise.errors import TargetError
from widthwise.tinynet import (
    FAMILIES,
    PUBLISHED,
    Budget,
    Formula,
    FormulaPoint,
    Multipliers,
)

EFFICIENTNET = FAMILIES["efficientnet"]
TINYNETS = ("a", "b", "c", "d", "e")


@pytest.fixture(scope="module")
def published() -> Formula:
    return Formula.from_published()


def blocks(scale: Multipliers) -> list[int]:
    """Blocks of each stage."""
    stages: Any = EFFICIENTNET
    return [len(stage) for stage in stages.blocks(scale)]


@pytest.mark.parametrize("name", TINYNETS)
def test_released_networks_are_recovered(published: Formula, name: str) -> None:
    """From the budget as it is printed: all blocks, the side within 4 px, the cost within 2 %.

    The curve does not run through the points: its noise is 0.03 deviations of r, or 1 px, and
    printed budgets are off by up to 1.6 %, which is 2 px where r falls fastest.
    """
    net = PUBLISHED[name]
    found = published.propose(EFFICIENTNET, Budget("macs", net.printed_macs), classes=1000)
    assert blocks(found.scale) == blocks(net.scale)
    assert abs(found.pixels - EFFICIENTNET.resolution(net.scale)) <= 4
    assert abs(found.miss) < 0.02
    assert found.cost == found.counts.macs
    assert found.is_inside or name in "ae"  # the printed budgets are just beyond the exact ones
    assert abs(found.scale.width - net.scale.width) <= 0.04


def test_a_budget_outside_the_fitted_range_is_called_so(published: Formula) -> None:
    low, high = published.range
    assert low == pytest.approx(24_356_848 / 385_814_752)
    assert high == pytest.approx(336_867_712 / 385_814_752)
    for share, is_inside in ((0.03, False), (0.1, True), (0.8, True), (0.95, False)):
        budget = Budget("macs", share * 385_814_752)
        found = published.propose(EFFICIENTNET, budget, classes=1000)
        assert found.is_inside is is_inside
        assert found.share == pytest.approx(share)
    assert "not the authors' fit" in published.source


@pytest.mark.parametrize(
    ("kind", "amount"), [("parameters", 2.5e6), ("bytes", 1e7), ("parameters", 4.5e6)]
)
def test_other_budgets_are_met_on_the_formulas_curve(
    published: Formula, kind: Any, amount: float
) -> None:
    found = published.propose(EFFICIENTNET, Budget(kind, amount), classes=1000)
    assert abs(found.miss) < 0.02  # as much as a step of the width changes
    bytes_each = 4 if kind == "bytes" else 1
    assert found.cost == bytes_each * found.counts.parameters
    # The share is that of a network of the curve: its own multiply-adds are near it.
    assert found.counts.macs / 385_814_752 == pytest.approx(found.share, rel=0.25)


def test_seconds_are_met_by_the_device(published: Formula, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a device that needs a nanosecond for a multiply-add, the network is that of the FLOPs."""
    from widthwise.stats import Estimate
    from widthwise.tinynet import solve

    def fake(family: Any, scale: Multipliers, *, classes: int, device: str) -> Estimate:
        macs = family.counts(scale, classes=classes).macs
        return Estimate(value=macs * 1e-9, standard_error=0.0, n=15)

    monkeypatch.setattr(solve, "latency_sec", fake)
    found = published.propose(EFFICIENTNET, Budget("seconds", 0.05), classes=1000)
    assert abs(found.miss) < 0.03  # half a step of this network's width
    assert found.share == pytest.approx(0.05 / 0.385814752, rel=0.08)  # shares are 8 % apart


def test_closed_form_width_is_the_papers(published: Formula) -> None:
    budget = Budget("macs", 5e7)
    found = published.propose(EFFICIENTNET, budget, classes=1000, width="closed_form")
    r, d, w = found.scale.resolution, found.scale.depth, found.scale.width
    assert r * r * d * w * w == pytest.approx(5e7 / 385_814_752, rel=1e-3)  # w has 4 digits
    assert found.miss > 0.3


def front(n: int, noise: float) -> list[FormulaPoint]:
    """Networks along r = 0.5 + 0.4 c and d = 0.6 + 0.5 c, with normal noise."""
    chance = np.random.default_rng(3)
    return [
        FormulaPoint(
            share=float(share),
            resolution=float(0.5 + 0.4 * share + noise * chance.normal()),
            depth=float(0.6 + 0.5 * share + noise * chance.normal()),
        )
        for share in chance.uniform(0.05, 1, n)
    ]


def test_an_own_front_is_fitted_within_its_noise() -> None:
    fitted = Formula.fit(front(24, 0.02), source="a line with noise")
    for share in (0.1, 0.5, 0.9):
        # The mean of 24 points around a line is 0.02 * sqrt(2 / 24) = 0.006 off; four times that.
        resolution, depth = fitted.at(share)
        assert resolution == pytest.approx(0.5 + 0.4 * share, abs=0.024)
        assert depth == pytest.approx(0.6 + 0.5 * share, abs=0.024)
        # A new network is 0.02 off; with 24 points that is known within a factor of 2.
        assert 0.01 < fitted.resolution(share).deviation < 0.04
    assert fitted.source == "a line with noise"


def test_clipped_predictions_stay_among_the_networks() -> None:
    points = [replace(point, share=0.2 + point.share / 4) for point in front(9, 0.0)]
    largest = max(point.resolution for point in points)
    free = Formula.fit(points, source="nine")
    clipped = Formula.fit(points, source="nine", clip=True)
    assert free.at(0.7)[0] > largest + 0.01
    assert clipped.at(0.7)[0] == pytest.approx(largest, abs=1e-4)
    assert clipped.at(0.3) == free.at(0.3)


def test_a_small_front_is_refused() -> None:
    with pytest.raises(TargetError, match="at least 8 networks; got 7"):
        Formula.fit(front(7, 0.0), source="seven")


@pytest.mark.parametrize("wrong", [0.0, -1.0, float("nan"), float("inf")])
def test_points_out_of_range_are_refused(wrong: float) -> None:
    for name in ("share", "resolution", "depth"):
        numbers = {"share": 0.5, "resolution": 0.5, "depth": 0.5, name: wrong}
        with pytest.raises(TargetError, match=f"{name} of a network of the front"):
            FormulaPoint(**numbers)
    with pytest.raises(TargetError, match="a share must be at most 2"):
        FormulaPoint(share=50.0, resolution=1, depth=1)


def test_budgets_above_the_base_and_below_the_smallest_are_refused(published: Formula) -> None:
    with pytest.raises(TargetError, match="must be at most 385,814,752 multiply-adds"):
        published.propose(EFFICIENTNET, Budget("macs", 4e8), classes=1000)
    with pytest.raises(TargetError, match="must be at most 5,288,548 parameters"):
        published.propose(EFFICIENTNET, Budget("parameters", 6e6), classes=1000)
    for kind, what in (("macs", "multiply-adds"), ("parameters", "parameters")):
        with pytest.raises(
            TargetError, match=f"out of reach .* they have [0-9,]+ to [0-9,]+ {what}"
        ):
            published.propose(EFFICIENTNET, Budget(kind, 1000), classes=1000)  # type: ignore[arg-type]
