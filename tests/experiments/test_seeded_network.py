"""Networks of some width, their limit and kernels: what they are called, and where they stand."""

from __future__ import annotations

from typing import ClassVar

import pytest

from widthwise.errors import LimitError
from widthwise.experiments.seeded_network import SeededNetwork


class Network(SeededNetwork):
    kernel_names: ClassVar = {"ntk": "NTK", "gp": "GP"}


def test_networks_stand_by_width_then_the_limit_then_the_kernels() -> None:
    kinds = [("gp", None), ("limit", None), ("finite", 64), ("ntk", None), ("finite", 8)]
    networks = [Network(network=kind, width=width) for kind, width in kinds]
    networks.sort(key=lambda network: network.place)
    assert [n.label for n in networks] == ["width 8", "width 64", "limit", "NTK", "GP"]


def test_only_kinds_that_are_named_are_taken() -> None:
    for kind in ("finite", "limit", "ntk", "gp"):
        Network.check_kind(kind)
    with pytest.raises(LimitError, match="one of finite, limit, ntk, gp; got 'linear'"):
        Network.check_kind("linear")
