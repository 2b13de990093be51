"""Networks of fixed rules beside those of the formula."""

from __future__ import annotations

import pytest

from widthwise.errors import TargetError
from widthwise.tinynet import (
    FAMILIES,
    Budget,
    Formula,
    Multipliers,
    baselines,
    shrink,
    with_scaled_head,
)
from widthwise.tinynet.baselines import RULES

EFFICIENTNET = FAMILIES["efficientnet"]


@pytest.fixture(scope="module")
def published() -> Formula:
    return Formula.from_published()


@pytest.mark.parametrize(
    ("printed", "phi", "pixels", "parameters", "macs"),
    [
        (201, -1.19, 189, 3.58, 199.2),
        (98, -2.55, 156, 2.94, 98.2),
        (51, -3.89, 130, 1.98, 51.1),
        (24, -5.42, 105, 1.33, 24.4),
    ],
)
def test_compound_scaling_gives_the_published_baselines(
    printed: int, phi: float, pixels: int, parameters: float, macs: float
) -> None:
    """EfficientNet-B^-1 to B^-4: phi solved for the printed cost, the head scaled."""
    family = with_scaled_head(EFFICIENTNET)
    found = shrink("compound", family, Budget("macs", printed * 1e6), classes=1000)
    counts = family.counts(found.scale, classes=1000)
    assert found.value == phi
    assert family.resolution(found.scale) == pixels
    assert counts.parameters / 1e6 == pytest.approx(parameters, abs=0.0051)
    assert counts.macs / 1e6 == pytest.approx(macs, abs=0.051)


@pytest.mark.parametrize("rule", RULES)
def test_a_rule_moves_what_it_says_and_ends_at_the_base(rule: str) -> None:
    moved = {"resolution", "depth", "width"} if rule == "compound" else {rule}
    found = shrink(rule, EFFICIENTNET, Budget("macs", 3e8), classes=1000).scale
    assert {name for name, value in vars(found).items() if value != 1} == moved
    assert all(0 < value <= 1 for value in vars(found).values())
    whole = shrink(rule, EFFICIENTNET, Budget("macs", 385_814_752), classes=1000)
    assert whole.scale == Multipliers(resolution=1, depth=1, width=1)


def test_rules_out_of_reach_are_refused() -> None:
    with pytest.raises(TargetError, match="by depth alone: they have 173,212,384 to 385,814,752"):
        shrink("depth", EFFICIENTNET, Budget("macs", 5e7), classes=1000)
    with pytest.raises(TargetError, match="must be at most 385,814,752"):
        shrink("depth", EFFICIENTNET, Budget("macs", 5e8), classes=1000)
    with pytest.raises(TargetError, match="the rule must be one of compound, width"):
        shrink("beauty", EFFICIENTNET, Budget("macs", 5e7), classes=1000)


def test_alternatives_are_networks_of_the_budget_or_say_why_not(published: Formula) -> None:
    found = {
        one.rule: one
        for one in baselines(published, EFFICIENTNET, Budget("macs", 5e7), classes=1000)
    }
    assert set(found) == {
        "tiny formula, closed-form width",
        "compound scaling, head scaled",
        "compound scaling",
        "resolution alone",
        "depth alone",
        "width alone",
    }
    assert "they have 173,212,384" in (found["depth alone"].reason or "")
    assert found["depth alone"].scale is None
    for rule, one in found.items():
        if one.scale is not None and rule != "tiny formula, closed-form width":
            assert one.cost == pytest.approx(5e7, rel=0.08)  # a pixel of a small image is 8 %
    heads = [found[rule].counts for rule in ("compound scaling, head scaled", "compound scaling")]
    assert heads[0] != heads[1]
    resnet = baselines(published, FAMILIES["resnet18"], Budget("macs", 5e8), classes=10)
    assert "compound scaling, head scaled" not in {one.rule for one in resnet}
    with pytest.raises(TargetError, match="no budget of seconds"):
        baselines(published, EFFICIENTNET, Budget("seconds", 1.0), classes=10)
