"""Scores and their differences as every table and sentence prints them."""

from __future__ import annotations

import math

from ..stats import Difference
from .grid import is_perplexity

_LARGEST_LOG = 700.0  # whose exponential is still a number
_TIMES = "x "  # before a ratio


def number(value: float, unit: str) -> str:
    """A value as all tables print it: three decimals of a score, three to five digits otherwise.

    From 100,000 on, and below 0.0005, a value without a prefix of its unit has two digits and an
    exponent. Only what is 0, up to the rounding of sums, reads `0`.

    Example:
        >>> number(0.41249, "accuracy"), number(134515008, "count"), number(269e6, "bytes")
        ('0.412', '134.5 M', '269.0 MB')
        >>> number(2941.3, "perplexity"), number(3.14e7, "perplexity"), number(0.0, "accuracy")
        ('2,941', '3.1e+07', '0')
    """
    if unit in ("count", "bytes"):
        sign = "B" if unit == "bytes" else ""
        for scale, prefix in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
            if abs(value) >= scale:
                return f"{value / scale:.1f} {prefix}{sign}"
        return f"{value:g} {sign}".strip()
    if unit == "tokens_per_sec":
        return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"
    if abs(value) < 1e-12:
        return "0"
    if abs(value) >= 1e5 or (abs(value) < 5e-4 and unit not in ("accuracy", "bits_per_byte")):
        return f"{value:.1e}"
    decimals = sum(abs(value) < bound for bound in (10, 100, 1000))
    return f"{value:,.{decimals}f}"


def difference_text(difference: Difference, unit: str) -> str:
    """`-0.100 [-0.171, -0.029]`; what is above 0 has its sign as well.

    Of perplexities, whose difference is one of logarithms, it is what that makes of their ratio:
    `x 2.31 [1.95, 2.74]`. Of one item, and of fewer than 8 that differ alike, no interval is known.

    Example:
        >>> from widthwise.stats import Difference
        >>> found = Difference(value=0.1, low=0.0, high=0.2, n=50, p_value=0.06)
        >>> difference_text(found, "accuracy")
        '+0.100 [0, +0.200]'
        >>> difference_text(found, "word_perplexity")
        'x 1.105 [1.000, 1.221]'
    """
    value, low, high = (
        change_text(x, unit) for x in (difference.value, difference.low, difference.high)
    )
    if not math.isfinite(difference.high - difference.low):
        return f"{value} [unknown]"
    return f"{value} [{low}, {high}]".replace(f"[{_TIMES}", "[").replace(f", {_TIMES}", ", ")


def change_text(change: float, unit: str) -> str:
    """An end of a difference: with its sign, or of perplexities as a ratio, `x 2.31`."""
    if is_perplexity(unit):
        return _TIMES + number(math.exp(min(change, _LARGEST_LOG)), unit)
    return ("+" if change > 0 else "") + number(change, unit)
