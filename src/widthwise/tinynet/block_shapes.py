"""Shapes of the blocks that networks are built of, apart from how they are built."""

from __future__ import annotations

from dataclasses import dataclass

SQUEEZE = 0.25  # channels in the middle of squeeze-and-excitation, of the block's input


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


HEAD_SIZE = 32


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
