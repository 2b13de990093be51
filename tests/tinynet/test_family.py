"""What every family refuses."""

from __future__ import annotations

import pytest

from widthwise.errors import TargetError
from widthwise.tinynet import BASE, FAMILIES, Multipliers


@pytest.mark.parametrize("name", FAMILIES)
def test_a_resolution_below_the_total_stride_is_refused(name: str) -> None:
    family = FAMILIES[name]
    least = family.stride / family.base_resolution
    at_least = Multipliers(resolution=least, depth=1, width=1)
    assert family.resolution(at_least) == family.stride
    below = Multipliers(resolution=0.99 * least, depth=1, width=1)
    for use in (family.counts, family.build):
        with pytest.raises(
            TargetError, match=f"below the network's total stride of {family.stride}"
        ):
            use(below, classes=10)


@pytest.mark.parametrize("classes", [0, -1, 10**7])
def test_classes_out_of_range_are_refused(classes: int) -> None:
    for family in FAMILIES.values():
        for use in (family.counts, family.build):
            with pytest.raises(TargetError, match=r"classes must be in \[1, 1000000\]"):
                use(BASE, classes=classes)
