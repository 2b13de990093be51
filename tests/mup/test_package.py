"""The same coordinates as the mup package on the MLP of its example."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from mlp_of_mup import BASE, DELTA, INPUTS, LR, WIDTH, Mlp, coordinates, normals

from widthwise.mup import parametrize

# of_mup with mup 1.0.0 and torch 2.13; any torch gives them to rounding in float64
GOLDEN = {
    "sgd": [
        [0.761208135236, 0.434036920044, 0.137813647921],
        [0.760132377436, 0.432031696071, 0.128669197892],
        [0.760302000041, 0.433042738335, 0.128576589773],
        [0.761804009303, 0.435630121828, 0.132234789127],
        [0.763870028245, 0.439315905848, 0.140043152676],
    ],
    "adam": [
        [0.761208135236, 0.434036920044, 0.137813647921],
        [0.762733585914, 0.43387074119, 0.124198399315],
        [0.767038724991, 0.441077598796, 0.132693678136],
        [0.774832811175, 0.453752723102, 0.160731813002],
        [0.784531077294, 0.471546659269, 0.198974756689],
    ],
}

STDS = {"fc_1.weight": INPUTS**-0.5, "fc_2.weight": BASE**-0.5, "fc_3.weight": BASE**-0.5}


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_a_plain_mlp_has_the_coordinates_of_the_package(optimizer: str) -> None:
    """Another table of the same muP; the golden numbers are given to 12 digits."""
    torch.testing.assert_close(
        torch.tensor(ours(optimizer)), torch.tensor(GOLDEN[optimizer]), rtol=1e-10, atol=0
    )


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_the_golden_numbers_are_those_of_the_package(optimizer: str) -> None:
    torch.testing.assert_close(
        torch.tensor(of_mup(optimizer)), torch.tensor(GOLDEN[optimizer]), rtol=1e-10, atol=0
    )


def ours(optimizer: str) -> list[list[float]]:
    """A plain MLP: no multipliers, other learning rates and initial scales."""
    torch.set_default_dtype(torch.float64)
    model = Mlp(WIDTH)
    one = parametrize(model, Mlp(BASE), Mlp(DELTA))
    stds = {weight.name: STDS[weight.name] * weight.std for weight in one.weights}
    weights = {name: z * stds[name] for name, z in normals().items()}
    model.load_state_dict(weights)
    groups = one.groups(
        model,
        lr=LR[optimizer],
        optimizer=optimizer,  # type: ignore[arg-type]
        eps=1e-30,  # next to none: the symmetry between tables holds without one
    )
    return coordinates(model, torch_optimizer(optimizer, groups))


def of_mup(optimizer: str) -> list[list[float]]:
    """The same by the mup package: its readout, its base shapes, its optimizers."""
    mup = pytest.importorskip("mup")
    torch.set_default_dtype(torch.float64)
    model = Mlp(WIDTH, mup.MuReadout)
    fans = {"fc_1.weight": INPUTS, "fc_2.weight": WIDTH, "fc_3.weight": WIDTH}
    model.load_state_dict({name: z * fans[name] ** -0.5 for name, z in normals().items()})
    mup.set_base_shapes(model, Mlp(BASE, mup.MuReadout), delta=Mlp(DELTA, mup.MuReadout))
    impl = {"sgd": mup.MuSGD, "adam": mup.MuAdam}[optimizer]
    kwargs: dict[str, Any] = {"eps": 1e-30} if optimizer == "adam" else {}
    return coordinates(model, impl(model.parameters(), lr=LR[optimizer], **kwargs))


def torch_optimizer(optimizer: str, groups: Any) -> torch.optim.Optimizer:
    if optimizer == "sgd":
        return torch.optim.SGD(groups)
    return torch.optim.Adam(groups)
