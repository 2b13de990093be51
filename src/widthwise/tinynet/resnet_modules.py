"""ResNets in PyTorch; parameters are named as in torchvision, so that its weights load."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from .block_shapes import ResidualBlock
from .efficientnet_modules import conv


class Residual(nn.Module):
    """Two or three convolutions beside the identity or a projection."""

    def __init__(self, block: ResidualBlock) -> None:
        super().__init__()
        inner, stride = block.channels, block.stride
        self.relu = nn.ReLU(inplace=True)
        self.is_bottleneck = block.bottleneck
        if block.bottleneck:
            self.conv1 = conv(block.inputs, inner)
            self.bn1 = nn.BatchNorm2d(inner)
            self.conv2 = conv(inner, inner, kernel=3, stride=stride)
            self.bn2 = nn.BatchNorm2d(inner)
            self.conv3: nn.Module = conv(inner, block.outputs)
            self.bn3: nn.Module = nn.BatchNorm2d(block.outputs)
        else:
            self.conv1 = conv(block.inputs, inner, kernel=3, stride=stride)
            self.bn1 = nn.BatchNorm2d(inner)
            self.conv2 = conv(inner, block.outputs, kernel=3)
            self.bn2 = nn.BatchNorm2d(block.outputs)
        self.downsample: nn.Module = nn.Identity()
        if block.is_projected:
            self.downsample = nn.Sequential(
                conv(block.inputs, block.outputs, stride=stride), nn.BatchNorm2d(block.outputs)
            )

    def forward(self, x: Tensor) -> Tensor:
        inside = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        if self.is_bottleneck:
            inside = self.bn3(self.conv3(self.relu(inside)))
        result: Tensor = self.relu(inside + self.downsample(x))
        return result


class ResNetModel(nn.Module):
    """Stem with pooling, four stages, mean over the image, classifier."""

    def __init__(
        self, *, stem: int, stages: Sequence[Sequence[ResidualBlock]], classes: int
    ) -> None:
        super().__init__()
        self.conv1 = conv(3, stem, kernel=7, stride=2)
        self.bn1 = nn.BatchNorm2d(stem)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        self.layer1, self.layer2, self.layer3, self.layer4 = (
            nn.Sequential(*map(Residual, stage)) for stage in stages
        )
        self.fc = nn.Linear(stages[-1][-1].outputs, classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        """Logits of shape (batch, classes) of images (batch, 3, side, side)."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        logits: Tensor = self.fc(x.mean((2, 3)))
        return logits
