"""Networks drawn: within their ranges, on their budgets, the same by seed."""

from __future__ import annotations

import numpy as np
import pytest
import tiny_photos

from widthwise.errors import TargetError
from widthwise.tinynet import (
    BUDGET_TOLERANCE,
    Budget,
    Sampler,
    Space,
    family_named,
    sample_networks,
)
from widthwise.tinynet.sampling import draw_multipliers

SPACE = Space(pixels=(8, 32), depth=(0.25, 1.5), width=(0.2, 3.0))
TOY = tiny_photos.Toy()
BUDGETS = [Budget("macs", 2e5), Budget("macs", 4e5)]


def test_networks_are_within_the_space_and_on_their_budgets_in_turn() -> None:
    found = sample_networks(TOY, SPACE, BUDGETS, 30, classes=2, seed=0)
    assert [budget for budget, _ in found] == BUDGETS * 15
    assert len(set(found)) == 30
    for budget, scale in found:
        assert 8 <= TOY.resolution(scale) <= 32
        assert 0.25 <= scale.depth <= 1.5
        assert 0.2 <= scale.width <= 3.0
        assert abs(TOY.counts(scale, classes=2).macs / budget.amount - 1) <= BUDGET_TOLERANCE


def test_a_longer_list_begins_with_the_shorter_one() -> None:
    assert (
        sample_networks(TOY, SPACE, BUDGETS, 12, classes=2, seed=1)[:5]
        == sample_networks(TOY, SPACE, BUDGETS, 5, classes=2, seed=1)
        != sample_networks(TOY, SPACE, BUDGETS, 5, classes=2, seed=2)
    )


def test_the_base_of_searches_has_networks_from_least_to_largest_side() -> None:
    """The default budgets leave room: sides differ twofold at each of them."""
    family = family_named("efficientnet-96")
    for amount in (2e6, 8e6):
        found = sample_networks(family, Space(), [Budget("macs", amount)], 12, classes=10, seed=0)
        sides = [family.resolution(scale) for _, scale in found]
        assert max(sides) > 1.5 * min(sides)


def test_budgets_and_sides_out_of_reach_are_named() -> None:
    chance = np.random.default_rng(0)
    with pytest.raises(TargetError, match="has 10 multiply-adds; take another budget"):
        draw_multipliers(TOY, SPACE, Budget("macs", 10), classes=2, generator=chance)
    with pytest.raises(TargetError, match="images of 3 px are below the total stride of toy, 4"):
        draw_multipliers(TOY, Space(pixels=(3, 9)), BUDGETS[0], classes=2, generator=chance)
    with pytest.raises(TargetError, match="depth must have 0 < least <= largest"):
        Space(depth=(0.0, 1.0))


def test_optuna_draws_by_what_it_is_told_and_the_same_each_time() -> None:
    """Told that accuracy is the resolution, its later draws are of higher resolution."""
    pytest.importorskip("optuna")

    def told() -> list[float]:
        sampler, found = Sampler(TOY, SPACE, classes=2, seed=0), []
        for number in range(16):
            scale = sampler.ask(BUDGETS[0])
            failed = number == 1
            sampler.tell(BUDGETS[0], scale, None if failed else scale.resolution)
            found.append(scale.resolution)
        return found

    first = told()
    assert first == told()
    assert sum(first[-6:]) > sum(first[:6])
