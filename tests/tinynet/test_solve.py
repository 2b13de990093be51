"""Budgets, and the width that meets them."""

from __future__ import annotations

import random

import pytest

from widthwise.errors import TargetError
from widthwise.stats import Estimate
from widthwise.tinynet import (
    FAMILIES,
    PUBLISHED,
    Budget,
    Multipliers,
    closed_form_width,
    latency_sec,
    solve,
    solve_width,
)
from widthwise.tinynet.solve import WIDTHS, cost_function

EFFICIENTNET = FAMILIES["efficientnet"]
# Widths whose multiply-adds are within 2 % of those printed for each TinyNet.
WITHIN = {
    "a": (0.980, 1.035),
    "b": (0.750, 0.787),
    "c": (0.536, 0.549),
    "d": (0.536, 0.549),
    "e": (0.480, 0.512),
}


@pytest.mark.parametrize("name", WITHIN)
def test_released_widths_are_recovered(name: str) -> None:
    net = PUBLISHED[name]
    budget = Budget("macs", net.printed_macs)
    scale = solve_width(
        EFFICIENTNET,
        resolution=net.scale.resolution,
        depth=net.scale.depth,
        budget=budget,
        classes=1000,
    )
    macs = EFFICIENTNET.counts(scale, classes=1000).macs
    assert abs(macs / budget.amount - 1) < 0.0082  # the worst, TinyNet-D: its step is so wide
    low, high = WITHIN[name]
    assert low <= scale.width <= high
    assert low <= net.scale.width <= high


@pytest.mark.parametrize(
    ("name", "share", "width", "millions"),
    [
        ("a", 0.876, 0.993, 336.9),
        ("b", 0.522, 0.820, 211.5),
        ("c", 0.258, 0.668, 144.5),
        ("d", 0.134, 0.647, 72.7),
        ("e", 0.062, 0.677, 39.1),
    ],
)
def test_the_closed_form_misses_the_budget(
    name: str, share: float, width: float, millions: float
) -> None:
    """The shares are printed with 3 digits, which moves the width by half a per cent at most."""
    scale = PUBLISHED[name].scale
    found = closed_form_width(share, resolution=scale.resolution, depth=scale.depth)
    assert found == pytest.approx(width, abs=0.002)
    wide = Multipliers(resolution=scale.resolution, depth=scale.depth, width=width)
    macs = EFFICIENTNET.counts(wide, classes=1000).macs
    assert macs / 1e6 == pytest.approx(millions, abs=0.05)


@pytest.mark.parametrize("kind", ["macs", "parameters", "bytes"])
def test_bisection_finds_what_trying_all_widths_finds(kind: solve.Kind) -> None:
    chance = random.Random(7)
    for name, family in FAMILIES.items():
        resolution, depth = chance.uniform(0.4, 1.2), chance.uniform(0.4, 1.2)
        cost = cost_function(family, kind, classes=11)
        costs = {w: cost(Multipliers(resolution=resolution, depth=depth, width=w)) for w in WIDTHS}
        amount = costs[0.2] + chance.uniform(0, 0.5) * (costs[1.5] - costs[0.2])
        budget = Budget(kind, amount)
        found = solve_width(family, resolution=resolution, depth=depth, budget=budget, classes=11)
        least = min(abs(one - amount) for one in costs.values())
        assert abs(costs[found.width] - amount) == least, name
        # Of the widths that make this network, it is the one nearest to the closed form.
        base = cost(Multipliers(resolution=1, depth=1, width=1))
        start = closed_form_width(amount / base, resolution=resolution, depth=depth)
        same = [w for w, one in costs.items() if one == costs[found.width]]
        assert abs(found.width - start) == min(abs(w - start) for w in same), name


def test_both_ends_of_the_line_can_be_had() -> None:
    cost = cost_function(EFFICIENTNET, "macs", classes=10)
    for width in (WIDTHS[0], WIDTHS[-1]):
        amount = cost(Multipliers(resolution=0.5, depth=0.5, width=width))
        budget = Budget("macs", amount)
        found = solve_width(EFFICIENTNET, resolution=0.5, depth=0.5, budget=budget, classes=10)
        assert cost(found) == amount


@pytest.mark.parametrize("amount", [1.0, 1e15])
def test_a_budget_out_of_reach_is_refused_with_the_range(amount: float) -> None:
    cost = cost_function(EFFICIENTNET, "macs", classes=10)
    ends = [f"{cost(Multipliers(resolution=0.5, depth=0.6, width=w)):,.0f}" for w in (0.005, 4.0)]
    with pytest.raises(TargetError, match=f"they have {ends[0]} to {ends[1]} multiply-adds"):
        solve_width(
            EFFICIENTNET, resolution=0.5, depth=0.6, budget=Budget("macs", amount), classes=10
        )


def test_a_budget_of_seconds_is_measured_once_a_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """By a device that needs a nanosecond for a multiply-add."""
    timed = []

    def fake(family: object, scale: Multipliers, *, classes: int, device: str) -> Estimate:
        counts = EFFICIENTNET.counts(scale, classes=classes)
        timed.append(counts)
        return Estimate(value=counts.macs * 1e-9, standard_error=0.0, n=15)

    monkeypatch.setattr(solve, "latency_sec", fake)
    found = solve_width(
        EFFICIENTNET, resolution=0.5, depth=0.6, budget=Budget("seconds", 0.03), classes=10
    )
    same = solve_width(
        EFFICIENTNET, resolution=0.5, depth=0.6, budget=Budget("macs", 3e7), classes=10
    )
    assert found == same
    assert len(timed) == len(set(timed)) <= 16


def test_latency_is_measured_and_leaves_chance_alone() -> None:
    import torch

    before = torch.get_rng_state()
    scale = Multipliers(resolution=0.25, depth=0.1, width=0.1)
    found = latency_sec(FAMILIES["efficientnet-small"], scale, classes=3)
    assert found.value > 0
    assert found.n >= 15
    assert torch.equal(before, torch.get_rng_state())
    with pytest.raises(TargetError, match="the device 'abacus' cannot be used"):
        latency_sec(EFFICIENTNET, scale, classes=3, device="abacus")
