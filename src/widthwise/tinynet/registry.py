"""The families by name."""

from __future__ import annotations

from dataclasses import replace

from ..errors import TargetError
from .efficientnet import B0, EfficientNet
from .family import Family
from .resnet import ResNet
from .transformer import GluTransformer

# For images of 32 px: the stem and the first stage with a stride keep the image's size.
_SMALL_IMAGES = EfficientNet(
    name="efficientnet-small",
    base_resolution=32,
    stem_stride=1,
    stages=(B0[0], replace(B0[1], stride=1), *B0[2:]),
)

# Small enough to search below it on a CPU: of B0 at 96 px, half the channels. Networks of a few
# million multiply-adds are a hundredth of EfficientNet-B0 at 224 px, where no law of a share of the
# base says anything; of this base they are a tenth to a half.
_PROXY_BASE = EfficientNet(
    name="efficientnet-96",
    base_resolution=96,
    stages=tuple(replace(stage, channels=stage.channels // 2) for stage in B0),
)

FAMILIES: dict[str, Family] = {
    family.name: family
    for family in (
        EfficientNet(),
        _SMALL_IMAGES,
        _PROXY_BASE,
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
