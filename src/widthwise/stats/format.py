"""The one way in which tables, sentences and figures write numbers, intervals and names."""

from __future__ import annotations

import math
from collections.abc import Sequence

from .difference import Difference
from .estimates import LARGEST_LOG, Estimate, Share
from .sequential import Stopped

NOTHING = "-"  # in a table
_MOST_NAMES = 6  # names in a row that a sentence still bears; the table has them all
_TIMES = "x "  # before a ratio
_RATES = ("tokens_per_sec", "joules_per_token", "grams_per_token")


def is_perplexity(unit: str) -> bool:
    """Whether values of this unit are compared by their logarithms."""
    return "perplexity" in unit


def unit_text(unit: str) -> str:
    """The name of a unit for people.

    Example:
        >>> unit_text("bits_per_byte"), unit_text("accuracy")
        ('bits per byte', 'accuracy')
    """
    return unit.replace("_", " ")


def number(value: float, unit: str = "") -> str:
    """A value as all tables write it: three decimals of a score, three to five digits otherwise.

    From 100,000 on, and below 0.0005, a value without a prefix of its unit has two digits and an
    exponent. Only what is 0, up to the rounding of sums, reads `0`.

    Example:
        >>> number(0.41249, "accuracy"), number(134515008, "count"), number(269e6, "bytes")
        ('0.412', '134.5 M', '269.0 MB')
        >>> number(2941.3, "perplexity"), number(3.14e7, "perplexity"), number(0.0, "accuracy")
        ('2,941', '3.1e+07', '0')
        >>> number(0.02134, "sec"), number(4.5123, "joules_per_token")
        ('21.34 ms', '4.51')
    """
    if unit in ("count", "bytes"):
        sign = "B" if unit == "bytes" else ""
        for scale, prefix in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
            if abs(value) >= scale:
                return f"{value / scale:.1f} {prefix}{sign}"
        return f"{value:g} {sign}".strip()
    if unit == "sec":
        return f"{_milliseconds(value)} ms"
    if unit in _RATES:
        return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
    if abs(value) < 1e-12:
        return "0"
    if abs(value) >= 1e5 or (abs(value) < 5e-4 and unit not in ("accuracy", "bits_per_byte")):
        return f"{value:.1e}"
    decimals = sum(abs(value) < bound for bound in (10, 100, 1000))
    return f"{value:,.{decimals}f}"


def with_error(score: Estimate, unit: str) -> str:
    """`0.412 ± 0.049`: a value and its standard error, to the same decimal; no error, no `±`.

    A share whose items are all the same has no error that could be true, and its interval in its
    place: `0 [0, 0.602]` of 4 items.
    """
    text = number(score.value, unit)
    if score.standard_error is None:
        return text
    if isinstance(score, Share | Stopped) and score.standard_error == 0:
        low, high = score.interval()
        return f"{text} {interval_text(low, high, unit)}"
    if unit == "sec":
        value, error = (1000 * x for x in (score.value, score.standard_error))
        spread = f"{error:,.0f}" if error >= 100 else f"{error:.2g}"
        return f"{_milliseconds(value / 1000)} ± {spread} ms"
    error_text = number(score.standard_error, unit)
    if unit == "tokens_per_sec":
        error_text = f"{score.standard_error:.{_decimals(text)}f}"
    elif "e" in text:
        error_text = f"{score.standard_error:.1e}"
    elif "e" not in error_text and "0" not in (text, error_text):
        decimals = min(_decimals(text), _decimals(error_text))
        error_text = f"{score.standard_error:,.{decimals}f}"
    if score.standard_error > 0 and not error_text.strip("0.,"):
        error_text = f"{score.standard_error:.1g}"  # one digit of what would be rounded to nothing
    return f"{text} ± {error_text}"


def interval_text(low: float | None, high: float | None, unit: str) -> str:
    """`[0.364, 0.460]`, or nothing where no error is known."""
    return "" if low is None or high is None else f"[{number(low, unit)}, {number(high, unit)}]"


def fixed(value: float, decimals: int = 2, *, sign: bool = False) -> str:
    """A number with so many decimals, and no sign before a 0.

    Example:
        >>> fixed(-0.001), fixed(1.5, 1, sign=True)
        ('0.00', '+1.5')
    """
    rounded = round(value, decimals) + 0.0
    return f"{rounded:{'+' if sign and rounded else ''}.{decimals}f}"


def with_ends(
    value: float, *ends: float, decimals: int = 2, sign: bool = False, scale: float = 1.0
) -> str:
    """A number and the ends of its interval, if it has one, with as many decimals.

    Example:
        >>> with_ends(1.7234, 1.66, 1.771), with_ends(-0.02, -0.03, -0.01, sign=True, scale=100)
        ('1.72 [1.66, 1.77]', '-2.00 [-3.00, -1.00]')
    """
    text, *limits = (fixed(scale * x, decimals, sign=sign) for x in (value, *ends))
    return f"{text} [{', '.join(limits)}]" if limits else text


def estimate_text(estimate: Estimate, *, decimals: int = 2, scale: float = 1.0) -> str:
    """An estimate as `with_ends`, without an interval where its error is not known."""
    ends = () if estimate.standard_error is None else estimate.interval()
    return with_ends(estimate.value, *ends, decimals=decimals, scale=scale)


def difference_text(difference: Difference, unit: str) -> str:
    """`-0.100 [-0.171, -0.029]`; what is above 0 has its sign as well.

    Of perplexities, whose difference is one of logarithms, it is what that makes of their ratio:
    `x 2.31 [1.95, 2.74]`. Of one item, and of fewer than 8 that differ alike, no interval is known.

    Example:
        >>> result = Difference(value=0.1, low=0.0, high=0.2, n=50, p_value=0.06)
        >>> difference_text(result, "accuracy")
        '+0.100 [0, +0.200]'
        >>> difference_text(result, "word_perplexity")
        'x 1.105 [1.000, 1.221]'
    """
    value, low, high = (
        change_text(x, unit) for x in (difference.value, difference.low, difference.high)
    )
    if not math.isfinite(difference.high - difference.low):
        return f"{value} [unknown]"
    return f"{value} [{low.removeprefix(_TIMES)}, {high.removeprefix(_TIMES)}]"


def change_text(change: float, unit: str) -> str:
    """An end of a difference: with its sign, or of perplexities as a ratio, `x 2.31`."""
    if is_perplexity(unit):
        return _TIMES + number(math.exp(min(change, LARGEST_LOG)), unit)
    return ("+" if change > 0 else "") + number(change, unit)


def p_text(p_value: float | None) -> str:
    """A p-value with three decimals.

    Example:
        >>> p_text(0.07), p_text(0.0002), p_text(1.0), p_text(None)
        ('0.070', '<0.001', '1', '-')
    """
    if p_value is None:
        return NOTHING
    if p_value < 0.001:
        return "<0.001"
    return "1" if p_value == 1 else f"{p_value:.3f}"


def percent(share: float, decimals: int = 1) -> str:
    """A share in per cent.

    Example:
        >>> percent(0.5512), percent(0.5, 0)
        ('55.1 %', '50 %')
    """
    return f"{100 * share:.{decimals}f} %"


def counted(count: int, noun: str) -> str:
    """A number of things; the noun takes an s but for one of them.

    Example:
        >>> counted(1, "word"), counted(2000, "word")
        ('1 word', '2,000 words')
    """
    return f"{count:,} {noun}{'s' * (count != 1)}"


def joined(words: Sequence[str], *, most: int = _MOST_NAMES) -> str:
    """A list in a sentence; of more than `most` the first few, and how many more there are.

    Example:
        >>> joined(["a", "b", "c"]), joined(list("abcdefgh"), most=4)
        ('a, b and c', 'a, b and 6 more')
    """
    if len(words) > most:
        few = words[: most - 2]
        return f"{', '.join(few)} and {len(words) - len(few)} more"
    return " and ".join(filter(None, [", ".join(words[:-1]), *words[-1:]]))


def capital(subject: str) -> str:
    """The subject of a sentence at its beginning; the name of a model stays as it is.

    Example:
        >>> capital("dense SmolLM2"), capital("smollm2-2.4x")
        ('Dense SmolLM2', 'smollm2-2.4x')
    """
    return f"D{subject[1:]}" if subject.startswith("dense ") else subject


def _milliseconds(seconds: float) -> str:
    value = 1000 * seconds
    return f"{value:.4g}" if abs(value) < 10_000 else f"{value:,.0f}"


def _decimals(text: str) -> int:
    return len(text.partition(".")[2])
