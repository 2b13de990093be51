"""Rounding rules and exact counts of all families."""

from __future__ import annotations

import itertools

import pytest

from widthwise.tinynet import BASE, FAMILIES, Multipliers

ODD = Multipliers(resolution=0.53, depth=0.45, width=0.37)  # rounds in every stage


@pytest.mark.parametrize(
    ("name", "scale"), [*((name, ODD) for name in FAMILIES), ("glu-transformer", BASE)]
)
def test_counts_are_those_of_the_built_network(name: str, scale: Multipliers) -> None:
    """Parameters by torch, multiply-adds by its FLOP counter, on a device without numbers."""
    import torch
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.utils.flop_counter import FlopCounterMode

    family = FAMILIES[name]
    counts, pixels = family.counts(scale, classes=13), family.resolution(scale)
    with torch.device("meta"):
        model = family.build(scale, classes=13).eval()
        # The fused kernels of attention have no counter on every device.
        with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
            logits = model(torch.zeros(1, 3, pixels, pixels))
    assert logits.shape == (1, 13)
    assert counts.parameters == sum(p.numel() for p in model.parameters())
    assert 2 * counts.macs == counter.get_total_flops()


@pytest.mark.parametrize("name", FAMILIES)
def test_counts_never_fall_as_a_multiplier_grows(name: str) -> None:
    family = FAMILIES[name]
    for which in ("resolution", "depth", "width"):
        rest = {"resolution": 0.61, "depth": 0.7, "width": 0.43}
        seen = [
            family.counts(Multipliers(**{**rest, which: 0.35 + 0.007 * i}), classes=10)
            for i in range(100)
        ]
        for one, next_one in itertools.pairwise(seen):
            assert one.macs <= next_one.macs
            assert one.parameters <= next_one.parameters
