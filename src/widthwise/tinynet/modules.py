"""The networks of all families in PyTorch.

Parameters of EfficientNets are named as in timm, those of ResNets as in torchvision, so that
released weights load; layers of transformers are named as in Llama.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from .block_shapes import HEAD_SIZE, Convolution, ResidualBlock, StageBlock

DROPOUT = 0.2
WAVELENGTHS = 10_000.0
STD = 0.02


def conv(shape: Convolution) -> nn.Conv2d:
    """A convolution without its normalisation."""
    inputs, outputs, kernel, stride, groups = shape
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


class InvertedResidual(nn.Sequential):
    """Expansion where there is one, depthwise convolution, squeeze-and-excitation, projection.

    Source: arXiv 1801.04381.
    """

    def __init__(self, block: StageBlock) -> None:
        super().__init__()
        for i, (name, shape) in enumerate(block.convolutions.items(), start=1):
            self.add_module(name, conv(shape))
            self.add_module(f"bn{i}", nn.BatchNorm2d(shape.outputs))
            if i < len(block.convolutions):
                self.add_module(f"act{i}", nn.SiLU())
            if name == "conv_dw":
                self.add_module("se", SqueezeExcite(block.middle, block.squeezed))
        self.has_skip = block.stride == 1 and block.inputs == block.outputs

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = super().forward(x)  # type: ignore[no-untyped-call]
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
        self.conv_stem = conv(Convolution(3, stem, 3, stem_stride))
        self.bn1 = nn.BatchNorm2d(stem)
        self.blocks = nn.Sequential(
            *(nn.Sequential(*map(InvertedResidual, stage)) for stage in stages)
        )
        self.conv_head = conv(Convolution(stages[-1][-1].outputs, head))
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


class Residual(nn.Module):
    """Two or three convolutions beside the identity or a projection."""

    def __init__(self, block: ResidualBlock) -> None:
        super().__init__()
        self.relu = nn.ReLU(inplace=True)
        self.count = len(block.convolutions)
        for i, shape in enumerate(block.convolutions, start=1):
            self.add_module(f"conv{i}", conv(shape))
            self.add_module(f"bn{i}", nn.BatchNorm2d(shape.outputs))
        self.downsample: nn.Module = nn.Identity()
        if (projection := block.projection) is not None:
            self.downsample = nn.Sequential(conv(projection), nn.BatchNorm2d(projection.outputs))

    def forward(self, x: Tensor) -> Tensor:
        inside = x
        for i in range(1, self.count + 1):
            inside = self.get_submodule(f"bn{i}")(self.get_submodule(f"conv{i}")(inside))
            if i < self.count:
                inside = self.relu(inside)
        result: Tensor = self.relu(inside + self.downsample(x))
        return result


class ResNetModel(nn.Module):
    """Stem with pooling, four stages, mean over the image, classifier."""

    def __init__(
        self, *, stem: int, stages: Sequence[Sequence[ResidualBlock]], classes: int
    ) -> None:
        super().__init__()
        self.conv1 = conv(Convolution(3, stem, 7, 2))
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


class Attention(nn.Module):
    """Every patch sees all patches; heads of 32."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.q_proj = nn.Linear(hidden, hidden, bias=False)
        self.k_proj = nn.Linear(hidden, hidden, bias=False)
        self.v_proj = nn.Linear(hidden, hidden, bias=False)
        self.o_proj = nn.Linear(hidden, hidden, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        query, key, value = (
            projection(x).unflatten(-1, (-1, HEAD_SIZE)).transpose(1, 2)
            for projection in (self.q_proj, self.k_proj, self.v_proj)
        )
        mixed = functional.scaled_dot_product_attention(query, key, value)
        result: Tensor = self.o_proj(mixed.transpose(1, 2).flatten(2))
        return result


class Glu(nn.Module):
    """down(silu(gate(x)) * up(x))"""

    def __init__(self, hidden: int, intermediate: int) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(hidden, intermediate, bias=False)
        self.up_proj = nn.Linear(hidden, intermediate, bias=False)
        self.down_proj = nn.Linear(intermediate, hidden, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.down_proj(functional.silu(self.gate_proj(x)) * self.up_proj(x))
        return result


class TransformerLayer(nn.Module):
    """Attention and a GLU block, each behind an RMS norm and beside the identity."""

    def __init__(self, hidden: int, intermediate: int) -> None:
        super().__init__()
        self.input_layernorm = nn.RMSNorm(hidden, eps=1e-6)
        self.self_attn = Attention(hidden)
        self.post_attention_layernorm = nn.RMSNorm(hidden, eps=1e-6)
        self.mlp = Glu(hidden, intermediate)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.self_attn(self.input_layernorm(x))
        result: Tensor = x + self.mlp(self.post_attention_layernorm(x))
        return result


class GluTransformerModel(nn.Module):
    """Patches with their positions, layers, norm, mean over patches, classifier."""

    def __init__(
        self, *, patch: int, hidden: int, intermediate: int, layers: int, classes: int
    ) -> None:
        super().__init__()
        self.embed_patches = nn.Conv2d(3, hidden, patch, patch, bias=False)
        self.layers = nn.Sequential(
            *(TransformerLayer(hidden, intermediate) for _ in range(layers))
        )
        self.norm = nn.RMSNorm(hidden, eps=1e-6)
        self.classifier = nn.Linear(hidden, classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.normal_(module.weight, std=STD)
        nn.init.zeros_(self.classifier.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Logits of shape (batch, classes) of images (batch, 3, side, side)."""
        x = self.embed_patches(x)
        x = (x + positions(x)).flatten(2).transpose(1, 2)
        logits: Tensor = self.classifier(self.norm(self.layers(x)).mean(1))
        return logits


def positions(grid: Tensor) -> Tensor:
    """Sines and cosines of rows and of columns, of shape (channels, rows, columns).

    A quarter of the channels each: sin and cos of the row, sin and cos of the column, at
    wavelengths in geometric progression (arXiv 1706.03762, section 3.5).

    Args:
        grid: Patches of shape (batch, channels, rows, columns); channels are a multiple of 4.
    """
    channels, *sides = grid.shape[1:]
    quarter = channels // 4
    steps = torch.arange(quarter, device=grid.device, dtype=grid.dtype)
    frequencies = WAVELENGTHS ** (-steps / quarter)
    places = [torch.arange(side, device=grid.device, dtype=grid.dtype) for side in sides]
    down, right = (
        frequencies[:, None, None] * place for place in torch.meshgrid(*places, indexing="ij")
    )
    return torch.cat([down.sin(), down.cos(), right.sin(), right.cos()])
