"""Networks beside their limit, seed by seed, in numbers and in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from ..stats import (
    Difference,
    Estimate,
    holm,
    joined,
    mean_with_error,
    t_p_value,
    unpaired_difference,
    with_ends,
)

V = TypeVar("V")


def paired_differences(
    ours: Mapping[int, Estimate], theirs: Mapping[int, Estimate]
) -> Difference | None:
    """The difference of two networks by seed.

    Of two seeds and more their differences are paired, as all networks of a seed meet the same
    tasks; of a single one both errors are added, which takes the tasks as others and is wide. None
    where no seed has both, or there is no error.
    """
    seeds = sorted(set(ours) & set(theirs))
    if len(seeds) > 1:
        mean = mean_with_error([ours[seed].value - theirs[seed].value for seed in seeds])
        if not mean.standard_error:
            return None
        low, high = mean.interval()
        p_value = t_p_value(mean.value, mean.standard_error, mean.n - 1)
        return Difference(value=mean.value, low=low, high=high, n=mean.n, p_value=p_value)
    if not seeds:
        return None
    first, other = ours[seeds[0]], theirs[seeds[0]]
    difference = unpaired_difference(first, other)
    if difference is None or first.standard_error or other.standard_error:
        return difference
    return replace(difference, p_value=1.0)  # tasks that all ended alike show nothing


def mean_share(shares: Sequence[float]) -> tuple[float, ...]:
    """Mean of shares over seeds, and the ends of Student's 95 % interval as far as within 0 to 1.

    Of one seed, and of shares that are all the same, no interval is known.

    >>> [round(x, 3) for x in mean_share([0.4, 0.5, 0.6])], mean_share([0.25, 0.25])
    ([0.5, 0.252, 0.748], (0.25,))
    """
    mean = mean_with_error(shares)
    if not mean.standard_error:
        return (mean.value,)
    low, high = mean.interval()
    return mean.value, max(0.0, low), min(1.0, high)


def verdicts(besides: Mapping[str, Difference | None]) -> dict[str, str]:
    """`above`, `below`, or that no difference is shown, with Holm's method over all of them."""
    known = {name: difference for name, difference in besides.items() if difference is not None}
    adjusted = dict(
        zip(known, holm([difference.p_value for difference in known.values()]), strict=True)
    )
    return {name: _word(difference, adjusted[name]) for name, difference in known.items()}


def _word(difference: Difference, p_value: float) -> str:
    if p_value > 0.05 or difference.low <= 0 <= difference.high:
        return "no difference shown"
    return "above" if difference.value > 0 else "below"


def difference_sentence(words: Mapping[str, str]) -> str:
    """Which networks are shown to be below the limit or above it; empty without any word.

    >>> difference_sentence({"width 2": "below", "width 8": "no difference shown"})
    'Shown below the limit: width 2; no difference from it is shown for width 8.'
    """
    phrases = {"below": "shown below the limit: ", "above": "shown above the limit: "}
    phrases["no difference shown"] = "no difference from it is shown for "
    parts = [
        text + joined_networks(names)
        for word, text in phrases.items()
        if (names := [label for label, verdict in words.items() if verdict == word])
    ]
    if not parts:
        return ""
    sentence = "; ".join(parts)
    if sentence.startswith("no "):
        sentence = sentence.replace("from it", "from the limit", 1)
    return f"{sentence[0].upper()}{sentence[1:]}."


def points(difference: Difference | None) -> str:
    """A difference of shares in points, with its interval.

    >>> points(Difference(value=-0.02, low=-0.03, high=-0.01, n=9, p_value=0.001))
    '-2.00 [-3.00, -1.00]'
    """
    if difference is None:
        return "-"
    return with_ends(difference.value, difference.low, difference.high, scale=100, sign=True)


def outermost(values: Mapping[str, V]) -> dict[str, V]:
    """Of values by network those of the narrowest, the widest and the limit, or else all.

    >>> outermost({"width 2": 1, "width 4": 2, "width 8": 3, "limit": 4, "GP": 5})
    {'width 2': 1, 'width 8': 3, 'limit': 4}
    """
    finite = [name for name in values if name.startswith("width ")]
    names = [*finite[:1], *finite[-1:], *(name for name in values if name == "limit")]
    return {name: values[name] for name in names or values}


def format_shares(values: Mapping[str, tuple[float, ...]]) -> str:
    """Shares in words: `55.1 % at width 2 [54.3, 55.9] and 66.8 % of the limit [66.1, 67.5]`.

    Args:
        values: By what networks are called: a value and, where they are known, the ends of its
            interval.

    >>> format_shares({"width 2": (0.5, 0.4, 0.6), "limit": (0.625, 0.6, 0.65)})
    '50.0 % at width 2 [40.0, 60.0] and 62.5 % by the limit [60.0, 65.0]'
    """
    parts = []
    for name, value_and_ends in values.items():
        text = with_ends(*value_and_ends, decimals=1, scale=100)
        share, _, interval = text.partition(" ")
        place = f"at {name}" if name.startswith("width ") else f"by the {name}"
        parts.append(f"{share} % {place} {interval}".rstrip())
    return joined_networks(parts)


def joined_networks(names: Sequence[str]) -> str:
    """All names in a sentence; `width` is said once.

    >>> joined_networks(["width 2", "width 8", "ReLU GP"]), joined_networks(["limit"])
    ('width 2, 8 and ReLU GP', 'limit')
    """
    short = [name.removeprefix("width ") for name in names[1:]]
    return joined([*names[:1], *short], most=len(names))
