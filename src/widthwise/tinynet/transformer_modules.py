"""The GLU transformer on patches in PyTorch; layers are named as in Llama."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from .block_shapes import HEAD_SIZE

WAVELENGTHS = 10_000.0
STD = 0.02


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
    channels, rows, columns = grid.shape[1:]
    quarter = channels // 4
    steps = torch.arange(quarter, device=grid.device, dtype=grid.dtype)
    frequencies = WAVELENGTHS ** (-steps / quarter)

    def angles(count: int) -> Tensor:
        places = torch.arange(count, device=grid.device, dtype=grid.dtype)
        return frequencies[:, None] * places

    down = angles(rows)[:, :, None].expand(quarter, rows, columns)
    right = angles(columns)[:, None, :].expand(quarter, rows, columns)
    return torch.cat([down.sin(), down.cos(), right.sin(), right.cos()])
