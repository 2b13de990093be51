"""Figures of the page with their data."""

import base64
import csv
from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest
import scipy.stats
from html_page import Page, write
from report_records import make_records

from widthwise.stats import confidence_sequence, share_interval
from widthwise.study import Record

MADE = make_records()


def known_ends(found: Record, until: float | None) -> tuple[float, float]:
    assert found.value is not None
    if found.unit == "accuracy" and until is not None:
        sequence = confidence_sequence(found.items, low=0.0, high=1.0)
        return sequence.low, sequence.high
    if found.unit == "accuracy":
        return share_interval(found.value, found.n)
    known = scipy.stats.ttest_1samp(found.items, 0).confidence_interval()
    return float(known.low), float(known.high)


@pytest.mark.parametrize("until", [None, 0.05])
def test_a_figures_csv_has_the_intervals_of_its_bars(tmp_path: Path, until: float | None) -> None:
    """Of shares those of a share, early stop or not, and of bits per byte Student's."""
    made = [r for r in MADE if r.quantity in ("piqa", "prose")]
    made = [replace(r, settings={**r.settings, "until": until}) for r in made]
    page = Page(write(tmp_path / "page.html", made))
    links = [r for r in page.references if r.startswith("data:text/csv")]
    tables = [base64.b64decode(link.partition("base64,")[2]).decode() for link in links]
    rows = [
        row
        for table in tables
        for row in csv.DictReader(StringIO(table))
        if {"quantity", "low"} <= row.keys()
    ]
    drawn = {(row["quantity"], row["criterion"], row["width"]): row for row in rows}
    assert len(drawn) == len(rows) == len(made)
    for one in made:
        row = drawn[one.quantity, one.criterion or "", str(one.width)]
        assert (float(row["low"]), float(row["high"])) == pytest.approx(known_ends(one, until))
