"""Rounding of multiplied sizes to whole pixels, blocks and channels."""

from __future__ import annotations

import math
from typing import Any

import pytest

from widthwise.errors import TargetError
from widthwise.tinynet import Multipliers
from widthwise.tinynet.multipliers import round_blocks, round_channels, round_resolution


@pytest.mark.parametrize(
    ("channels", "rounded"),
    [
        (1, 8),  # at least the divisor
        (11.9, 16),  # 8 is the nearest, and below nine tenths of it
        (8.8, 8),
        (8.9, 16),
        (17.7, 16),
        (17.8, 24),
        (320 * 0.54, 176),
        (1280 * 0.5, 640),
    ],
)
def test_channels_are_multiples_of_8_and_lose_at_most_a_tenth(
    channels: float, rounded: int
) -> None:
    assert round_channels(channels) == rounded


def test_channels_never_fall_and_never_lose_more_than_a_tenth() -> None:
    """By hundredths up to 400, with two divisors."""
    for divisor in (8, 32):
        sizes = [round_channels(0.01 * i, divisor) for i in range(1, 40_000)]
        assert sizes == sorted(sizes)
        assert all(n % divisor == 0 and n >= 0.009 * i for i, n in enumerate(sizes, start=1))


def test_blocks_round_to_the_nearest_and_halves_to_even() -> None:
    assert [round_blocks(n, 0.5) for n in (1, 2, 3, 5, 7)] == [1, 1, 2, 2, 4]
    assert [round_blocks(n, 1.1) for n in (1, 2, 3, 4)] == [1, 2, 3, 4]
    assert round_blocks(4, 0.01) == 1


def test_resolution_is_cut_off() -> None:
    assert [round_resolution(224, r) for r in (0.999, 0.86, 0.475, 1.0)] == [223, 192, 106, 224]


@pytest.mark.parametrize("value", [0.0, -1.0, math.inf, math.nan, 4.1])
def test_multipliers_out_of_range_are_refused(value: float) -> None:
    for which in ("resolution", "depth", "width"):
        numbers: dict[str, Any] = {"resolution": 1.0, "depth": 1.0, "width": 1.0, which: value}
        with pytest.raises(TargetError, match=f"{which} must be a multiplier above 0"):
            Multipliers(**numbers)
