"""abc-parametrizations: initial weights, multipliers and learning rates as powers of the width.

An MLP with L hidden layers of width n: h_1 = W_1 x, x_l = phi(h_l), h_{l+1} = W_{l+1} x_l, with the
output f = W_{L+1} x_L. The layer l = 1 .. L+1 has

    W_l = n^-a_l w_l,   entries of w_l drawn from N(0, n^-2b_l),   learning rate eta n^-c_l of w_l.

Exponents are exact fractions. Source: arXiv 2011.14522, Section 3; there all c_l are one c, which
the symmetry (Equation 5) can always bring about. The version for Adam has a fourth exponent, of
what the optimizer divides by: the gradient of w_l is taken times n^d_l (arXiv 2308.01814).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from math import isfinite
from typing import ClassVar, Self, TypeVar

from ..errors import LimitError

Exponents = tuple[Fraction, ...]
MOST_LAYERS = 1000
_FRACTION = re.compile(r"[+-]?(\d{1,9}(/\d{1,9})?|\d{0,9}\.\d{1,9})", re.ASCII)


@dataclass(frozen=True, kw_only=True)
class _LayerExponents:
    """Exponents of each layer, the output last; see `Abc` and `Abcd`."""

    a: Exponents
    b: Exponents
    c: Exponents

    _SYMMETRY: ClassVar[Mapping[str, int]]  # change of each kind by a shift of 1

    def __post_init__(self) -> None:
        for letter in self._SYMMETRY:
            object.__setattr__(self, letter, exponents(getattr(self, letter)))
        lengths = {letter: len(getattr(self, letter)) for letter in self._SYMMETRY}
        if len(set(lengths.values())) > 1:
            got = ", ".join(f"{n} of {letter}" for letter, n in lengths.items())
            raise LimitError(
                f"each of {', '.join(lengths)} must have one exponent for each layer, the output's "
                f"last; got {got}"
            )
        check_hidden_layers(lengths["a"] - 1)

    @property
    def hidden_layers(self) -> int:
        """L, one less than the layers that have weights."""
        return len(self.a) - 1

    def reparametrized(self, theta: object | Sequence[object]) -> Self:
        """The same training in other exponents, at every width and after every step.

        A shift t turns a into a + t and b into b - t. For SGD c becomes c - 2t (Equation 5), for
        Adam c - t, and d becomes d + t.

        Args:
            theta: Shift t of all layers, or one for each.
        """
        if isinstance(theta, Sequence) and not isinstance(theta, str):
            shifts = exponents(theta)
        else:
            shifts = (_fraction(theta),) * len(self.a)
        if len(shifts) != len(self.a):
            raise LimitError(
                f"a shift must have one exponent for each of {len(self.a)} layers; "
                f"got {len(shifts)}"
            )
        changed = {
            letter: tuple(
                x + factor * t for x, t in zip(getattr(self, letter), shifts, strict=True)
            )
            for letter, factor in self._SYMMETRY.items()
        }
        return replace(self, **changed)

    def with_multipliers(self, a: Sequence[object]) -> Self:
        """The same training with the multipliers n^-a.

        Example:
            >>> scaled = Abc(a=(0, 1), b=(0, 0), c=(-1, -1)).with_multipliers((0, 0))
            >>> [str(b) for b in scaled.b], [str(c) for c in scaled.c]
            (['0', '1'], ['-1', '1'])
        """
        return self.reparametrized(
            [new - old for new, old in zip(exponents(a), self.a, strict=True)]
        )


@dataclass(frozen=True, kw_only=True)
class Abc(_LayerExponents):
    """Exponents for SGD, one of each kind for every layer, the output last.

    Anything that `Fraction` takes exactly may be given: fractions, whole numbers, text as `-1/2`.

    Attributes:
        a: Exponents of the multipliers n^-a.
        b: Exponents of the initial standard deviations n^-b.
        c: Exponents of the learning rates n^-c.

    Raises:
        LimitError: An exponent is not exact, the numbers of exponents differ, or there is no
            hidden layer (fewer than two of each).

    Example:
        >>> mup = Abc(a=("-1/2", 0, "1/2"), b=("1/2",) * 3, c=(0, 0, 0))
        >>> mup.hidden_layers, str(mup.a[0])
        (2, '-1/2')
    """

    _SYMMETRY: ClassVar = {"a": 1, "b": -1, "c": -2}


@dataclass(frozen=True, kw_only=True)
class Abcd(_LayerExponents):
    """Exponents for Adam and other entrywise optimizers: w <- w - eta n^-c Q(n^d g, ...).

    g is the gradient of w, and Q a function of one entry's gradients in this and earlier steps.
    Source: arXiv 2308.01814, Section 2.2.

    Attributes:
        d: Exponents of the factors n^d of the gradients; for the others and errors see `Abc`.
    """

    d: Exponents

    _SYMMETRY: ClassVar = {"a": 1, "b": -1, "c": -1, "d": 1}

    def as_sgd(self) -> Abc:
        """The abc-parametrization that this is where Q returns the latest gradient: c - d."""
        return Abc(a=self.a, b=self.b, c=tuple(c - d for c, d in zip(self.c, self.d, strict=True)))


Parametrization = TypeVar("Parametrization", Abc, Abcd)


def faithful_abcd(a: Sequence[object], b: Sequence[object], c: Sequence[object]) -> Abcd:
    """The abcd-parametrization whose d makes the input of Q Theta(1) in the first step.

    d_l = a_l + a_{L+1} + b_{L+1} of hidden layers, d_{L+1} = a_{L+1}. Adam with a vanishing epsilon
    does not feel d. Source: arXiv 2308.01814, Section 2.2.

    Example:
        >>> adam = faithful_abcd((0, 0, 1), (0, "1/2", 0), (0, 1, 0))
        >>> [str(d) for d in adam.d]
        ['1', '1', '1']
    """
    draft = Abcd(a=a, b=b, c=c, d=a)  # type: ignore[arg-type]  # made exact by __post_init__
    readout = draft.a[-1] + draft.b[-1]
    return replace(draft, d=(*(x + readout for x in draft.a[:-1]), draft.a[-1]))


def exponents(values: str | Iterable[object]) -> Exponents:
    """Exact exponents from numbers, or from text with commas between them.

    Raises:
        LimitError: A value is no fraction; floats are refused, as 0.1 is none.

    Example:
        >>> exponents("-1/2,0,0.5")
        (Fraction(-1, 2), Fraction(0, 1), Fraction(1, 2))
    """
    if isinstance(values, str):
        values = values.split(",")
    elif not isinstance(values, Iterable):
        raise LimitError(f"exponents must be a list with one for each layer; got {values!r}")
    return tuple(_fraction(value) for value in values)


def check_hidden_layers(hidden_layers: int) -> int:
    """Return the number.

    Raises:
        LimitError: It is not between 1 and `MOST_LAYERS`.
    """
    if not 1 <= hidden_layers <= MOST_LAYERS:
        raise LimitError(
            f"a network must have 1 to {MOST_LAYERS} hidden layers for its width to mean "
            f"anything; got {hidden_layers}"
        )
    return hidden_layers


def check_least(name: str, value: int, least: int) -> None:
    """Check that a count is not too small.

    Raises:
        LimitError: It is too small.
    """
    if value < least:
        raise LimitError(f"{name} must be at least {least}; got {value}")


def check_positive(name: str, value: float) -> None:
    """Check that a number is finite and above 0.

    Raises:
        LimitError: It is not.
    """
    if not (isfinite(value) and value > 0):
        raise LimitError(f"{name} must be a number above 0; got {value}")


def _fraction(value: object) -> Fraction:
    if isinstance(value, (int, Fraction)):
        return Fraction(value)
    text = str(value).strip()
    if isinstance(value, str) and _FRACTION.fullmatch(text):
        try:
            return Fraction(text)
        except ZeroDivisionError:
            pass
    raise LimitError(f"an exponent must be a fraction such as -1/2, 0 or 0.5; got {text[:40]!r}")
