"""EfficientNet (arXiv 1905.11946) at any resolution, depth and width; TinyNets are among them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .block_shapes import StageBlock
from .counts import NetworkCounts, Tally
from .family import check_classes, side
from .rounding import round_blocks, round_channels

if TYPE_CHECKING:
    from torch import nn

    from .multipliers import Multipliers

STEM = 32
HEAD = 1280


@dataclass(frozen=True, kw_only=True)
class Stage:
    """Blocks of one shape in the base network; the first has the stride."""

    kernel: int
    stride: int
    expansion: int
    channels: int
    blocks: int


_COLUMNS = ("kernel", "stride", "expansion", "channels", "blocks")
B0 = tuple(
    Stage(**dict(zip(_COLUMNS, row, strict=True)))
    for row in (
        (3, 1, 1, 16, 1),
        (3, 2, 6, 24, 2),
        (5, 2, 6, 40, 2),
        (3, 2, 6, 80, 3),
        (5, 1, 6, 112, 3),
        (5, 2, 6, 192, 4),
        (3, 1, 6, 320, 1),
    )
)


@dataclass(frozen=True, kw_only=True)
class EfficientNet:
    """EfficientNet-B0 and what multipliers make of it.

    As in the TinyNets, blocks are rounded to the nearest number (EfficientNet's own larger nets
    round up), the stem keeps its 32 channels, and the head its 1280 where the width is at most 1.

    Attributes:
        name: Of the family.
        base_resolution: Side of the base's images, in pixels.
        stem_stride: Stride of the first convolution.
        stages: The base's stages.
        scaled_head: Whether the head narrows too, as it does in the compound-scaling baseline.
    """

    name: str = "efficientnet"
    base_resolution: int = 224
    stem_stride: int = 2
    stages: tuple[Stage, ...] = B0
    scaled_head: bool = False

    @property
    def stride(self) -> int:
        """Total stride."""
        return self.stem_stride * math.prod(stage.stride for stage in self.stages)

    def resolution(self, scale: Multipliers) -> int:
        return side(self.base_resolution, scale, self.stride)

    def head(self, scale: Multipliers) -> int:
        """Channels of the last convolution."""
        channels = round_channels(HEAD * scale.width)
        return channels if self.scaled_head else max(HEAD, channels)

    def blocks(self, scale: Multipliers) -> Iterator[tuple[StageBlock, ...]]:
        """The blocks, stage by stage."""
        inputs = STEM
        for stage in self.stages:
            outputs = round_channels(stage.channels * scale.width)
            repeats = round_blocks(stage.blocks, scale.depth)
            yield tuple(
                StageBlock(
                    kernel=stage.kernel,
                    stride=stage.stride if i == 0 else 1,
                    expansion=stage.expansion,
                    inputs=inputs if i == 0 else outputs,
                    outputs=outputs,
                )
                for i in range(repeats)
            )
            inputs = outputs

    def counts(self, scale: Multipliers, *, classes: int) -> NetworkCounts:
        check_classes(classes)
        tally, size = Tally(), _after(self.resolution(scale), self.stem_stride)
        tally.conv(3, STEM, kernel=3, pixels=size * size)
        tally.norm(STEM)
        channels = STEM
        for stage in self.blocks(scale):
            for block in stage:
                size = _count(tally, block, size)
            channels = stage[-1].outputs
        head = self.head(scale)
        tally.conv(channels, head, kernel=1, pixels=size * size)
        tally.norm(head)
        tally.linear(head, classes, bias=True)
        return tally.counts()

    def build(self, scale: Multipliers, *, classes: int) -> nn.Module:
        from .efficientnet_modules import EfficientNetModel

        check_classes(classes)
        self.resolution(scale)
        stages = tuple(self.blocks(scale))
        return EfficientNetModel(
            stem=STEM,
            stem_stride=self.stem_stride,
            stages=stages,
            head=self.head(scale),
            classes=classes,
        )


def _after(size: int, stride: int) -> int:
    """Side behind a convolution of odd kernel, padded by half of it."""
    return (size - 1) // stride + 1


def _count(tally: Tally, block: StageBlock, size: int) -> int:
    """Add a block that finds images of side `size`; the side that it leaves."""
    middle, squeezed, before = block.middle, block.squeezed, size * size
    if block.expansion != 1:
        tally.conv(block.inputs, middle, kernel=1, pixels=before)
        tally.norm(middle)
    size = _after(size, block.stride)
    pixels = size * size
    tally.conv(middle, middle, kernel=block.kernel, pixels=pixels, groups=middle)
    tally.norm(middle)
    tally.conv(middle, squeezed, kernel=1, pixels=1, bias=True)
    tally.conv(squeezed, middle, kernel=1, pixels=1, bias=True)
    tally.conv(middle, block.outputs, kernel=1, pixels=pixels)
    tally.norm(block.outputs)
    return size
