"""From numbers to words: Holm's adjustment and the one rule for what a result may be called."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

from ..errors import RunError
from .difference import Difference
from .estimates import Estimate, Positive

Verdict = Literal["improves", "degrades", "no change shown", "at the floor"]


def holm(p_values: Sequence[float]) -> tuple[float, ...]:
    """Adjusted p-values of one family of tests, in the order given; no p-values, no result.

    The chance of even one false claim among those with an adjusted p <= alpha is at most alpha,
    however the tests depend on each other.

    Raises:
        RunError: A p-value outside [0, 1].

    Source: Holm 1979, "A simple sequentially rejective multiple test procedure".

    Example:
        >>> holm([0.01, 0.04, 0.03])
        (0.03, 0.06, 0.06)
    """
    adjusted = [0.0] * len(p_values)
    running = 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        p_value = p_values[index]
        if not 0 <= p_value <= 1:
            raise RunError(f"a p-value must be in [0, 1]; got {p_value}")
        running = max(running, min(1.0, (len(p_values) - rank) * p_value))
        adjusted[index] = running
    return tuple(adjusted)


def beats_floor(
    score: Estimate,
    floor: Estimate | float | None,
    *,
    higher_is_better: bool,
    confidence: float = 0.95,
    correlation: float = 0.0,
) -> bool:
    """Whether the whole interval of the score minus its floor is on the better side of 0.

    True without a floor; False if an error is unknown. The interval is made from those of the score
    and of the floor, so it takes the shape of either: with the distances a from the score to its
    worse end and b from the floor to its better end, it ends at
    difference - sqrt(a^2 + b^2 - 2 correlation a b). Perplexities are compared by their logarithms.

    Args:
        score: The score that is judged.
        floor: Score of a trivial answerer: counted on some documents, with its error, or a known
            number, as the chance of an even guess; None if there is none.
        higher_is_better: The better direction.
        confidence: Confidence of the interval, two-sided.
        correlation: Correlation of the errors of the two, which share items.

    Source: Zou and Donner 2008, "Construction of confidence limits about effect measures: a general
        approach", Statistics in Medicine 27; of two shares it is method 10 of Newcombe 1998.

    Example:
        >>> score = Estimate(value=0.6, standard_error=0.04, n=150)
        >>> beats_floor(score, 0.5, higher_is_better=True)
        True
        >>> counted = Estimate(value=0.5, standard_error=0.04, n=150)
        >>> beats_floor(score, counted, higher_is_better=True)
        False
        >>> beats_floor(score, counted, higher_is_better=True, correlation=0.9)
        True
    """
    if floor is None:
        return True
    scale = _logarithm if isinstance(score, Positive) else float
    mark = floor.value if isinstance(floor, Estimate) else floor
    ends = floor.interval(confidence) if isinstance(floor, Estimate) else (floor, floor)
    worse, better = (0, 1) if higher_is_better else (1, 0)
    a = abs(scale(score.value) - scale(score.interval(confidence)[worse]))
    b = abs(scale(ends[better]) - scale(mark))
    ahead = scale(score.value) - scale(mark)
    ahead = ahead if higher_is_better else -ahead
    if math.inf in (a, b):
        return False
    return ahead > math.sqrt(max(0.0, a * a + b * b - 2 * correlation * a * b))


def _logarithm(value: float) -> float:
    return math.log(value) if value > 0 else -math.inf


def verdict(
    difference: Difference | None,
    *,
    score: Estimate,
    floor: Estimate | float | None,
    higher_is_better: bool,
    p_value: float | None = None,
    confidence: float = 0.95,
    correlation: float = 0.0,
) -> Verdict:
    """The one word that a score may be called beside the one it is compared with.

    The first rule that holds decides:

    1. `at the floor`: the score does not beat its floor (`beats_floor`), so a trivial answerer
       does as well; whatever moved, nothing was gained.
    2. `no change shown`: there is no pairing, or the interval of the difference contains 0, or
       the p-value is above 1 - confidence.
    3. `improves` or `degrades`: by the sign of the difference and the better direction.

    Args:
        difference: Score minus the compared score, over shared items; None if they share none.
        score: The score that is judged.
        floor: Score of a trivial answerer; None if there is none.
        higher_is_better: The better direction.
        p_value: In place of the difference's own, when it is one of a family (see `holm`).
        confidence: Confidence of both intervals; the difference must have been made with it.
        correlation: Correlation of the errors of score and floor.
    """
    is_above = beats_floor(
        score,
        floor,
        higher_is_better=higher_is_better,
        confidence=confidence,
        correlation=correlation,
    )
    if not is_above:
        return "at the floor"
    if difference is None or difference.low <= 0 <= difference.high:
        return "no change shown"
    if (difference.p_value if p_value is None else p_value) > 1 - confidence:
        return "no change shown"
    return "improves" if (difference.value > 0) == higher_is_better else "degrades"
