"""The networks themselves: names, numbers, initial weights."""

from __future__ import annotations

import hashlib
import json
import math

import pytest
import torch
from torch import nn

from widthwise.tinynet import FAMILIES, PUBLISHED

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
