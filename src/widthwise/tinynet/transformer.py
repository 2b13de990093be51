"""A transformer with GLU blocks on patches of images, at any resolution, depth and width.

Its layers are those of the language models that the rest of widthwise cuts (RMS norms, no biases,
`down(silu(gate(x)) * up(x))`), but every patch sees all patches. The width scales the hidden size
and the intermediate size together.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from .block_shapes import HEAD_SIZE
from .counts import Tally
from .family import Family
from .multipliers import Multipliers, round_blocks, round_channels

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, kw_only=True)
class GluTransformer(Family):
    """12 layers of hidden size 192 and intermediate size 512 (2.67x), and their multiples.

    The hidden size is a multiple of a head's 32, the intermediate size one of 8. Pixels beyond the
    last whole patch are not read. Positions are fixed sines and cosines, so that the parameters do
    not depend on the resolution.

    Attributes:
        patch: Side of a patch, in pixels; the total stride.
        hidden_size, intermediate_size, layers: Sizes of the base.
    """

    name: str = "glu-transformer"
    patch: int = 16
    hidden_size: int = 192
    intermediate_size: int = 512
    layers: int = 12

    @property
    def stride(self) -> int:
        return self.patch

    def sizes(self, scale: Multipliers) -> tuple[int, int, int]:
        """Hidden size, intermediate size, layers."""
        return (
            round_channels(self.hidden_size * scale.width, HEAD_SIZE),
            round_channels(self.intermediate_size * scale.width),
            round_blocks(self.layers, scale.depth),
        )

    def tally(self, scale: Multipliers, *, classes: int) -> Tally:
        hidden, intermediate, layers = self.sizes(scale)
        patches = (self.resolution(scale) // self.patch) ** 2
        tally = Tally()
        tally.conv(3, hidden, kernel=self.patch, pixels=patches)
        for _ in range(layers):
            tally.norm(hidden, bias=False)
            tally.linear(hidden, 4 * hidden, rows=patches)  # query, key, value and output
            tally.product(2 * patches * patches * hidden)
            tally.norm(hidden, bias=False)
            tally.linear(hidden, 3 * intermediate, rows=patches)  # gate, up and down
        tally.norm(hidden, bias=False)
        tally.linear(hidden, classes, bias=True)
        return tally

    def module(self, scale: Multipliers, *, classes: int) -> nn.Module:
        from .modules import GluTransformerModel

        hidden, intermediate, layers = self.sizes(scale)
        return GluTransformerModel(
            patch=self.patch,
            hidden=hidden,
            intermediate=intermediate,
            layers=layers,
            classes=classes,
        )
