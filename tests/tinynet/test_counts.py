"""Rounding rules and exact counts of all families."""

from __future__ import annotations

import itertools
import math
from typing import Any

import pytest

from widthwise.errors import TargetError
from widthwise.tinynet import BASE, FAMILIES, PUBLISHED, Multipliers, family_named
from widthwise.tinynet.rounding import round_blocks, round_channels, round_resolution

ODD = Multipliers(resolution=0.53, depth=0.45, width=0.37)  # rounds in every stage


@pytest.mark.parametrize(
    ("channels", "rounded"),
    [
        (1, 8),  # at least the divisor
        (11.9, 16),  # 8 is the nearest, and below nine tenths of it
        (8.8, 8),
        (8.9, 16),
        (17.7, 16),
        (17.8, 24),
        (320 * 0.54, 176),
        (1280 * 0.5, 640),
    ],
)
def test_channels_are_multiples_of_8_and_lose_at_most_a_tenth(
    channels: float, rounded: int
) -> None:
    assert round_channels(channels) == rounded


def test_channels_never_fall_and_never_lose_more_than_a_tenth() -> None:
    """By hundredths up to 400, with two divisors."""
    for divisor in (8, 32):
        sizes = [round_channels(0.01 * i, divisor) for i in range(1, 40_000)]
        assert sizes == sorted(sizes)
        assert all(n % divisor == 0 and n >= 0.009 * i for i, n in enumerate(sizes, start=1))


def test_blocks_round_to_the_nearest_and_halves_to_even() -> None:
    assert [round_blocks(n, 0.5) for n in (1, 2, 3, 5, 7)] == [1, 1, 2, 2, 4]
    assert [round_blocks(n, 1.1) for n in (1, 2, 3, 4)] == [1, 2, 3, 4]
    assert round_blocks(4, 0.01) == 1


def test_resolution_is_cut_off() -> None:
    assert [round_resolution(224, r) for r in (0.999, 0.86, 0.475, 1.0)] == [223, 192, 106, 224]


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_networks_have_their_exact_counts(name: str) -> None:
    net = PUBLISHED[name]
    counts = FAMILIES["efficientnet"].counts(net.scale, classes=1000)
    assert (counts.parameters, counts.macs) == (net.parameters, net.macs)
    assert counts.parameter_bytes == 4 * net.parameters
    # The paper prints whole millions: 24 is 24.36, and its own counter adds a little.
    assert counts.macs == pytest.approx(net.printed_macs, rel=0.016)


def test_published_numbers() -> None:
    """The numbers themselves, in one place."""
    assert {name: (net.parameters, net.macs) for name, net in PUBLISHED.items()} == {
        "b0": (5_288_548, 385_814_752),
        "a": (6_187_972, 336_867_712),
        "b": (3_730_562, 200_709_360),
        "c": (2_457_234, 99_536_432),
        "d": (2_338_446, 51_580_656),
        "e": (2_042_972, 24_356_848),
    }


@pytest.mark.parametrize(
    ("name", "parameters", "macs"),
    [("resnet18", 11_689_512, 1_814_073_344), ("resnet50", 25_557_032, 4_089_184_256)],
)
def test_resnets_have_the_counts_of_torchvision(name: str, parameters: int, macs: int) -> None:
    counts = FAMILIES[name].counts(BASE, classes=1000)
    assert (counts.parameters, counts.macs) == (parameters, macs)


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


def test_small_images_lose_an_eighth_of_their_side() -> None:
    small, large = FAMILIES["efficientnet-small"], FAMILIES["efficientnet"]
    assert (small.stride, large.stride) == (8, 32)
    assert small.resolution(Multipliers(resolution=0.25, depth=1, width=1)) == 8
    assert small.counts(BASE, classes=10).parameters == large.counts(BASE, classes=10).parameters


@pytest.mark.parametrize("name", FAMILIES)
def test_a_resolution_below_the_total_stride_is_refused(name: str) -> None:
    family = FAMILIES[name]
    least = family.stride / family.base_resolution
    at_least = Multipliers(resolution=least, depth=1, width=1)
    assert family.resolution(at_least) == family.stride
    below = Multipliers(resolution=0.99 * least, depth=1, width=1)
    for use in (family.counts, family.build):
        with pytest.raises(
            TargetError, match=f"below the network's total stride of {family.stride}"
        ):
            use(below, classes=10)


@pytest.mark.parametrize("classes", [0, -1, 10**7])
def test_classes_out_of_range_are_refused(classes: int) -> None:
    for family in FAMILIES.values():
        for use in (family.counts, family.build):
            with pytest.raises(TargetError, match=r"classes must be in \[1, 1000000\]"):
                use(BASE, classes=classes)


@pytest.mark.parametrize("value", [0.0, -1.0, math.inf, math.nan, 4.1])
def test_multipliers_out_of_range_are_refused(value: float) -> None:
    for which in ("resolution", "depth", "width"):
        numbers: dict[str, Any] = {"resolution": 1.0, "depth": 1.0, "width": 1.0, which: value}
        with pytest.raises(TargetError, match=f"{which} must be a multiplier above 0"):
            Multipliers(**numbers)


def test_an_unknown_family_is_refused() -> None:
    with pytest.raises(TargetError, match="must be one of efficientnet, efficientnet-small"):
        family_named("vgg")
