"""Sums of second moments: exact products, whole sums, and an error where no token was added."""

from __future__ import annotations

import pickle

import pytest
import torch

from widthwise.errors import RunError
from widthwise.prune.calibration import Moments


def test_a_sum_that_is_wider_than_a_panel_is_whole() -> None:
    rows = torch.randn(50, 1000, generator=torch.Generator().manual_seed(0))
    moments = Moments.empty(1000)
    moments.add(rows[:20])
    moments.add(rows[20:])
    exact = rows.double().T @ rows.double()
    torch.testing.assert_close(moments.total.double(), exact, rtol=0, atol=1e-4)  # |sum| ~ 50


def test_moments_of_bfloat16_are_exact_products_summed_in_float32() -> None:
    rows = torch.randn(64, 96, generator=torch.Generator().manual_seed(0)).bfloat16()
    moments = Moments.empty(96)
    moments.add(rows)
    exact = rows.double().T @ rows.double()
    torch.testing.assert_close(moments.total.double(), exact, rtol=0, atol=1e-4)  # bf16: 0.1
    assert torch.get_float32_matmul_precision() == "highest"


def test_tf32_that_a_caller_chose_is_no_hindrance() -> None:
    """By the setting of CUDA alone, after which torch does not tell the one of all devices."""
    settings = torch.backends.cuda.matmul
    before = settings.fp32_precision
    settings.fp32_precision = "tf32"
    try:
        with pytest.raises(RuntimeError, match="mix of the legacy and new APIs"):
            torch.get_float32_matmul_precision()
        Moments.empty(4).add(torch.ones(2, 4, dtype=torch.bfloat16))
        assert settings.fp32_precision == "tf32"
    finally:
        settings.fp32_precision = before


def test_a_sum_is_the_same_to_the_bit_in_whatever_order_it_is_added_up() -> None:
    """Of float32 numbers: those of a batch are added in float32, and batches in float64."""
    generator = torch.Generator().manual_seed(0)
    batches = [torch.randn(64, 400, generator=generator) for _ in range(9)]
    whole, backwards = Moments.empty(400), Moments.empty(400)
    halves = [Moments.empty(400), Moments.empty(400)]
    for number, batch in enumerate(batches):
        whole.add(batch)
        backwards.add(batches[-1 - number])
        halves[number % 2].add(batch)
    arrived = pickle.loads(pickle.dumps(halves[1]))
    for other in (backwards, halves[0].merged(arrived), arrived.merged(halves[0])):
        assert torch.equal(other.total, whole.total)
        assert other.tokens == whole.tokens == 9 * 64


def test_no_token_is_told() -> None:
    with pytest.raises(RunError, match="no token to calibrate on"):
        Moments.empty(4).mean("layer 0")


def test_a_sum_can_be_read_between_additions_and_in_another_order() -> None:
    rows = torch.randn(60, 500, generator=torch.Generator().manual_seed(0))
    moments = Moments.empty(500)
    moments.add(rows[:30])
    assert torch.equal(moments.total, moments.total.T)
    moments.add(rows[30:])
    exact = rows.double().T @ rows.double()
    torch.testing.assert_close(moments.total.double(), exact, rtol=0, atol=1e-4)  # |sum| ~ 60
    order = torch.randperm(500, generator=torch.Generator().manual_seed(1))
    ordered = moments.ordered(order, "layer 0")
    assert torch.equal(ordered, moments.total[order][:, order])
    assert torch.equal(moments.diagonal("layer 0"), moments.mean("layer 0").diagonal())
    ordered.zero_()
    assert moments.total.any()
