"""A claim of the paper, its number, and what is to be said of it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Claim:
    """One claim.

    Attributes:
        claim: What is said.
        value: Its number, computed from the tables.
        beside: What floors and intervals make of it.
    """

    claim: str
    value: str
    beside: str


def change(ratio: float) -> str:
    """A ratio as `+46 %`."""
    return f"{100 * (ratio - 1):+.0f} %"
