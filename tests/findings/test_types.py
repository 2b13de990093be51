"""What findings are made of: every trend has its words, and nothing changes afterwards."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, replace
from typing import get_args

import pytest
from findings_records import curve, findings_of, sizes, study

from widthwise.findings.curve_prose import trend_sentence
from widthwise.findings.types import Trend

COUNTS = (170, 165, 150, 120, 100, 80, 60)


@pytest.mark.parametrize("trend", get_args(Trend))
def test_every_trend_has_its_words(trend: Trend) -> None:
    """At the floor there is nothing to lose, which is said of all such tasks at once."""
    sentence = trend_sentence("ppm", [replace(curve(study(COUNTS)), trend=trend)])
    assert ("piqa" in sentence) == (trend != "at the floor")
    assert ("no task had anything to lose" in sentence) == (trend == "at the floor")


def test_findings_cannot_be_changed() -> None:
    findings = findings_of([*study(COUNTS), *study(COUNTS[::-1], task="arc"), *sizes()])
    parts = (findings, findings.curves[0], findings.fronts[0], findings.correlations[0])
    parts += (findings.curves[0].points[0], findings.fronts[0].points[0])
    for part in parts:
        field = next(iter(vars(part)))
        with pytest.raises(FrozenInstanceError):
            setattr(part, field, None)
