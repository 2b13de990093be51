"""Table of the networks, and sentences: the words are those that the intervals carry."""

from dataclasses import replace

import pytest
from report_records import make_records, record, score, sweep_records

from widthwise.errors import RunError
from widthwise.findings import answer
from widthwise.report import missing_notes, network_rows
from widthwise.stats import paired_difference
from widthwise.study import Record

DENSE, WIDE, NARROW = (None, "dense", 1536), ("ppm", "2.4x", 1376), ("ppm", "1.6x", 912)
RANDOM = ("random", "1.6x", 912)


def right(n: int, of: int = 200) -> list[float]:
    return [1.0] * n + [0.0] * (of - n)


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


def test_answer_follows_the_records() -> None:
    records = [
        *(score(DENSE, q, right(n)) for q, n in (("piqa", 120), ("mmlu", 52))),
        *(score(WIDE, q, right(n)) for q, n in (("piqa", 90), ("mmlu", 50))),
        *(score(NARROW, q, right(n)) for q, n in (("piqa", 55), ("mmlu", 56))),
    ]
    assert answer(records) == [
        "Dense SmolLM2-135M-Instruct beats the floor on piqa; on mmlu it does not, "
        "so this cannot show what a cut costs.",
        "Cut by ppm, piqa is first shown to degrade at 2.39x; "
        "piqa is no longer shown above the floor from 1.58x.",
    ]


@pytest.mark.parametrize(
    ("ppm", "control", "said"),
    [
        (
            100,
            60,
            "ppm scores better than the one draw of the random control on piqa at 1 of 1 widths.",
        ),
        (
            60,
            100,
            "ppm scores worse than the one draw of the random control on piqa at 1 of 1 widths.",
        ),
        (
            40,
            100,
            "ppm scores worse than the one draw of the random control on piqa at 1 of 1 widths.",
        ),
        (
            58,
            52,
            "ppm is not shown to score better or worse than the one draw of the random control on",
        ),
        (
            52,
            20,
            "ppm is not shown to score better or worse than the one draw of the random control on",
        ),
    ],
)
def test_answer_compares_with_the_control(ppm: int, control: int, said: str) -> None:
    records = [
        score(DENSE, "piqa", right(120)),
        score(NARROW, "piqa", right(ppm)),
        score(RANDOM, "piqa", right(control)),
    ]
    assert said in answer(records)[-1]


def test_answer_without_dense_judges_nothing() -> None:
    said = answer([score(NARROW, "piqa", right(100))])
    assert said == [
        "Dense SmolLM2-135M-Instruct was not measured, so nothing here says what a cut costs."
    ]


def test_a_cell_measured_again_replaces_the_first() -> None:
    first = record(DENSE, "bytes", "bytes", None, reason="killed")
    again = replace(first, value=1500.0, reason=None)
    assert cell([first, again], 0, "bytes") == "1.5 kB"


@pytest.mark.parametrize(
    ("records", "message"),
    [
        ([], "at least one record; got none"),
        ([replace(r, model=name) for r in make_records()[:1] for name in "ab"], "records of a, b"),
        ([replace(r, cell=c) for r in make_records()[:1] for c in "ab"], "two different cells"),
    ],
)
def test_records_that_do_not_belong_together_are_refused(
    records: list[Record], message: str
) -> None:
    with pytest.raises(RunError, match=message):
        network_rows(records)


def test_sentences_of_13_tasks_stay_short() -> None:
    said = answer(sweep_records())
    assert said[0] == (
        "Dense SmolLM2-135M-Instruct beats the floor on arc, hellaswag, piqa, boolq and 7 more. "
        "There is no floor on lambada_openai, so what such a score is worth is not known."
    )
    assert (
        "ppm scores better than the one draw of the random control on mmlu, arc, hellaswag, boolq "
        "and 7 more at 6 of 6 widths, piqa at 5 of 5" in said[-1]
    )
    assert max(map(len, said)) < 300  # three lines of a page


def test_no_loss_is_said_with_how_large_one_may_be() -> None:
    records = [score(DENSE, "piqa", right(120)), score(NARROW, "piqa", right(118))]
    low = paired_difference(right(118), right(120)).low
    said = f"no loss is shown at the one width measured on piqa (intervals reach {low:.3f})"
    assert any(said in sentence for sentence in answer(records))


def test_too_few_items_are_no_proof_that_nothing_is_lost() -> None:
    """Six items, all worse: of one test p is at least 2 / 2^6, of two twice that."""
    dense = score(DENSE, "prose", [1.0, 1.1, 0.9, 1.0, 1.2, 1.0])
    worse = [score(NARROW, "prose", [3.3, 3.1, 2.9, 3.4, 3.2, 3.0])]
    worse.append(score(RANDOM, "prose", [3.5, 3.1, 2.9, 3.4, 3.2, 3.0]))
    records = [
        replace(r, unit="bits_per_byte", floor=5.0, higher_is_better=False) for r in (dense, *worse)
    ]
    said = " ".join(answer(records))
    assert "Cut by ppm, prose has too few items to show a loss" in said
    assert "no loss is shown" not in said
