"""The families by name."""

from __future__ import annotations

from dataclasses import replace

from ..errors import TargetError
from .efficientnet import B0, EfficientNet
from .family import Family
from .resnet import ResNet
from .small_base import PROXY_BASE
from .transformer import GluTransformer

# For images of 32 px: the stem and the first stage with a stride keep the image's size.
_SMALL_IMAGES = EfficientNet(
    name="efficientnet-small",
    base_resolution=32,
    stem_stride=1,
    stages=(B0[0], replace(B0[1], stride=1), *B0[2:]),
)

FAMILIES: dict[str, Family] = {
    family.name: family
    for family in (
        EfficientNet(),
        _SMALL_IMAGES,
        PROXY_BASE,
        ResNet(name="resnet18", repeats=(2, 2, 2, 2), bottleneck=False),
        ResNet(name="resnet50", repeats=(3, 4, 6, 3), bottleneck=True),
        GluTransformer(),
    )
}


def family_named(name: str) -> Family:
    """The family of this name.

    Raises:
        TargetError: There is none.
    """
    if name not in FAMILIES:
        raise TargetError(f"the family must be one of {', '.join(FAMILIES)}; got {name!r}")
    return FAMILIES[name]
