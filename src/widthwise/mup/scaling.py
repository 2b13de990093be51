"""One parameter at a new width: its role, and the factors that follow."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from ..errors import LimitError
from ..theory import TABLES, Role, fan_power
from .shapes import Layout, Shapes

Kind = Literal["mup", "sp"]
Fans = tuple[float, float]
AnyRole = Literal[Role, "fixed"]


@dataclass(frozen=True, kw_only=True)
class ParameterScaling:
    """One parameter beside the same at the base width.

    Attributes:
        name: Name in `named_parameters`.
        shape, base: Shapes here and at the base width.
        role: `input` where only outputs grow (embeddings, biases and gains too), `output` where
            only inputs do, `hidden` where both do, `fixed` where nothing does.
        fan_in, fan_out: Fans over those of the base; 1 where nothing grows.
        std: Factor of the initial standard deviation.
        adam, sgd: Factors of the learning rate.
    """

    name: str
    shape: tuple[int, ...]
    base: tuple[int, ...]
    role: AnyRole
    fan_in: float
    fan_out: float
    std: float
    adam: float
    sgd: float


def compare(model: Shapes, base: Shapes, delta: Shapes, kind: Kind) -> tuple[ParameterScaling, ...]:
    """All parameters of the model, each beside that of the base.

    Raises:
        LimitError: Their names or numbers of dimensions differ, nothing grows, a size differs that
            base and delta share, or a parameter grows in a way that no table has.
    """
    names = model.sizes
    for other, what in ((base, "base"), (delta, "delta")):
        _check_names(names, {n: s for n, s in other.sizes.items() if n not in model.shared}, what)
    weights = []
    for name, shape in names.items():
        at_base, at_delta = base.sizes[name], delta.sizes[name]
        _check_sizes(name, shape, at_base, at_delta)
        grows = tuple(x != y for x, y in zip(at_base, at_delta, strict=True))
        role, fans = _role_and_fans(name, shape, at_base, grows, model.layouts[name])
        std, adam, sgd = _factors(role, fans, kind)
        weights.append(
            ParameterScaling(
                name=name, shape=shape, base=at_base, role=role, fan_in=fans[0], fan_out=fans[1],
                std=std, adam=adam, sgd=sgd,
            )
        )  # fmt: skip
    if all(weight.role == "fixed" for weight in weights):
        raise LimitError(
            "base must differ in width from delta, or from the model where there is no delta, for "
            "it to be seen what grows; all shapes are the same"
        )
    return tuple(weights)


def _check_names(model: Mapping[str, object], other: Mapping[str, object], what: str) -> None:
    for missing, here, there in (
        (set(model) - set(other), "the model", what),
        (set(other) - set(model), what, "the model"),
    ):
        if missing:
            raise LimitError(
                f"{what} must have the parameters of the model; {min(missing)} is in {here} and "
                f"not in {there}, one of {len(missing)} such: change nothing but widths"
            )


def _check_sizes(
    name: str, shape: tuple[int, ...], base: tuple[int, ...], delta: tuple[int, ...]
) -> None:
    if not len(shape) == len(base) == len(delta):
        raise LimitError(
            f"{name} must have as many dimensions at all widths; got shapes {shape}, {base} in "
            f"base and {delta} in delta"
        )
    for size, at_base, at_delta in zip(shape, base, delta, strict=True):
        if at_base == at_delta != size:
            raise LimitError(
                f"{name} has a size of {size} in the model, and {at_base} in both base and delta: "
                "let delta differ from base in everything that grows"
            )


def _role_and_fans(
    name: str,
    shape: tuple[int, ...],
    base: tuple[int, ...],
    grows: tuple[bool, ...],
    layout: Layout,
) -> tuple[AnyRole, Fans]:
    """The role of a parameter, and its fans over those of the base."""
    ratios = [size / at_base for size, at_base in zip(shape, base, strict=True)]
    if len(shape) < 2:
        return ("input" if any(grows) else "fixed"), (1.0, math.prod(ratios))
    if layout == "embedding" and grows[0]:
        raise LimitError(
            f"{name} is an embedding of {base[0]} rows in base, which must be the same number at "
            "all widths: change nothing but widths"
        )
    if any(grows[2:]):
        raise LimitError(
            f"{name} of shape {shape} grows along its dimension {grows.index(True, 2) + 1}; only "
            "the first two can be inputs and outputs"
        )
    outputs, inputs = (0, 1) if layout == "linear" else (1, 0)
    roles: dict[tuple[bool, bool], AnyRole] = {
        (False, False): "fixed",
        (False, True): "input",
        (True, False): "output",
        (True, True): "hidden",
    }
    return roles[grows[inputs], grows[outputs]], (ratios[inputs], ratios[outputs])


def _factors(role: AnyRole, fans: Fans, kind: Kind) -> tuple[float, float, float]:
    """Factors of the initial deviation and of Adam's and SGD's learning rates; Table 3.

    SGD's rate of hidden weights is 1 for square ones, else fan-out over fan-in.
    """
    fan_in, fan_out = fans
    if role == "fixed":
        return 1.0, 1.0, 1.0
    if kind == "sp":
        return fan_in**-0.5, 1.0, 1.0
    rule = TABLES[3][role]
    sgd = fan_out / fan_in if role == "hidden" else fan_power(rule.sgd, *fans)
    return math.sqrt(fan_power(rule.variance, *fans)), fan_power(rule.adam, *fans), sgd
