"""Findings of a study as a whole: what is refused, and that the same records say the same."""

import pytest
from findings_records import sizes, study

from widthwise.errors import RunError
from widthwise.findings import build_findings


@pytest.mark.parametrize("loss", [0.0, 1.0, float("nan")])
def test_a_loss_is_a_share(loss: float) -> None:
    with pytest.raises(RunError, match=r"a loss of shares must be in \(0, 1\)"):
        build_findings(study((170, 160)), loss=loss)


def test_no_records_are_refused() -> None:
    with pytest.raises(RunError, match="at least one record; got none"):
        build_findings([])


def test_the_same_records_say_the_same_again() -> None:
    records = [*study((170, 165, 150, 120, 100, 80, 60)), *sizes()]
    assert build_findings(records) == build_findings(records)
