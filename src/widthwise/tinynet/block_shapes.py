"""Shapes of the blocks that networks are built of, and what the blocks cost."""

from __future__ import annotations

from dataclasses import dataclass

from .counts import Tally

SQUEEZE = 0.25  # channels in the middle of squeeze-and-excitation, over the block's input
HEAD_SIZE = 32


def side_after(side: int, stride: int) -> int:
    """Side of an image after a convolution of odd kernel, padded by half of it."""
    return (side - 1) // stride + 1


@dataclass(frozen=True, kw_only=True)
class StageBlock:
    """One block of a scaled network; `expansion` 1 means that it begins with its depthwise part."""

    kernel: int
    stride: int
    expansion: int
    inputs: int
    outputs: int

    @property
    def middle(self) -> int:
        """Channels of the depthwise convolution."""
        return self.inputs * self.expansion

    @property
    def squeezed(self) -> int:
        """Channels in the middle of squeeze-and-excitation."""
        return max(1, int(SQUEEZE * self.inputs))

    def add_to(self, tally: Tally, side: int) -> int:
        """Count the block on images of a side; returns the side of its output."""
        middle, squeezed = self.middle, self.squeezed
        if self.expansion != 1:
            tally.conv(self.inputs, middle, kernel=1, pixels=side * side)
            tally.norm(middle)
        side = side_after(side, self.stride)
        pixels = side * side
        tally.conv(middle, middle, kernel=self.kernel, pixels=pixels, groups=middle)
        tally.norm(middle)
        tally.conv(middle, squeezed, kernel=1, pixels=1, bias=True)
        tally.conv(squeezed, middle, kernel=1, pixels=1, bias=True)
        tally.conv(middle, self.outputs, kernel=1, pixels=pixels)
        tally.norm(self.outputs)
        return side


@dataclass(frozen=True, kw_only=True)
class ResidualBlock:
    """One block: two 3x3 convolutions, or 1x1, 3x3 (with the stride) and 1x1 where `bottleneck`."""

    inputs: int
    channels: int
    stride: int
    bottleneck: bool

    @property
    def outputs(self) -> int:
        return self.channels * (4 if self.bottleneck else 1)

    @property
    def is_projected(self) -> bool:
        """Whether its input is brought to the output's shape by a 1x1 convolution."""
        return self.stride != 1 or self.inputs != self.outputs

    def add_to(self, tally: Tally, side: int) -> int:
        """Count the block on images of a side; returns the side of its output."""
        inputs = self.inputs
        if self.bottleneck:
            tally.conv(inputs, self.channels, kernel=1, pixels=side * side)
            tally.norm(self.channels)
            inputs = self.channels
        side = side_after(side, self.stride)
        pixels = side * side
        tally.conv(inputs, self.channels, kernel=3, pixels=pixels)
        tally.norm(self.channels)
        kernel = 1 if self.bottleneck else 3
        tally.conv(self.channels, self.outputs, kernel=kernel, pixels=pixels)
        tally.norm(self.outputs)
        if self.is_projected:
            tally.conv(self.inputs, self.outputs, kernel=1, pixels=pixels)
            tally.norm(self.outputs)
        return side
