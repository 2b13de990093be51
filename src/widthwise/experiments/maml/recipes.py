"""What networks there are, and how each is meta-trained."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import log
from typing import ClassVar

from ...errors import LimitError
from ...theory import check_positive
from ..seeded_network import SeededNetwork
from .kernels import KernelMethod
from .networks import MOST_WIDTH, LayerScales
from .relu_network import MOST_RELU_WIDTH


class MamlNetwork(SeededNetwork):
    """A network, the limit, or a kernel of `KERNELS`; the seed draws the weights and the tasks."""

    finite_names: ClassVar = {"finite": "finite", "relu": "ReLU"}
    kernel_names: ClassVar = {"linear": "linear kernel", "gp": "ReLU GP", "ntk": "ReLU NTK"}
    slow_kernels: ClassVar = ("gp", "ntk")  # take fewer steps, as more teach them nothing


@dataclass(frozen=True, kw_only=True)
class MetaRecipe:
    """Recipe of meta-training.

    Attributes:
        lr: Learning rate between tasks.
        scales: Initial scales of a network; kernels do not use them.
        kernel: Kernel of a function in the kernel regime; None for networks and the limit.
    """

    lr: float
    scales: LayerScales = field(default_factory=lambda: LayerScales(u=1.0, v=0.03125, bias=1.0))
    kernel: KernelMethod | None = None

    def __post_init__(self) -> None:
        check_positive("a learning rate", self.lr)


LIMIT = MetaRecipe(lr=0.1)
RECIPES = {
    2: MetaRecipe(lr=0.05, scales=LayerScales(u=0.5, v=0.5, bias=2.0)),
    8: MetaRecipe(lr=0.1, scales=LayerScales(u=0.5, v=0.25, bias=1.0)),
    32: MetaRecipe(lr=0.4, scales=LayerScales(u=1.0, v=0.125, bias=0.5)),
    128: MetaRecipe(lr=0.1, scales=LayerScales(u=1.0, v=0.125, bias=1.0)),
    512: LIMIT,
    2048: LIMIT,
    8192: LIMIT,
}
RELU = MetaRecipe(lr=0.8, scales=LayerScales(u=2.0, v=0.125, bias=2.0))
KERNELS = {
    "linear": MetaRecipe(lr=0.1, kernel=KernelMethod(kind="linear", w=8.0)),
    "gp": MetaRecipe(lr=0.001, kernel=KernelMethod(kind="gp", w=1.0)),
    "ntk": MetaRecipe(lr=0.001, kernel=KernelMethod(kind="ntk", w=0.01)),
}
_MOST = {"finite": MOST_WIDTH, "relu": MOST_RELU_WIDTH}


def recipe_of(network: str, width: int | None) -> MetaRecipe:
    """The paper's recipe (Table 4); between its widths that of the nearest, in ratio.

    The paper has none for `relu`: ours was chosen in validation (docs/maml.md).

    Args:
        network: `finite`, `relu`, `limit`, or a key of `KERNELS`.
        width: Width of a finite network, at least 1; None otherwise.

    Raises:
        LimitError: There is no such network, or no such width.

    Example:
        >>> recipe_of("finite", 40) == RECIPES[32]
        True
    """
    MamlNetwork.check_kind(network)
    if network in KERNELS:
        return KERNELS[network]
    if network == "limit":
        return LIMIT
    if width is None or not 1 <= width <= _MOST[network]:
        of = MamlNetwork.finite_names[network]
        beyond = "; the limit stands for wider ones" * (network == "finite")
        raise LimitError(
            f"the width of a {of} network must be from 1 to {_MOST[network]:,}; got {width}{beyond}"
        )
    if network == "relu":
        return RELU
    return RECIPES[min(RECIPES, key=lambda known: abs(log(known / width)))]
