"""Shapes of the blocks that networks are built of, and what the blocks cost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from .counts import Tally

SQUEEZE = 0.25  # channels in the middle of squeeze-and-excitation, over the block's input
HEAD_SIZE = 32


def side_after(side: int, stride: int) -> int:
    """Side of an image after a convolution of odd kernel, padded by half of it."""
    return (side - 1) // stride + 1


class Convolution(NamedTuple):
    """A convolution without bias, padded by half its kernel, with a normalisation behind it."""

    inputs: int
    outputs: int
    kernel: int = 1
    stride: int = 1
    groups: int = 1

    def add_to(self, tally: Tally, side: int) -> int:
        """Count both on images of a side; returns the side of the output."""
        inputs, outputs, kernel, stride, groups = self
        side = side_after(side, stride)
        tally.conv(inputs, outputs, kernel=kernel, pixels=side * side, groups=groups)
        tally.norm(outputs)
        return side


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

    @property
    def convolutions(self) -> dict[str, Convolution]:
        """The block's convolutions in their order, by timm's names."""
        middle = self.middle
        depthwise = Convolution(middle, middle, self.kernel, self.stride, groups=middle)
        projection = Convolution(middle, self.outputs)
        if self.expansion == 1:
            return {"conv_dw": depthwise, "conv_pw": projection}
        expansion = Convolution(self.inputs, middle)
        return {"conv_pw": expansion, "conv_dw": depthwise, "conv_pwl": projection}

    def add_to(self, tally: Tally, side: int) -> int:
        """Count the block on images of a side; returns the side of its output."""
        for convolution in self.convolutions.values():
            side = convolution.add_to(tally, side)
        tally.linear(self.middle, self.squeezed, bias=True)
        tally.linear(self.squeezed, self.middle, bias=True)
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
    def convolutions(self) -> tuple[Convolution, ...]:
        """The block's convolutions in their order."""
        inner, stride = self.channels, self.stride
        if not self.bottleneck:
            return Convolution(self.inputs, inner, 3, stride), Convolution(inner, inner, 3)
        middle = Convolution(inner, inner, 3, stride)
        return Convolution(self.inputs, inner), middle, Convolution(inner, self.outputs)

    @property
    def projection(self) -> Convolution | None:
        """What brings the input to the output's shape; None where it has that shape."""
        same = self.stride == 1 and self.inputs == self.outputs
        return None if same else Convolution(self.inputs, self.outputs, stride=self.stride)

    def add_to(self, tally: Tally, side: int) -> int:
        """Count the block on images of a side; returns the side of its output."""
        if self.projection is not None:
            self.projection.add_to(tally, side)
        for convolution in self.convolutions:
            side = convolution.add_to(tally, side)
        return side
