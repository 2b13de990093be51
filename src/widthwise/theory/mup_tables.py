"""muP as Tables 3, 8 and 9 of arXiv 2203.03466 write it, and as exponents.

The tables give the initial variance, the multiplier and the learning rates of a weight as powers of
its fan-in and fan-out. They differ by the symmetry alone (its Lemma J.1), so that networks of the
three are trained alike. Exponents have no constants: a fan-in that does not grow, as of the input
layer, counts as 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from ..errors import LimitError
from .abc import Abc, Abcd, Exponents, Parametrization, check_hidden_layers, faithful_abcd

Role = Literal["input", "hidden", "output"]
Powers = tuple[Fraction, Fraction]  # of fan-in and of fan-out

_HALF = Fraction(1, 2)
_ONE: Powers = (Fraction(0), Fraction(0))
_IN, _OUT = (Fraction(1), Fraction(0)), (Fraction(0), Fraction(1))


def _to(power: Fraction | int, fan: Powers) -> Powers:
    return fan[0] * power, fan[1] * power


@dataclass(frozen=True, kw_only=True)
class Rule:
    """Scales of one weight as powers of its fan-in and fan-out.

    Attributes:
        variance: Initial variance of an entry.
        multiplier: Multiplier of the weight in the forward pass.
        sgd, adam: Learning rates.
    """

    variance: Powers
    multiplier: Powers = _ONE
    sgd: Powers = _ONE
    adam: Powers = _ONE


_HIDDEN = Rule(variance=_to(-1, _IN), adam=_to(-1, _IN))

# Input layers include biases and gains. Source: arXiv 2203.03466, the tables of these numbers.
TABLES: dict[int, dict[Role, Rule]] = {
    3: {
        "input": Rule(variance=_to(-1, _IN), sgd=_OUT),
        "hidden": _HIDDEN,
        "output": Rule(variance=_to(-2, _IN), sgd=_to(-1, _IN), adam=_to(-1, _IN)),
    },
    8: {
        "input": Rule(variance=_to(-1, _IN), sgd=_OUT),
        "hidden": _HIDDEN,
        "output": Rule(variance=_ONE, multiplier=_to(-1, _IN), sgd=_IN),
    },
    9: {
        "input": Rule(variance=_to(-1, _OUT), multiplier=_to(_HALF, _OUT), adam=_to(-_HALF, _OUT)),
        "hidden": _HIDDEN,
        "output": Rule(variance=_to(-1, _IN), multiplier=_to(-_HALF, _IN), adam=_to(-_HALF, _IN)),
    },
}


@dataclass(frozen=True, kw_only=True)
class TableScales:
    """Scales of one weight as numbers.

    Attributes:
        initial_std: Standard deviation of an entry before training.
        multiplier: Multiplier of the weight in the forward pass.
        lr_sgd, lr_adam: Factors of the learning rate.
    """

    initial_std: float
    multiplier: float
    lr_sgd: float
    lr_adam: float


def table_scales(table: int, role: Role, fan_in: int, fan_out: int) -> TableScales:
    """A table's row for one weight, with its constants.

    Raises:
        LimitError: There is no such table or role, or a fan is not above 0.

    Example:
        >>> table_scales(8, "output", fan_in=64, fan_out=10)
        TableScales(initial_std=1.0, multiplier=0.015625, lr_sgd=64.0, lr_adam=1.0)
    """
    if min(fan_in, fan_out) < 1:
        raise LimitError(f"fans must be at least 1; got fan-in {fan_in} and fan-out {fan_out}")
    rule = _rule(table, role)
    return TableScales(
        initial_std=fan_power(_to(_HALF, rule.variance), fan_in, fan_out),
        multiplier=fan_power(rule.multiplier, fan_in, fan_out),
        lr_sgd=fan_power(rule.sgd, fan_in, fan_out),
        lr_adam=fan_power(rule.adam, fan_in, fan_out),
    )


def fan_power(powers: Powers, fan_in: float, fan_out: float) -> float:
    """The number that powers of two fans are."""
    return float(fan_in ** float(powers[0]) * fan_out ** float(powers[1]))


def table_abc(table: int, hidden_layers: int) -> Abc:
    """A table's muP for SGD as exponents of the width.

    Raises:
        LimitError: There is no such table, or no hidden layer.

    Example:
        >>> [str(c) for c in table_abc(3, 2).c]
        ['-1', '0', '1']
    """
    return Abc(**_exponents(table, hidden_layers, "sgd"))


def table_abcd(table: int, hidden_layers: int) -> Abcd:
    """A table's muP for Adam as exponents of the width, faithful.

    Raises:
        LimitError: There is no such table, or no hidden layer.
    """
    return faithful_abcd(**_exponents(table, hidden_layers, "adam"))


def as_table(parametrization: Parametrization, table: int) -> Parametrization:
    """The same training with the multipliers of a table; of muP, that table itself.

    Any parametrization can be written so: with the multipliers of Table 3, which are 1, it needs
    nothing but initial scales and learning rates.

    Raises:
        LimitError: There is no such table.

    Example:
        >>> from .presets import mup
        >>> as_table(mup(3), 8) == table_abc(8, 3)
        True
    """
    multipliers = _exponents(table, parametrization.hidden_layers, "sgd")["a"]
    return parametrization.with_multipliers(multipliers)


def _exponents(
    table: int, hidden_layers: int, optimizer: Literal["sgd", "adam"]
) -> dict[str, Exponents]:
    """a, b and c of each layer."""
    between: list[Role] = ["hidden"] * (check_hidden_layers(hidden_layers) - 1)
    roles: list[Role] = ["input", *between, "output"]
    a, variances, c = (
        tuple(-_width(getattr(_rule(table, role), scale), role) for role in roles)
        for scale in ("multiplier", "variance", optimizer)
    )
    return {"a": a, "b": tuple(variance / 2 for variance in variances), "c": c}


def _rule(table: int, role: Role) -> Rule:
    if table not in TABLES or role not in TABLES[table]:
        raise LimitError(
            f"a table must be {', '.join(map(str, TABLES))} and a role input, hidden or output; "
            f"got table {table!r} and role {role!r}"
        )
    return TABLES[table][role]


def _width(powers: Powers, role: Role) -> Fraction:
    """Power of the width: inputs of an input layer and outputs of an output layer do not grow."""
    return (powers[0] if role != "input" else 0) + (powers[1] if role != "output" else Fraction(0))
