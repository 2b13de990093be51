"""ResNets (arXiv 1512.03385) at any resolution, depth and width."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .block_shapes import ResidualBlock
from .counts import NetworkCounts, Tally
from .family import check_classes, side
from .rounding import round_blocks, round_channels

if TYPE_CHECKING:
    from torch import nn

    from .multipliers import Multipliers

CHANNELS = (64, 128, 256, 512)
STRIDE = 32


@dataclass(frozen=True, kw_only=True)
class ResNet:
    """A ResNet and what multipliers make of it; the width scales the stem as well.

    Attributes:
        name: Of the family.
        repeats: Blocks of the base's four stages.
        bottleneck: Whether blocks are bottlenecks (ResNet-50) or pairs of convolutions (ResNet-18).
        base_resolution: Side of the base's images, in pixels.
    """

    name: str
    repeats: tuple[int, int, int, int]
    bottleneck: bool
    base_resolution: int = 224

    @property
    def stride(self) -> int:
        """Total stride."""
        return STRIDE

    def resolution(self, scale: Multipliers) -> int:
        return side(self.base_resolution, scale, STRIDE)

    def stem(self, scale: Multipliers) -> int:
        """Channels of the first convolution."""
        return round_channels(CHANNELS[0] * scale.width)

    def blocks(self, scale: Multipliers) -> Iterator[tuple[ResidualBlock, ...]]:
        """The blocks, stage by stage."""
        inputs = self.stem(scale)
        for stage, (base, repeats) in enumerate(zip(CHANNELS, self.repeats, strict=True)):
            blocks = []
            for i in range(round_blocks(repeats, scale.depth)):
                block = ResidualBlock(
                    inputs=inputs,
                    channels=round_channels(base * scale.width),
                    stride=2 if i == 0 and stage > 0 else 1,
                    bottleneck=self.bottleneck,
                )
                blocks.append(block)
                inputs = block.outputs
            yield tuple(blocks)

    def counts(self, scale: Multipliers, *, classes: int) -> NetworkCounts:
        check_classes(classes)
        tally, stem = Tally(), self.stem(scale)
        size = (self.resolution(scale) - 1) // 2 + 1
        tally.conv(3, stem, kernel=7, pixels=size * size)
        tally.norm(stem)
        size, channels = (size - 1) // 2 + 1, stem  # behind the pooling
        for stage in self.blocks(scale):
            for block in stage:
                size = _count(tally, block, size)
            channels = stage[-1].outputs
        tally.linear(channels, classes, bias=True)
        return tally.counts()

    def build(self, scale: Multipliers, *, classes: int) -> nn.Module:
        from .resnet_modules import ResNetModel

        check_classes(classes)
        self.resolution(scale)
        return ResNetModel(stem=self.stem(scale), stages=tuple(self.blocks(scale)), classes=classes)


def _count(tally: Tally, block: ResidualBlock, size: int) -> int:
    """Add a block that finds images of side `size`; the side that it leaves."""
    before, after = size, (size - 1) // block.stride + 1
    inner = block.channels
    if block.bottleneck:
        tally.conv(block.inputs, inner, kernel=1, pixels=before * before)
        tally.norm(inner)
    tally.conv(inner if block.bottleneck else block.inputs, inner, kernel=3, pixels=after * after)
    tally.norm(inner)
    kernel = 1 if block.bottleneck else 3
    tally.conv(inner, block.outputs, kernel=kernel, pixels=after * after)
    tally.norm(block.outputs)
    if block.is_projected:
        tally.conv(block.inputs, block.outputs, kernel=1, pixels=after * after)
        tally.norm(block.outputs)
    return after
