"""abc-parametrizations: how initial weights, multipliers and learning rates go with the width.

An MLP with L hidden layers of width n: h_1 = W_1 x, x_l = phi(h_l), h_{l+1} = W_{l+1} x_l, with the
output f = W_{L+1} x_L. The layer l = 1 .. L+1 has

    W_l = n^-a_l w_l,   entries of w_l drawn from N(0, n^-2b_l),   learning rate eta n^-c_l of w_l.

Exponents are exact fractions. Source: arXiv 2011.14522, Section 3; there all c_l are one c, which
the symmetry (Equation 5) can always bring about. The version for Adam has a fourth exponent, of
what the optimizer divides by: the gradient of w_l is taken times n^d_l (arXiv 2308.01814).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TypeVar

from ..errors import LimitError

Exponents = tuple[Fraction, ...]
MOST_LAYERS = 1000
_FRACTION = re.compile(r"[+-]?(\d{1,9}(/\d{1,9})?|\d{0,9}\.\d{1,9})", re.ASCII)


@dataclass(frozen=True, kw_only=True)
class Abc:
    """Exponents for SGD, one of each kind for every layer, the output last.

    Anything that `Fraction` takes exactly may be given: fractions, whole numbers, text as `-1/2`.

    Attributes:
        a: Of the multipliers n^-a.
        b: Of the initial standard deviations n^-b.
        c: Of the learning rates n^-c.

    Raises:
        LimitError: An exponent is not exact, the numbers of exponents differ, or there is no
            hidden layer (fewer than two of each).

    Example:
        >>> mup = Abc(a=("-1/2", 0, "1/2"), b=("1/2",) * 3, c=(0, 0, 0))
        >>> mup.hidden_layers, str(mup.a[0])
        (2, '-1/2')
    """

    a: Exponents
    b: Exponents
    c: Exponents

    def __post_init__(self) -> None:
        _check(self, "abc")

    @property
    def hidden_layers(self) -> int:
        """L, one less than the layers that have weights."""
        return len(self.a) - 1

    def reparametrized(self, theta: object | Sequence[object]) -> Abc:
        """The same training in other exponents: a + t, b - t, c - 2t (Equation 5).

        With SGD the network computes exactly the same function after every step, at every width.

        Args:
            theta: t, one for all layers or one for each.
        """
        a, b, t = _reparametrized(self, theta)
        return replace(self, a=a, b=b, c=_sum(self.c, [-2 * x for x in t]))

    def with_multipliers(self, a: Sequence[object]) -> Abc:
        """The same training with the multipliers n^-a.

        Example:
            >>> one = Abc(a=(0, 1), b=(0, 0), c=(-1, -1)).with_multipliers((0, 0))
            >>> [str(b) for b in one.b], [str(c) for c in one.c]
            (['0', '1'], ['-1', '1'])
        """
        return self.reparametrized(_sum(exponents(a), [-x for x in self.a]))


@dataclass(frozen=True, kw_only=True)
class Abcd:
    """Exponents for Adam and other entrywise optimizers: w <- w - eta n^-c Q(n^d g, ...).

    g is the gradient of w, and Q a function of one entry's gradients in this and earlier steps.
    Source: arXiv 2308.01814, Section 2.2.

    Attributes:
        a: Of the multipliers n^-a.
        b: Of the initial standard deviations n^-b.
        c: Of the learning rates n^-c.
        d: Of the factors n^d of the gradients.

    Raises:
        LimitError: As `Abc`.
    """

    a: Exponents
    b: Exponents
    c: Exponents
    d: Exponents

    def __post_init__(self) -> None:
        _check(self, "abcd")

    @property
    def hidden_layers(self) -> int:
        """L, one less than the layers that have weights."""
        return len(self.a) - 1

    def reparametrized(self, theta: object | Sequence[object]) -> Abcd:
        """The same training in other exponents: a + t, b - t, c - t, d + t; `theta` as in `Abc`."""
        a, b, t = _reparametrized(self, theta)
        return replace(self, a=a, b=b, c=_sum(self.c, [-x for x in t]), d=_sum(self.d, t))

    def with_multipliers(self, a: Sequence[object]) -> Abcd:
        """The same training with the multipliers n^-a."""
        return self.reparametrized(_sum(exponents(a), [-x for x in self.a]))

    def as_sgd(self) -> Abc:
        """The abc-parametrization that this is where Q returns the latest gradient: c - d."""
        return Abc(a=self.a, b=self.b, c=_sum(self.c, [-x for x in self.d]))


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
    """The number itself.

    Raises:
        LimitError: It is not between 1 and `MOST_LAYERS`.
    """
    if not 1 <= hidden_layers <= MOST_LAYERS:
        raise LimitError(
            f"a network must have 1 to {MOST_LAYERS} hidden layers for its width to mean "
            f"anything; got {hidden_layers}"
        )
    return hidden_layers


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


def _check(parametrization: Abc | Abcd, letters: str) -> None:
    """Make all exponents exact, and see that there are as many of each."""
    for letter in letters:
        object.__setattr__(parametrization, letter, exponents(getattr(parametrization, letter)))
    lengths = {letter: len(getattr(parametrization, letter)) for letter in letters}
    if len(set(lengths.values())) > 1:
        got = ", ".join(f"{n} of {letter}" for letter, n in lengths.items())
        raise LimitError(
            f"each of {', '.join(letters)} must have one exponent for each layer, the output's "
            f"last; got {got}"
        )
    check_hidden_layers(lengths["a"] - 1)


def _sum(left: Sequence[Fraction], right: Sequence[Fraction]) -> Exponents:
    return tuple(x + y for x, y in zip(left, right, strict=True))


def _reparametrized(
    parametrization: Abc | Abcd, theta: object | Sequence[object]
) -> tuple[Exponents, Exponents, Exponents]:
    """New a, new b, and t for each layer."""
    layers = len(parametrization.a)
    if isinstance(theta, Sequence) and not isinstance(theta, str):
        t = exponents(theta)
    else:
        t = (_fraction(theta),) * layers
    if len(t) != layers:
        raise LimitError(
            f"a shift must have one exponent for each of {layers} layers; got {len(t)}"
        )
    return _sum(parametrization.a, t), _sum(parametrization.b, [-x for x in t]), t
