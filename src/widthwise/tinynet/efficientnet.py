"""EfficientNet (arXiv 1905.11946) at any resolution, depth and width; TinyNets are among them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .block_shapes import Convolution, StageBlock
from .counts import Tally
from .family import Family
from .multipliers import Multipliers, round_blocks, round_channels

if TYPE_CHECKING:
    from torch import nn

STEM = 32
HEAD = 1280


@dataclass(frozen=True)
class Stage:
    """Blocks of one shape in the base network; the first has the stride."""

    kernel: int
    stride: int
    expansion: int
    channels: int
    blocks: int


B0 = (
    Stage(3, 1, 1, 16, 1),
    Stage(3, 2, 6, 24, 2),
    Stage(5, 2, 6, 40, 2),
    Stage(3, 2, 6, 80, 3),
    Stage(5, 1, 6, 112, 3),
    Stage(5, 2, 6, 192, 4),
    Stage(3, 1, 6, 320, 1),
)


@dataclass(frozen=True, kw_only=True)
class EfficientNet(Family):
    """EfficientNet-B0 and what multipliers make of it.

    As in the TinyNets, blocks are rounded to the nearest number (EfficientNet's own larger nets
    round up), the stem keeps its 32 channels, and the head its 1280 where the width is at most 1.

    Attributes:
        stem_stride: Stride of the first convolution.
        stages: The base's stages.
        scaled_head: Whether the head narrows too, as it does in the compound-scaling baseline.
    """

    name: str = "efficientnet"
    stem_stride: int = 2
    stages: tuple[Stage, ...] = B0
    scaled_head: bool = False

    @property
    def stride(self) -> int:
        return self.stem_stride * math.prod(stage.stride for stage in self.stages)

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

    def tally(self, scale: Multipliers, *, classes: int) -> Tally:
        tally, head = Tally(), self.head(scale)
        stem = Convolution(3, STEM, 3, self.stem_stride)
        side = stem.add_to(tally, self.resolution(scale))
        blocks = [block for stage in self.blocks(scale) for block in stage]
        for block in blocks:
            side = block.add_to(tally, side)
        Convolution(blocks[-1].outputs, head).add_to(tally, side)
        tally.linear(head, classes, bias=True)
        return tally

    def module(self, scale: Multipliers, *, classes: int) -> nn.Module:
        from .modules import EfficientNetModel

        return EfficientNetModel(
            stem=STEM,
            stem_stride=self.stem_stride,
            stages=tuple(self.blocks(scale)),
            head=self.head(scale),
            classes=classes,
        )
