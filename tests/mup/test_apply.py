"""Initial weights of a parametrization."""

from __future__ import annotations

import pytest
import torch
from mup_models import llama, wide
from torch import nn

from widthwise.mup import initial_stds, parametrize


def test_initial_weights_are_those_of_the_base_width_times_the_factor() -> None:
    model = wide()
    one = parametrize(model, llama())
    one.init_(model, 0.1, torch.Generator().manual_seed(5))
    first = {name: p.detach().clone() for name, p in model.named_parameters()}
    for weight in one.weights:
        got = float(first[weight.name].std(correction=0))
        if len(weight.shape) == 1:
            assert got == 0  # gains stay 1
        else:  # 5 standard errors of a deviation from 2048 numbers and more
            assert got == pytest.approx(0.1 * weight.std, rel=5 * (2 * 2048) ** -0.5)
    one.init_(model, 0.1, torch.Generator().manual_seed(5))  # draws anew, scales nothing twice
    assert all(torch.equal(p, first[name]) for name, p in model.named_parameters())


def test_biases_that_start_random_do_so_by_the_base_width() -> None:
    """torch's own would be smaller at larger widths, where muP has them alike."""

    def net(width: int) -> nn.Module:
        return nn.Sequential(nn.Linear(5, width), nn.Linear(width, width), nn.LayerNorm(width))

    base, model = net(256), net(1024)
    one = parametrize(model, base)
    one.init_(model, initial_stds(base), torch.Generator().manual_seed(0))
    want = 256**-0.5 / 3**0.5  # a uniform draw between plus and minus 1 / sqrt(256)
    # the base's own deviation, of 256 numbers: 4 standard errors of a uniform draw
    assert float(model[1].bias.detach().std()) == pytest.approx(want, rel=0.15)
    assert float(model[1].weight.detach().std()) == pytest.approx(want / 2, rel=0.15)
    assert torch.equal(model[2].weight, torch.ones(1024))
