"""The page of a study: all records, every task, and what is missing."""

import base64
import csv
import re
from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest
from html_page import Page, some, write
from report_records import make_records, record, sweep_records

from widthwise.errors import RunError
from widthwise.study import Record

REASON = "the process ran out of memory"


def test_page_carries_all_records(html: str) -> None:
    link = next(r for r in Page(html).references if r.startswith("data:"))
    text = base64.b64decode(link.partition("base64,")[2]).decode()
    rows = list(csv.DictReader(StringIO(text)))
    records = make_records()
    assert [row["cell"] for row in rows] == [r.cell for r in records]
    assert [float(row["value"]) for row in rows] == [r.value for r in records]
    assert tuple(map(float, rows[0]["items"].split())) == records[0].items


def test_page_of_a_sweep_shows_every_task(tmp_path: Path) -> None:
    page = Page(write(tmp_path / "page.html", sweep_records()))
    assert page.open == []
    drawn = [i for i in page.ids if i.startswith(("score-", "size-")) and i.endswith("-title")]
    assert len(drawn) == 13 + 2  # the size and prefill
    assert len((tmp_path / "page.html").read_bytes()) < 2e6
    for said in (
        "n = 200; no floor: no trivial answerer is known",
        "Sample: 200 of 1,319 items, seed 0.",
        "chance: 0.250; always 'A': 0.200.",
        "log scale",
        "Capped is the share",
    ):
        assert said in page.text
    settings = page.text[page.text.index("How this was measured") :]
    assert "chance corrected" not in settings  # the table of scores has it


@pytest.mark.parametrize("quantity", ["piqa", "prose", "decode", "parameters"])
def test_missing_values_are_shown_with_their_reason(tmp_path: Path, quantity: str) -> None:
    gone = {"value": None, "standard_error": None, "items": (), "reason": REASON}
    records = [
        replace(r, **gone)
        if (r.quantity, r.asked) in ((quantity, "1.6x"), ("mmlu", "dense"))
        else r
        for r in some(quantity, "mmlu")
    ]
    text = Page(write(tmp_path / "page.html", records)).text
    assert "missing [1]" in text
    assert re.search(rf"\[1\].*{quantity} of ppm 1\.58x.*: {REASON}", text)


def test_everything_missing_still_makes_a_page(tmp_path: Path) -> None:
    gone = {"value": None, "standard_error": None, "items": (), "reason": REASON}
    text = Page(write(tmp_path / "page.html", [replace(r, **gone) for r in make_records()])).text
    assert REASON in text
    assert "no loss can be judged" in text


@pytest.mark.parametrize(
    "only",
    [
        record((None, "dense", 1536), "parameters", "count", 134.5e6, n=1),
        record(("ppm", "2.4x", 1376), "decode", "tokens_per_sec", 17.0, n=5),
        record(("ppm", "2.4x", 1376), "mmlu", "accuracy", 0.25, n=1, higher_is_better=True),
    ],
    ids=lambda r: r.quantity,
)
def test_one_record_makes_a_page_that_says_so(tmp_path: Path, only: Record) -> None:
    page = Page(write(tmp_path / "page.html", [only]))
    assert "1 record" in page.text
    assert page.open == []


def test_no_records_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="at least one record; got none"):
        write(tmp_path / "page.html", [])
    assert list(tmp_path.iterdir()) == []
