"""A base that is small enough to search below it on a CPU: of B0 at 96 px, half the channels.

Networks of a few million multiply-adds are a hundredth of EfficientNet-B0 at 224 px, where no law
of a share of the base says anything; of this base they are a tenth to a half.
"""

from __future__ import annotations

from dataclasses import replace

from .efficientnet import B0, EfficientNet

PROXY_BASE = EfficientNet(
    name="efficientnet-96",
    base_resolution=96,
    stages=tuple(replace(stage, channels=stage.channels // 2) for stage in B0),
)
