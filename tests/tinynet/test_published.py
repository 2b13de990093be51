"""Exact counts of the released networks."""

from __future__ import annotations

import pytest

from widthwise.tinynet import FAMILIES, PUBLISHED


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_networks_have_their_exact_counts(name: str) -> None:
    net = PUBLISHED[name]
    counts = FAMILIES["efficientnet"].counts(net.scale, classes=1000)
    assert (counts.parameters, counts.macs) == (net.parameters, net.macs)
    assert counts.parameter_bytes == 4 * net.parameters
    # The paper prints whole millions: 24 is 24.36, and its own counter adds a little.
    assert counts.macs == pytest.approx(net.printed_macs, rel=0.016)


def test_published_numbers() -> None:
    """The numbers themselves, in one place."""
    assert {name: (net.parameters, net.macs) for name, net in PUBLISHED.items()} == {
        "b0": (5_288_548, 385_814_752),
        "a": (6_187_972, 336_867_712),
        "b": (3_730_562, 200_709_360),
        "c": (2_457_234, 99_536_432),
        "d": (2_338_446, 51_580_656),
        "e": (2_042_972, 24_356_848),
    }
