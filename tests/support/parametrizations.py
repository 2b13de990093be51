"""Parametrizations to try laws on."""

from __future__ import annotations

import random
from fractions import Fraction

from widthwise.theory import Abc

HALF = Fraction(1, 2)


def drawn_stable_before_training(rng: random.Random) -> Abc:
    """One that starts as a stable one does, so that all regimes are met."""
    hidden = rng.randint(1, 4)
    a = [Fraction(rng.randint(-4, 4), 4) for _ in range(hidden + 1)]
    sums = [Fraction(0), *[HALF] * (hidden - 1), Fraction(rng.randint(2, 6), 4)]
    c = [Fraction(rng.randint(-4, 8), 4) for _ in range(hidden + 1)]
    return Abc(a=a, b=[s - x for s, x in zip(sums, a, strict=True)], c=c)


def standard(hidden: int, c: object, a_out: object = 0) -> Abc:
    """SP with another learning rate, and with the outputs divided by n^a_out."""
    return Abc(a=(*[0] * hidden, a_out), b=(0, *[HALF] * hidden), c=[c] * (hidden + 1))
