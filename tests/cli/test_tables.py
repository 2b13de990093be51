"""The terminal: a table that fits, in a pipe without a wrap, and a line a record."""

import re
from dataclasses import replace

import pytest
from report_records import make_records, sweep_records
from rich.console import Console

from widthwise.cli.tables import _parts, format_record, print_rows, print_table
from widthwise.findings import answer
from widthwise.report import missing_notes, score_tables


def test_a_pipe_gets_every_row_on_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    records = sweep_records()
    print_table(records)
    lines = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    for sentence in [*missing_notes(records), *answer(records)]:
        assert sentence in lines
    headings = [line for line in lines if "; floor 0.250: always option" in line]
    assert len(headings) == 11
    rows = [line for line in lines if line.startswith(("dense", "ppm ", "random "))]
    assert len([row for row in rows if " ± " in row or "missing" in row]) >= 13 * 13
    assert max(map(len, rows)) <= 140


def test_columns_of_all_tasks_stand_below_each_other(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(sweep_records())
    heads = [line for line in capsys.readouterr().out.splitlines() if "minus dense" in line]
    assert len(heads) == 13
    assert len({head.index("minus dense") for head in heads}) == 1
    assert len({head.index("verdict") for head in heads if "p (Holm)" in head}) == 1


def test_a_narrow_terminal_wraps_within_its_columns(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    print_table(sweep_records())
    printed = re.sub(r"\x1b\[\d+m", "", capsys.readouterr().out)
    assert max(map(len, printed.splitlines())) <= 80
    verdicts = [row[4] for task in score_tables(sweep_records()) for row in task.rows]
    assert printed.count("degrades") == verdicts.count("degrades")  # none is cut off


@pytest.mark.parametrize("columns", [80, 100])
def test_a_calibrated_criterion_fits_into_a_narrow_terminal(
    columns: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A network a row: what does not fit is left to the page, and no table comes in parts."""
    for name, value in (("COLUMNS", str(columns)), ("FORCE_COLOR", "1"), ("TERM", "xterm")):
        monkeypatch.setenv(name, value)
    renamed = {"ppm": "activation+refit"}
    records = [
        replace(
            r,
            criterion=r.criterion and renamed.get(r.criterion, r.criterion),
            settings={**r.settings, "chance_corrected": 0.1},
        )
        for r in make_records()
    ]
    print_table(records)
    printed = re.sub(r"\x1b\[\d+m", "", capsys.readouterr().out)
    assert max(map(len, printed.splitlines())) <= columns
    tasks = len(score_tables(records))
    networks = len({(r.criterion, r.asked) for r in records})
    heads = [line for line in printed.splitlines() if re.match("network .* score ", line)]
    assert len(heads) == tasks
    assert all("verdict" in head for head in heads)
    rows = [
        line for line in printed.splitlines() if re.match(r"(dense|activ|random)\S* .* ± ", line)
    ]
    scored = [line for line in rows if re.search(r"degrades|floor|shown|improves|items", line)]
    assert len(scored) == tasks * networks


def test_columns_that_do_not_fit_come_below(capsys: pytest.CaptureFixture[str]) -> None:
    console = Console(width=30, highlight=False)
    header, rows = ["name", "first", "second", "third"], [["a", "1" * 9, "2" * 9, "3" * 12]]
    print_rows(console, header, rows, [0] * 4)
    assert capsys.readouterr().out.split() == [
        *("name", "first", "second", "a", "1" * 9, "2" * 9),
        *("name", "third", "a", "3" * 12),
    ]
    # one by one where the console is narrower than any two
    assert _parts([9, 9, 9], 10) == [[0, 1], [0, 2]]
    assert _parts([4, 4, 4], 16) == [[0, 1, 2]]
    assert _parts([4, 4, 4], 15) == [[0, 1], [0, 2]]


def test_a_record_is_one_short_line() -> None:
    made = {r.quantity: r for r in make_records() if r.criterion is None}
    assert format_record(made["parameters"]).split() == [
        "dense",
        "parameters",
        "134,479,872",
        "count",
    ]
    big = replace(
        made["prose"], value=3.14e7, standard_error=1.2e6, unit="perplexity", floor=2941.0
    )
    said = "3.1e+07 ± 1.2e+06 perplexity  (floor 2,941)"
    assert format_record(big) == f"{'dense':21} {'prose':10} {said}"
    gone = replace(big, value=None, reason="killed")
    assert format_record(gone).endswith("missing: killed")
