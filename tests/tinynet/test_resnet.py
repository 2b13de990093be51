"""ResNets have the counts and names of torchvision."""

from __future__ import annotations

import pytest
import torch

from widthwise.tinynet import BASE, FAMILIES


@pytest.mark.parametrize(
    ("name", "parameters", "macs"),
    [("resnet18", 11_689_512, 1_814_073_344), ("resnet50", 25_557_032, 4_089_184_256)],
)
def test_resnets_have_the_counts_of_torchvision(name: str, parameters: int, macs: int) -> None:
    counts = FAMILIES[name].counts(BASE, classes=1000)
    assert (counts.parameters, counts.macs) == (parameters, macs)


@pytest.mark.parametrize(("name", "entries"), [("resnet18", 122), ("resnet50", 320)])
def test_resnets_have_the_names_of_torchvision(name: str, entries: int) -> None:
    with torch.device("meta"):
        names = set(FAMILIES[name].build(BASE, classes=1000).state_dict())
    assert len(names) == entries
    assert {"conv1.weight", "bn1.running_var", "fc.bias"} < names
    assert {"layer2.0.downsample.0.weight", "layer2.0.downsample.1.bias"} < names
    assert ("layer1.0.downsample.0.weight" in names) == (name == "resnet50")
