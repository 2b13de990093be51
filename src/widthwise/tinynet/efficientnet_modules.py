"""EfficientNet in PyTorch; parameters are named as in timm, so that released weights load."""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Tensor, nn

from .block_shapes import StageBlock

DROPOUT = 0.2


def conv(
    inputs: int, outputs: int, *, kernel: int = 1, stride: int = 1, groups: int = 1
) -> nn.Conv2d:
    """A convolution without bias, padded by half its kernel on all sides."""
    padding = kernel // 2
    return nn.Conv2d(inputs, outputs, kernel, stride, padding, groups=groups, bias=False)


class SqueezeExcite(nn.Module):
    """Channels scaled by a small network of their means over the image."""

    def __init__(self, channels: int, squeezed: int) -> None:
        super().__init__()
        self.conv_reduce = nn.Conv2d(channels, squeezed, 1)
        self.act1 = nn.SiLU()
        self.conv_expand = nn.Conv2d(squeezed, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        means = x.mean((2, 3), keepdim=True)
        scales: Tensor = self.conv_expand(self.act1(self.conv_reduce(means)))
        return x * scales.sigmoid()


class DepthwiseSeparable(nn.Module):
    """Depthwise convolution, squeeze-and-excitation, projection: a block of expansion 1."""

    def __init__(self, block: StageBlock) -> None:
        super().__init__()
        middle, kernel, stride = block.middle, block.kernel, block.stride
        self.conv_dw = conv(middle, middle, kernel=kernel, stride=stride, groups=middle)
        self.bn1 = nn.BatchNorm2d(middle)
        self.act = nn.SiLU()
        self.se = SqueezeExcite(middle, block.squeezed)
        self.conv_pw = conv(middle, block.outputs)
        self.bn2 = nn.BatchNorm2d(block.outputs)
        self.has_skip = stride == 1 and block.inputs == block.outputs

    def forward(self, x: Tensor) -> Tensor:
        inside = self.se(self.act(self.bn1(self.conv_dw(x))))
        result: Tensor = self.bn2(self.conv_pw(inside))
        return result + x if self.has_skip else result


class InvertedResidual(nn.Module):
    """Expansion, depthwise convolution, squeeze-and-excitation, projection (arXiv 1801.04381)."""

    def __init__(self, block: StageBlock) -> None:
        super().__init__()
        middle, kernel, stride = block.middle, block.kernel, block.stride
        self.conv_pw = conv(block.inputs, middle)
        self.bn1 = nn.BatchNorm2d(middle)
        self.conv_dw = conv(middle, middle, kernel=kernel, stride=stride, groups=middle)
        self.bn2 = nn.BatchNorm2d(middle)
        self.act = nn.SiLU()
        self.se = SqueezeExcite(middle, block.squeezed)
        self.conv_pwl = conv(middle, block.outputs)
        self.bn3 = nn.BatchNorm2d(block.outputs)
        self.has_skip = stride == 1 and block.inputs == block.outputs

    def forward(self, x: Tensor) -> Tensor:
        inside = self.act(self.bn1(self.conv_pw(x)))
        inside = self.se(self.act(self.bn2(self.conv_dw(inside))))
        result: Tensor = self.bn3(self.conv_pwl(inside))
        return result + x if self.has_skip else result


class EfficientNetModel(nn.Module):
    """Stem, stages of blocks, head, mean over the image, dropout and classifier."""

    def __init__(
        self,
        *,
        stem: int,
        stem_stride: int,
        stages: Sequence[Sequence[StageBlock]],
        head: int,
        classes: int,
    ) -> None:
        super().__init__()
        self.conv_stem = conv(3, stem, kernel=3, stride=stem_stride)
        self.bn1 = nn.BatchNorm2d(stem)
        self.blocks = nn.Sequential(*(nn.Sequential(*map(_module, stage)) for stage in stages))
        self.conv_head = conv(stages[-1][-1].outputs, head)
        self.bn2 = nn.BatchNorm2d(head)
        self.act = nn.SiLU()
        self.dropout = nn.Dropout(DROPOUT)
        self.classifier = nn.Linear(head, classes)
        self.apply(_initialise)

    def forward(self, x: Tensor) -> Tensor:
        """Logits of shape (batch, classes) of images (batch, 3, side, side)."""
        x = self.blocks(self.act(self.bn1(self.conv_stem(x))))
        x = self.act(self.bn2(self.conv_head(x)))
        logits: Tensor = self.classifier(self.dropout(x.mean((2, 3))))
        return logits


def _module(block: StageBlock) -> nn.Module:
    return DepthwiseSeparable(block) if block.expansion == 1 else InvertedResidual(block)


def _initialise(module: nn.Module) -> None:
    """Convolutions by their fan-out, the classifier within 1 / sqrt(classes), no biases."""
    if isinstance(module, nn.Conv2d):
        height, width = module.kernel_size
        fan_out = height * width * module.out_channels // module.groups
        nn.init.normal_(module.weight, std=math.sqrt(2 / fan_out))
    elif isinstance(module, nn.Linear):
        bound = 1 / math.sqrt(module.out_features)
        nn.init.uniform_(module.weight, -bound, bound)
    if isinstance(module, nn.Conv2d | nn.Linear) and module.bias is not None:
        nn.init.zeros_(module.bias)
