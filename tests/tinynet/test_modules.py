"""Modules in training and evaluation, and their initial weights."""

from __future__ import annotations

import math

import pytest
import torch

from widthwise.tinynet import FAMILIES, Multipliers
from widthwise.tinynet.modules import positions


@pytest.mark.parametrize("name", FAMILIES)
def test_networks_take_batches_and_learn(name: str) -> None:
    """Odd sides, batches of any size in evaluation, and a gradient for every parameter."""
    family, scale = FAMILIES[name], Multipliers(resolution=0.34, depth=0.3, width=0.3)
    torch.manual_seed(0)
    model, pixels = family.build(scale, classes=7), family.resolution(scale)
    assert model.training
    images = torch.randn(3, 3, pixels, pixels)
    model(images).square().sum().backward()
    for key, parameter in model.named_parameters():
        assert parameter.grad is not None, key
        assert bool(parameter.grad.isfinite().all()), key
        assert bool(parameter.grad.any()), key
    model.eval()
    with torch.inference_mode():
        whole, one = model(images), model(images[1:2])
    assert whole.shape == (3, 7)
    torch.testing.assert_close(whole[1:2], one, rtol=1e-4, atol=1e-5)  # float32, other batches


def test_initial_weights_go_by_fan_out() -> None:
    torch.manual_seed(0)
    model = FAMILIES["efficientnet"].build(
        Multipliers(resolution=1, depth=0.3, width=1), classes=400
    )
    parameters = {name: tensor.detach() for name, tensor in model.named_parameters()}
    head = parameters["conv_head.weight"]
    assert float(head.std()) == pytest.approx(math.sqrt(2 / 1280), rel=0.01)  # 409 600 numbers
    depthwise = parameters["blocks.5.0.conv_dw.weight"]  # its fan-out is its kernel alone
    assert float(depthwise.std()) == pytest.approx(math.sqrt(2 / 25), rel=0.03)  # 16 800 numbers
    classifier = parameters["classifier.weight"]
    assert 0.99 / 20 < float(classifier.abs().max()) <= 1 / 20
    assert not parameters["classifier.bias"].any()
    assert not parameters["blocks.1.0.se.conv_reduce.bias"].any()


def test_positions_tell_rows_from_columns() -> None:
    found = positions(torch.zeros(1, 8, 2, 3, dtype=torch.float64))
    assert found.shape == (8, 2, 3)
    slow = 10_000.0**-0.5
    for row in range(2):
        for column in range(3):
            expected = [math.sin(row), math.sin(row * slow), math.cos(row), math.cos(row * slow)]
            expected += [math.sin(column), math.sin(column * slow)]
            expected += [math.cos(column), math.cos(column * slow)]
            assert found[:, row, column].tolist() == pytest.approx(expected, abs=1e-12)
