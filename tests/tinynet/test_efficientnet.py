"""The networks themselves: names, numbers, initial weights."""

from __future__ import annotations

import hashlib
import json
import math

import pytest
import torch
from torch import nn

from widthwise.tinynet import BASE, FAMILIES, PUBLISHED, Multipliers
from widthwise.tinynet.transformer_modules import positions

# SHA-256 over names and shapes, in order, of timm 1.0.31's state dicts.
TIMM = {
    "b0": "9ad91779a6388432d54f553c610de5b7106a73cc08a9ed0abc27b628c7fecd87",
    "a": "b42f4953c4e8c5d87e4276b85d8f9a5dd205910b6ce088bf1a8f631219e5bb0a",
    "b": "2f9f27345417b19c9c9f1ccc7d6905fd74035c620a887c1db502ddbb38fd0c9a",
    "c": "3d7d4835e2143acd3cccb38424b836a82b80f436386a4fc14cb7feb076cab921",
    "d": "038dd46f85c7267563141dc5320ee3c8792e61978b76b88425ca0f9f4380485b",
    "e": "b99d48276cdcfb7894c94fee112eb23665bc88b4855162cc2f748d20a40c4d79",
}
# First five logits and standard deviation of all 1000, by timm 1.0.31, with the weights and the
# image of `waves`.
TIMM_LOGITS = {
    "e": ([1.480588, -3.096471, 3.776102, -2.681728, 0.579488], 2.6324174404144287),
}


def waves(model: nn.Module, pixels: int) -> torch.Tensor:
    """Give a model weights that are sines of their place; returns an image of the same sort."""
    for i, (name, tensor) in enumerate(model.state_dict().items()):
        if not tensor.is_floating_point():
            continue
        wave = torch.sin(0.7 * torch.arange(tensor.numel(), dtype=torch.float64) + i)
        if name.endswith("running_var"):
            wave = 1 + 0.5 * wave
        elif tensor.dim() > 1:
            wave = wave * math.sqrt(2 / (tensor.numel() / tensor.shape[0]))
        elif "bn" in name and name.endswith("weight"):
            wave = 1 + 0.2 * wave
        else:
            wave = 0.1 * wave
        tensor.copy_(wave.reshape(tensor.shape))
    image = torch.sin(0.11 * torch.arange(3 * pixels * pixels, dtype=torch.float64))
    return image.reshape(1, 3, pixels, pixels).float()


@pytest.mark.parametrize("name", TIMM)
def test_names_and_shapes_are_those_of_released_weights(name: str) -> None:
    with torch.device("meta"):
        model = FAMILIES["efficientnet"].build(PUBLISHED[name].scale, classes=1000)
    listed = [[key, list(tensor.shape)] for key, tensor in model.state_dict().items()]
    assert hashlib.sha256(json.dumps(listed).encode()).hexdigest() == TIMM[name]


@pytest.mark.parametrize("name", TIMM_LOGITS)
def test_logits_are_those_of_timm(name: str) -> None:
    scale, family = PUBLISHED[name].scale, FAMILIES["efficientnet"]
    model = family.build(scale, classes=1000).eval()
    image = waves(model, family.resolution(scale))
    with torch.inference_mode():
        logits = model(image)[0]
    first, deviation = TIMM_LOGITS[name]
    # Float32 sums in another order move logits by 1e-6 of their size; the print has 6 digits.
    torch.testing.assert_close(logits[:5], torch.tensor(first), rtol=1e-4, atol=1e-4)
    assert float(logits.std()) == pytest.approx(deviation, rel=1e-4)


@pytest.mark.parametrize(("name", "entries"), [("resnet18", 122), ("resnet50", 320)])
def test_resnets_have_the_names_of_torchvision(name: str, entries: int) -> None:
    with torch.device("meta"):
        names = set(FAMILIES[name].build(BASE, classes=1000).state_dict())
    assert len(names) == entries
    assert {"conv1.weight", "bn1.running_var", "fc.bias"} < names
    assert {"layer2.0.downsample.0.weight", "layer2.0.downsample.1.bias"} < names
    assert ("layer1.0.downsample.0.weight" in names) == (name == "resnet50")


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


def test_squeeze_goes_by_the_input_of_a_block() -> None:
    """A quarter of what enters the block, not of what it is expanded to."""
    with torch.device("meta"):
        model = FAMILIES["efficientnet"].build(BASE, classes=10)
    shapes = {name: tensor.shape for name, tensor in model.state_dict().items()}
    assert shapes["blocks.0.0.se.conv_reduce.weight"] == (8, 32, 1, 1)
    assert shapes["blocks.1.0.se.conv_reduce.weight"] == (4, 96, 1, 1)


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
