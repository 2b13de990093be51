"""From numbers to words: Holm's adjustment and the one rule for what a result may be called."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from ..errors import RunError
from .estimates import Estimate
from .paired import Difference

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
    score: Estimate, floor: float | None, *, higher_is_better: bool, confidence: float = 0.95
) -> bool:
    """Whether the score's whole interval is on the better side of the floor.

    True without a floor; False if the standard error is unknown. The interval is normal, so for
    0/1 items it wants some thirty of them, and is too sure of itself when all have one value.
    """
    if floor is None:
        return True
    low, high = score.interval(confidence)
    return low > floor if higher_is_better else high < floor


def verdict(
    difference: Difference | None,
    *,
    score: Estimate,
    floor: float | None,
    higher_is_better: bool,
    p_value: float | None = None,
    confidence: float = 0.95,
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
        floor: Score of a trivial answerer on the same items; None if there is none.
        higher_is_better: The better direction.
        p_value: In place of the difference's own, when it is one of a family (see `holm`).
        confidence: Of both intervals; the difference must have been made with the same.
    """
    if not beats_floor(score, floor, higher_is_better=higher_is_better, confidence=confidence):
        return "at the floor"
    if difference is None or difference.low <= 0 <= difference.high:
        return "no change shown"
    if (difference.p_value if p_value is None else p_value) > 1 - confidence:
        return "no change shown"
    return "improves" if (difference.value > 0) == higher_is_better else "degrades"
