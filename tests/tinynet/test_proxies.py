"""Zero-cost proxies: closed forms, a plain reference, what they leave alone."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from widthwise.errors import RunError
from widthwise.tinynet import Multipliers, family_named
from widthwise.tinynet.proxies import naswot, parameters, synflow


def batch(n: int = 7, side: int = 5) -> torch.Tensor:
    return torch.randn(n, 3, side, side, generator=torch.Generator().manual_seed(0))


def test_synflow_of_a_linear_network_is_layers_times_the_flow() -> None:
    """R is linear in each layer's weights, so each layer's sum of |θ dR/dθ| is R itself."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Flatten(), nn.Linear(75, 11, bias=False), nn.Linear(11, 2, bias=False))
    first, second = (net[i].weight.detach().double().abs() for i in (1, 2))
    flow = float((second @ first).sum())
    assert synflow(net, batch()) == pytest.approx(math.log(2 * flow), rel=1e-12)


def test_synflow_leaves_normalisation_and_the_network_alone() -> None:
    torch.manual_seed(0)
    family = family_named("efficientnet-96")
    net = family.build(Multipliers(resolution=0.35, depth=0.35, width=0.2), classes=3)
    photos = batch(4, 33)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    value = synflow(net, photos)
    naswot(net, photos)
    assert net.training
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    with torch.no_grad():
        for module in net.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.weight.fill_(7.0)
    assert synflow(net, photos) == value


def test_naswot_counts_units_that_are_alike() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.SiLU(), nn.Conv2d(4, 5, 3), nn.ReLU(), nn.Flatten())
    photos = batch()
    first = net[0](photos)
    second = net[2](net[1](first))
    on = torch.cat([(first > 0).flatten(1), (second > 0).flatten(1)], 1)
    kernel = [[int((a == b).sum()) for b in on] for a in on]
    want = torch.linalg.slogdet(torch.tensor(kernel, dtype=torch.float64)).logabsdet
    assert naswot(net, photos) == pytest.approx(float(want), rel=1e-9)


def test_naswot_of_the_same_photo_twice_has_no_value() -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())
    with pytest.raises(RunError, match="NASWOT is no finite number"):
        naswot(net, batch()[[0, 0]])
    with pytest.raises(RunError, match="no module of one"):
        naswot(nn.Sequential(nn.Conv2d(3, 4, 3)), batch())


def test_synflow_of_a_dead_network_has_no_value() -> None:
    net = nn.Sequential(nn.Flatten(), nn.Linear(75, 2, bias=False))
    nn.init.zeros_(net[1].weight)
    with pytest.raises(RunError, match="SynFlow is no finite number"):
        synflow(net, batch())


def test_the_control_is_the_number_of_parameters() -> None:
    assert parameters(nn.Linear(9, 5), batch()) == pytest.approx(math.log(50))
