"""One parameter at a new width: its role, and the factors that follow."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from ..errors import LimitError
from ..theory import TABLES, Powers, Role
from .shapes import Layout, Shapes

Kind = Literal["mup", "sp"]
Fans = tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class ParameterScaling:
    """One parameter beside the same at the base width.

    Attributes:
        name: As `named_parameters` has it.
        shape, base: Here and at the base width.
        role: `input` where only what leaves it grows (embeddings, biases and gains too), `output`
            where only what enters does, `hidden` where both, `fixed` where nothing does.
        fan_in, fan_out: Over those of the base; 1 of what does not grow.
        std: Factor of the initial standard deviation.
        adam, sgd: Factors of the learning rate.
    """

    name: str
    shape: tuple[int, ...]
    base: tuple[int, ...]
    role: Role | Literal["fixed"]
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
        sizes, ends = base.sizes[name], delta.sizes[name]
        _check_sizes(name, shape, sizes, ends)
        grows = tuple(x != y for x, y in zip(sizes, ends, strict=True))
        weights.append(_weight(name, shape, sizes, grows, model.layouts[name], kind))
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
    for one, at_base, at_delta in zip(shape, base, delta, strict=True):
        if at_base == at_delta != one:
            raise LimitError(
                f"{name} has a size of {one} in the model, and {at_base} in both base and delta: "
                "let delta differ from base in everything that grows"
            )


def _weight(
    name: str,
    shape: tuple[int, ...],
    base: tuple[int, ...],
    grows: tuple[bool, ...],
    layout: Layout,
    kind: Kind,
) -> ParameterScaling:
    grown_in, grown_out, (fan_in, fan_out) = _fans(name, shape, base, grows, layout)
    role: Role | Literal["fixed"] = "fixed"
    if grown_in or grown_out:
        role = "hidden" if grown_in and grown_out else "output" if grown_in else "input"
    std, adam, sgd = _factors(role, (fan_in, fan_out), kind)
    return ParameterScaling(
        name=name, shape=shape, base=base, role=role, fan_in=fan_in, fan_out=fan_out, std=std,
        adam=adam, sgd=sgd,
    )  # fmt: skip


def _fans(
    name: str,
    shape: tuple[int, ...],
    base: tuple[int, ...],
    grows: tuple[bool, ...],
    layout: Layout,
) -> tuple[bool, bool, Fans]:
    """Whether inputs and outputs grow, and how many times as many there are."""
    times = [one / other for one, other in zip(shape, base, strict=True)]
    if len(shape) < 2:
        return False, any(grows), (1.0, math.prod(times))
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
    return grows[inputs], grows[outputs], (times[inputs], times[outputs])


def _factors(role: Role | Literal["fixed"], fans: Fans, kind: Kind) -> tuple[float, float, float]:
    """Of the initial deviation, and of Adam's and SGD's learning rates; Table 3.

    Its SGD rate of hidden weights is 1 for square ones; of others it goes as fan-out over fan-in.
    """
    fan_in, fan_out = fans
    if role == "fixed":
        return 1.0, 1.0, 1.0
    if kind == "sp":
        return fan_in**-0.5, 1.0, 1.0
    rule = TABLES[3][role]

    def number(powers: Powers) -> float:
        return float(fan_in ** float(powers[0]) * fan_out ** float(powers[1]))

    sgd = fan_out / fan_in if role == "hidden" else number(rule.sgd)
    return math.sqrt(number(rule.variance)), number(rule.adam), sgd
