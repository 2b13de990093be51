"""The families by name."""

from __future__ import annotations

import pytest

from widthwise.errors import TargetError
from widthwise.tinynet import BASE, FAMILIES, Multipliers, family_named


def test_small_images_lose_an_eighth_of_their_side() -> None:
    small, large = FAMILIES["efficientnet-small"], FAMILIES["efficientnet"]
    assert (small.stride, large.stride) == (8, 32)
    assert small.resolution(Multipliers(resolution=0.25, depth=1, width=1)) == 8
    assert small.counts(BASE, classes=10).parameters == large.counts(BASE, classes=10).parameters


def test_an_unknown_family_is_refused() -> None:
    with pytest.raises(TargetError, match="must be one of efficientnet, efficientnet-small"):
        family_named("vgg")
