"""Budgets as people write them."""

from __future__ import annotations

import pytest

from widthwise.errors import TargetError
from widthwise.tinynet import (
    parse_budget,
    solve,
)


@pytest.mark.parametrize(
    ("kind", "text", "amount"),
    [
        ("macs", "50M", 5e7),
        ("macs", "0.4 g", 4e8),
        ("parameters", "2.5M", 2.5e6),
        ("parameters", "2042972", 2042972),
        ("bytes", "10MB", 1e7),
        ("bytes", "1MiB", 2**20),
        ("seconds", "5ms", 5e-3),
        ("seconds", ".1s", 0.1),
        ("seconds", "900us", 9e-4),
    ],
)
def test_budgets_are_read(kind: solve.Kind, text: str, amount: float) -> None:
    found = parse_budget(kind, text)
    assert found.kind == kind
    assert found.amount == pytest.approx(amount, rel=1e-12)


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("macs", "50X"),
        ("macs", "-5M"),
        ("macs", "0"),
        ("macs", ""),
        ("macs", "5MB"),
        ("seconds", "5"),
        ("bytes", "1e6"),
        ("macs", "9" * 400),
        ("parameters", "nan"),
    ],
)
def test_wrong_budgets_are_refused(kind: solve.Kind, text: str) -> None:
    words = {"macs": "multiply-adds", "seconds": "time", "bytes": "bytes of parameters"}
    with pytest.raises(TargetError, match=f"a budget of {words.get(kind, kind)} must"):
        parse_budget(kind, text)
