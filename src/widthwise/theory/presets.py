"""Parametrizations by name, at any depth.

Source: Table 1 of arXiv 2011.14522; `up_s` its Appendix G; for Adam arXiv 2308.01814, Section 2.2,
and `table3`, `table8` and `table9` the muP of arXiv 2203.03466 as its three tables write it.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from functools import partial
from typing import Literal, overload

from ..errors import LimitError
from .abc import Abc, Abcd, check_hidden_layers, exponents, faithful_abcd
from .mup_tables import TABLES, table_abc, table_abcd

Optimizer = Literal["sgd", "adam"]
_HALF = Fraction(1, 2)


def sp(hidden_layers: int) -> Abc:
    """Standard parametrization with the learning rate 1/n, the largest stable one.

    PyTorch's default is the same with c = 0: unstable. r is 1/2, but 3/2 of one hidden layer.
    """
    n = check_hidden_layers(hidden_layers)
    return Abc(
        a=(Fraction(0),) * (n + 1), b=(Fraction(0), *[_HALF] * n), c=(Fraction(1),) * (n + 1)
    )


def ntp(hidden_layers: int) -> Abc:
    """Neural tangent parametrization."""
    n = check_hidden_layers(hidden_layers)
    zeros = (Fraction(0),) * (n + 1)
    return Abc(a=(Fraction(0), *[_HALF] * n), b=zeros, c=zeros)


def mfp(hidden_layers: int) -> Abc:
    """Mean field parametrization, which is for one hidden layer.

    Raises:
        LimitError: More hidden layers; muP is what it becomes there.
    """
    if check_hidden_layers(hidden_layers) > 1:
        raise LimitError(
            f"the mean field parametrization must have 1 hidden layer; got {hidden_layers}: take "
            "mup, its generalization"
        )
    return Abc(a=exponents("0,1"), b=exponents("0,0"), c=exponents("-1,-1"))


def mup(hidden_layers: int) -> Abc:
    """Maximal update parametrization: the one in which every layer is updated maximally."""
    return up(Fraction(0), hidden_layers)


def up(s: Fraction, hidden_layers: int) -> Abc:
    """Uniform parametrization: features of all layers move by Theta(n^-s), 0 <= s <= 1/2.

    From muP (s = 0) to the neural tangent parametrization (s = 1/2).

    Raises:
        LimitError: s is out of range.

    Example:
        >>> up(Fraction(1, 2), 3) == ntp(3)
        True
    """
    n = check_hidden_layers(hidden_layers)
    if not 0 <= s <= _HALF:
        raise LimitError(f"s of the uniform parametrization must be from 0 to 1/2; got {s}")
    zeros = (Fraction(0),) * (n + 1)
    return Abc(a=(s - _HALF, *[s] * (n - 1), _HALF), b=(_HALF - s,) * (n + 1), c=zeros)


def sp_adam(hidden_layers: int) -> Abcd:
    """Standard parametrization with Adam's learning rate 1/n in all layers."""
    sgd = sp(hidden_layers)
    return faithful_abcd(sgd.a, sgd.b, sgd.c)


def ntp_adam(hidden_layers: int) -> Abcd:
    """Neural tangent parametrization for Adam."""
    sgd = ntp(hidden_layers)
    return faithful_abcd(sgd.a, sgd.b, (_HALF, *[Fraction(1)] * (hidden_layers - 1), _HALF))


def mup_adam(hidden_layers: int) -> Abcd:
    """Maximal update parametrization for Adam; Table 8 of arXiv 2203.03466."""
    return table_abcd(8, hidden_layers)


@overload
def named(name: str, hidden_layers: int, optimizer: Literal["sgd"] = "sgd") -> Abc: ...
@overload
def named(name: str, hidden_layers: int, optimizer: Literal["adam"]) -> Abcd: ...
@overload
def named(name: str, hidden_layers: int, optimizer: Optimizer) -> Abc | Abcd: ...
def named(name: str, hidden_layers: int, optimizer: Optimizer = "sgd") -> Abc | Abcd:
    """The parametrization of that name.

    Args:
        name: Key of `SGD` or `ADAM`, or `up_s` with a fraction for s, as in `up_1/4`.
        hidden_layers: L, at least 1.
        optimizer: `sgd` or `adam`.

    Raises:
        LimitError: There is none of that name for the optimizer, or not at that depth.

    Example:
        >>> named("muP", 2) == named("up_0", 2) == mup(2)
        True
    """
    key = name.strip().lower().replace("\N{GREEK SMALL LETTER MU}", "mu").replace("\xb5", "mu")
    if key.startswith("up_") and optimizer == "sgd":
        (s,) = exponents([key.removeprefix("up_")])
        return up(s, hidden_layers)
    known = SGD if optimizer == "sgd" else ADAM
    if key not in known:
        choices = ", ".join([*known, *(["up_s with s a fraction"] if optimizer == "sgd" else [])])
        raise LimitError(
            f"a parametrization for {optimizer} must be one of {choices}; got {name[:40]!r}"
        )
    return known[key](hidden_layers)


SGD: dict[str, Callable[[int], Abc]] = {
    **{"sp": sp, "ntp": ntp, "mfp": mfp, "mup": mup},
    **{f"table{number}": partial(table_abc, number) for number in TABLES},
}
ADAM: dict[str, Callable[[int], Abcd]] = {
    **{"sp": sp_adam, "ntp": ntp_adam, "mup": mup_adam},
    **{f"table{number}": partial(table_abcd, number) for number in TABLES},
}
