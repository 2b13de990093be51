"""A transformer with GLU blocks on patches of images, at any resolution, depth and width.

Its layers are those of the language models that the rest of widthwise cuts (RMS norms, no biases,
`down(silu(gate(x)) * up(x))`), but every patch sees all patches. The width scales the hidden size
and the intermediate size together.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from .block_shapes import HEAD_SIZE
from .counts import NetworkCounts, Tally
from .family import check_classes, side
from .rounding import round_blocks, round_channels

if TYPE_CHECKING:
    from torch import nn

    from .multipliers import Multipliers


@dataclass(frozen=True, kw_only=True)
class GluTransformer:
    """12 layers of hidden size 192 and intermediate size 512 (2.67x), and their multiples.

    The hidden size is a multiple of a head's 32, the intermediate size one of 8. Pixels beyond the
    last whole patch are not read. Positions are fixed sines and cosines, so that the parameters do
    not depend on the resolution.

    Attributes:
        name: Of the family.
        base_resolution: Side of the base's images, in pixels.
        patch: Side of a patch, in pixels; the total stride.
        hidden_size: Of the base.
        intermediate_size: Of the base.
        layers: Of the base.
    """

    name: str = "glu-transformer"
    base_resolution: int = 224
    patch: int = 16
    hidden_size: int = 192
    intermediate_size: int = 512
    layers: int = 12

    @property
    def stride(self) -> int:
        """Total stride."""
        return self.patch

    def resolution(self, scale: Multipliers) -> int:
        return side(self.base_resolution, scale, self.patch)

    def sizes(self, scale: Multipliers) -> tuple[int, int, int]:
        """Hidden size, intermediate size, layers."""
        return (
            round_channels(self.hidden_size * scale.width, HEAD_SIZE),
            round_channels(self.intermediate_size * scale.width),
            round_blocks(self.layers, scale.depth),
        )

    def counts(self, scale: Multipliers, *, classes: int) -> NetworkCounts:
        check_classes(classes)
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
        return tally.counts()

    def build(self, scale: Multipliers, *, classes: int) -> nn.Module:
        from .transformer_modules import GluTransformerModel

        check_classes(classes)
        self.resolution(scale)
        hidden, intermediate, layers = self.sizes(scale)
        return GluTransformerModel(
            patch=self.patch,
            hidden=hidden,
            intermediate=intermediate,
            layers=layers,
            classes=classes,
        )
