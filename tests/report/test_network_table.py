"""The table of networks: what was cut, what each costs, and why a value is missing."""

from dataclasses import replace

from report_records import make_records, record

from widthwise.report import missing_notes, network_rows
from widthwise.study import Record

DENSE, NARROW = (None, "dense", 1536), ("ppm", "1.6x", 912)
RANDOM = ("random", "1.6x", 912)


def cell(records: list[Record], row: int, column: str) -> str:
    header, rows = network_rows(records)
    return rows[row][header.index(column)]


def test_table_has_a_row_a_network_and_its_costs() -> None:
    header, rows = network_rows(make_records())
    assert header[:6] == ["criterion", "asked", "width", "I/H", "parameters", "bytes"]
    assert header[6:] == ["prefill", "decode"]
    assert [row[0] for row in rows] == ["dense", *["ppm"] * 6, *["random"] * 6]
    assert {len(row) for row in rows} == {len(header)}
    assert rows[1][1:6] == ["2.4x", "1,376", "2.39x", "126.2 M", "252.4 MB"]
    timed = [row[header.index("decode")] for row in rows[1:7]]
    assert "–" not in timed  # noqa: RUF001
    assert [row[header.index("decode")] for row in rows[7:]] == timed  # random is not timed itself


def test_speed_stands_with_its_ratio() -> None:
    speeds = [
        record(at, "decode", "tokens_per_sec", value, standard_error=0.1, n=5)
        for at, value in ((DENSE, 10.0), (NARROW, 15.0))
    ]
    # 1.5 * sqrt((.1/15)^2 + (.1/10)^2) = 0.018; times 2.776, t with 4 degrees of freedom, is 0.050
    assert cell(speeds, 1, "decode") == "15 ± 0.1\n1.50 [1.45, 1.55]"


def test_missing_reasons_are_numbered_once() -> None:
    gone = [
        record(at, quantity, "accuracy", None, reason=reason, higher_is_better=True)
        for at, quantity, reason in (
            (NARROW, "mmlu", "killed"),
            (RANDOM, "mmlu", "killed"),
            (NARROW, "decode", "no network"),
        )
    ]
    gone[2] = replace(gone[2], unit="tokens_per_sec")
    assert missing_notes(gone) == [
        "[1] mmlu of ppm 1.58x, random 1.58x: killed",
        "[2] decode of ppm 1.58x: no network",
    ]
    assert cell(gone, 0, "decode") == "missing [2]"


def test_a_cell_measured_again_replaces_the_first() -> None:
    first = record(DENSE, "bytes", "bytes", None, reason="killed")
    again = replace(first, value=1500.0, reason=None)
    assert cell([first, again], 0, "bytes") == "1.5 kB"
