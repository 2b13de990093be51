"""ResNets (arXiv 1512.03385) at any resolution, depth and width."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .block_shapes import Convolution, ResidualBlock, side_after
from .counts import Tally
from .family import Family
from .multipliers import Multipliers, round_blocks, round_channels

if TYPE_CHECKING:
    from torch import nn

CHANNELS = (64, 128, 256, 512)
STRIDE = 32


@dataclass(frozen=True, kw_only=True)
class ResNet(Family):
    """A ResNet and what multipliers make of it; the width scales the stem as well.

    Attributes:
        repeats: Blocks of the base's four stages.
        bottleneck: Whether blocks are bottlenecks (ResNet-50) or pairs of convolutions (ResNet-18).
    """

    repeats: tuple[int, int, int, int]
    bottleneck: bool

    @property
    def stride(self) -> int:
        return STRIDE

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

    def tally(self, scale: Multipliers, *, classes: int) -> Tally:
        tally = Tally()
        side = Convolution(3, self.stem(scale), 7, 2).add_to(tally, self.resolution(scale))
        side = side_after(side, 2)  # the pooling
        blocks = [block for stage in self.blocks(scale) for block in stage]
        for block in blocks:
            side = block.add_to(tally, side)
        tally.linear(blocks[-1].outputs, classes, bias=True)
        return tally

    def module(self, scale: Multipliers, *, classes: int) -> nn.Module:
        from .modules import ResNetModel

        return ResNetModel(stem=self.stem(scale), stages=tuple(self.blocks(scale)), classes=classes)
