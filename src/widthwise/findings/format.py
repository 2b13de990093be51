"""Numbers and names as findings print them."""

from __future__ import annotations

from collections.abc import Sequence

_NAMED = 6  # names in a row that a sentence still bears; the table has them all
NOTHING = "-"


def joined(words: Sequence[str], *, most: int = _NAMED) -> str:
    """`a, b and c`; of more than `most` the first few, and how many more there are."""
    if len(words) > most:
        few = words[: most - 2]
        return f"{', '.join(few)} and {len(words) - len(few)} more"
    return " and ".join(filter(None, [", ".join(words[:-1]), *words[-1:]]))


def capital(subject: str) -> str:
    """The subject of a sentence at its beginning; the name of a model stays as it is.

    >>> capital("dense SmolLM2"), capital("smollm2-2.4x")
    ('Dense SmolLM2', 'smollm2-2.4x')
    """
    return f"D{subject[1:]}" if subject.startswith("dense ") else subject


def number(value: float, unit: str) -> str:
    """Three decimals of a share; three digits or more of anything else, without an exponent.

    Example:
        >>> number(0.41249, "accuracy"), number(269e6, "bytes"), number(0.0213, "sec")
        ('0.412', '269 MB', '21.3 ms')
        >>> number(2941.3, "perplexity"), number(3.14e7, "perplexity"), number(1.0315, "bits")
        ('2,941', '31,400,000', '1.03')
    """
    if unit == "accuracy":
        return f"{value:.3f}"
    if unit == "bytes":
        scale, prefix = next(
            ((s, p) for s, p in ((1e9, "G"), (1e6, "M"), (1e3, "k")) if abs(value) >= s), (1, "")
        )
        return f"{_digits(value / scale)} {prefix}B"
    if unit == "sec":
        return f"{_digits(value * 1000)} ms"
    return _digits(value)


def interval(low: float | None, high: float | None, unit: str) -> str:
    """`[0.364, 0.460]`, or nothing where no error is known."""
    if low is None or high is None:
        return ""
    return f"[{number(low, unit)}, {number(high, unit)}]"


def p_text(p_value: float | None) -> str:
    """`0.070`, or `< 0.001`."""
    if p_value is None:
        return NOTHING
    return "< 0.001" if p_value < 0.001 else f"{p_value:.3f}"


def _digits(value: float) -> str:
    """Three digits, more only before the point."""
    if value == 0:
        return "0"
    rounded = float(f"{value:.3g}") if abs(value) < 1000 or abs(value) >= 1e5 else value
    decimals = max(0, 3 - len(f"{abs(rounded):.0f}")) if abs(rounded) >= 1 else 3
    if abs(rounded) < 1:
        return f"{value:.3g}"
    return f"{rounded:,.{decimals}f}"
