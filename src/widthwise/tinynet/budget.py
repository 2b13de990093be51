"""Budgets of networks: multiply-adds, parameters, bytes, or seconds on this device."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Literal

from ..errors import TargetError

Kind = Literal["macs", "parameters", "bytes", "seconds"]

_UNITS: dict[Kind, dict[str, float]] = {
    "macs": {"": 1, "k": 1e3, "m": 1e6, "g": 1e9, "b": 1e9},
    "parameters": {"": 1, "k": 1e3, "m": 1e6, "g": 1e9, "b": 1e9},
    "bytes": {"": 1, "b": 1, "kb": 1e3, "mb": 1e6, "gb": 1e9}
    | {"kib": 2**10, "mib": 2**20, "gib": 2**30},
    "seconds": {"us": 1e-6, "ms": 1e-3, "s": 1},
}
_EXAMPLES = {"macs": "50M", "parameters": "2.5M", "bytes": "10MB", "seconds": "5ms"}
_WORDS = {
    "macs": "multiply-adds",
    "parameters": "parameters",
    "bytes": "bytes of parameters",
    "seconds": "ms",
}
_NAMES = {**_WORDS, "seconds": "time"}


@dataclass(frozen=True)
class Budget:
    """An amount of one thing: `Budget("macs", 50e6)`.

    Attributes:
        kind: `macs`, multiply-adds of one image, which arXiv 2010.14819 calls FLOPs (elsewhere in
            widthwise a multiply-add is 2 FLOPs); `parameters`; `bytes`, of the parameters in
            float32; `seconds`, median time of one image measured on a device.
        amount: Number of these.

    Raises:
        TargetError: The amount is not finite and above 0.
    """

    kind: Kind
    amount: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.amount) and self.amount > 0):
            raise TargetError(f"a budget of {_NAMES[self.kind]} must be above 0; got {self.amount}")

    def __str__(self) -> str:
        return amount_text(self.kind, self.amount)


def parse_budget(kind: Kind, text: str, *, what: str | None = None) -> Budget:
    """A budget as people write it; errors call it `what`.

    >>> parse_budget("macs", "50M"), parse_budget("seconds", "5ms").amount
    (Budget(kind='macs', amount=50000000.0), 0.005)

    Raises:
        TargetError: The text is not such an amount.
    """
    pattern = r"(\d+(?:\.\d*)?|\.\d+)\s*([a-z]*)"
    match = re.fullmatch(pattern, text.strip().lower()) if len(text) <= 32 else None
    unit = None if match is None else _UNITS[kind].get(match[2])
    if match is None or unit is None:
        raise TargetError(
            f"{what or f'a budget of {_NAMES[kind]}'} must look like {_EXAMPLES[kind]}; "
            f"got {text[:40]!r}"
        )
    return Budget(kind, float(match[1]) * unit)


def amount_text(kind: Kind, amount: float) -> str:
    """An amount in words.

    >>> amount_text("macs", 5e7), amount_text("seconds", 0.0051)
    ('50,000,000 multiply-adds', '5.1 ms')
    """
    return f"{_number(kind, amount)} {_WORDS[kind]}"


def range_text(kind: Kind, low: float, high: float) -> str:
    """A range in words.

    >>> range_text("bytes", 1e6, 2e6)
    '1,000,000 to 2,000,000 bytes of parameters'
    """
    return f"{_number(kind, low)} to {amount_text(kind, high)}"


def _number(kind: Kind, amount: float) -> str:
    return f"{1e3 * amount:.4g}" if kind == "seconds" else f"{amount:,.0f}"
