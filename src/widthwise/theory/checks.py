"""Checks of numbers that a user gave, with one sentence for each fault."""

from __future__ import annotations

from math import isfinite

from ..errors import LimitError


def check_least(name: str, value: int, least: int) -> None:
    """See that a count is not too small.

    Raises:
        LimitError: It is.
    """
    if value < least:
        raise LimitError(f"{name} must be at least {least}; got {value}")


def check_positive(name: str, value: float) -> None:
    """See that a number is finite and above 0.

    Raises:
        LimitError: It is not.
    """
    if not (isfinite(value) and value > 0):
        raise LimitError(f"{name} must be a number above 0; got {value}")
