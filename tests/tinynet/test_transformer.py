"""Sizes of GLU transformers on patches."""

from __future__ import annotations

from widthwise.tinynet import BASE, GluTransformer, Multipliers


def test_sizes_are_whole_heads_and_multiples_of_8() -> None:
    family = GluTransformer()
    assert family.sizes(BASE) == (192, 512, 12)
    for i in range(1, 100):
        hidden, intermediate, layers = family.sizes(
            Multipliers(resolution=1.0, depth=0.02 * i, width=0.02 * i)
        )
        assert (hidden % 32, intermediate % 8) == (0, 0)
        assert layers >= 1
