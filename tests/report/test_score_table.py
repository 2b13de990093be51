"""Scores: a block a task, the words of its intervals, and what a record says of its task."""

from dataclasses import replace

import pytest
from report_records import described, make_records, record, score, sweep_records

from widthwise.errors import RunError
from widthwise.findings import answer
from widthwise.report import BESIDE_CONTROL, COLUMNS, TaskScores, nonempty_columns, score_tables
from widthwise.stats import paired_difference, sequential_difference
from widthwise.study import Record

DENSE, WIDE, NARROW = (None, "dense", 1536), ("ppm", "2.4x", 1376), ("ppm", "1.6x", 912)
RANDOM = ("random", "1.6x", 912)


def right(n: int, of: int = 200) -> list[float]:
    return [1.0] * n + [0.0] * (of - n)


def cell(records: list[Record], row: int, column: str) -> str:
    (table,) = score_tables(records)
    return table.rows[row][COLUMNS.index(column)]


def stopped(found: Record) -> Record:
    return replace(found, settings={**found.settings, "until": 0.05})


def test_a_block_a_task_and_a_row_a_network() -> None:
    tables = score_tables(make_records())
    assert [t.task for t in tables] == ["mmlu", "arc_easy", "hellaswag", "piqa", "boolq", "prose"]
    networks = [row[0] for row in tables[0].rows]
    assert networks[:3] == ["dense", "ppm 2.39x", "ppm 2.11x"]
    assert networks[-1] == "random 1.06x"
    assert len(networks) == 13
    assert {len(row) for table in tables for row in table.rows} == {len(COLUMNS)}
    assert tables[0].about == "accuracy, 5 shots, n = 100"
    assert tables[4].floor == "floor 0.622: always 'yes'"
    assert "lower is better" in tables[5].about


@pytest.mark.parametrize(
    ("dense", "word"), [(20, "below the floor"), (48, "at the floor"), (120, "beats the floor")]
)
def test_dense_is_beside_its_floor(dense: int, word: str) -> None:
    assert cell([score(DENSE, "piqa", right(dense))], 0, "verdict") == word


@pytest.mark.parametrize(
    ("dense", "cut", "word"),
    [
        (120, 80, "degrades"),
        (80, 120, "improves"),
        (120, 118, "no change shown"),
        (120, 55, "at the floor"),
        (20, 55, "at the floor"),  # twice as good as dense, and still no better than chance
    ],
)
def test_table_says_the_verdict(dense: int, cut: int, word: str) -> None:
    records = [score(DENSE, "piqa", right(dense)), score(NARROW, "piqa", right(cut))]
    assert cell(records, 1, "verdict") == word


def test_a_score_that_may_be_at_the_floor_or_well_above_it_has_too_few_items() -> None:
    """Of 20 items 6 are right: 0.30 ± 0.20; the floor is 0.25."""
    few = [float(i < 6) for i in range(20)]
    records = [score(DENSE, "piqa", few), score(NARROW, "piqa", few)]
    assert [cell(records, i, "verdict") for i in (0, 1)] == ["too few items"] * 2
    said = " ".join(answer(records))
    assert "On piqa there are too few items to tell" in said
    many = [score(at, "piqa", right(55)) for at in (DENSE, NARROW)]  # 0.275 ± 0.06
    assert [cell(many, i, "verdict") for i in (0, 1)] == ["at the floor"] * 2
    assert "too few items to tell" not in " ".join(answer(many))


def test_a_score_that_may_be_at_the_floor_is_worse_where_it_is_shown_to_be() -> None:
    """Of 60 items dense has 36 right and the cut 19: 0.32, of which the interval holds 0.25."""
    records = [score(DENSE, "piqa", right(36, 60)), score(NARROW, "piqa", right(19, 60))]
    assert cell(records, 1, "verdict") == "degrades"
    assert cell(records, 1, "p (Holm)") == "<0.001"
    few = [score(DENSE, "piqa", right(21, 60)), score(NARROW, "piqa", right(19, 60))]
    assert [cell(few, i, "verdict") for i in (0, 1)] == ["too few items"] * 2
    known = [score(DENSE, "piqa", right(120)), score(NARROW, "piqa", right(55))]
    assert cell(known, 1, "verdict") == "at the floor"  # whatever was lost, it is all


def test_verdict_is_adjusted_for_the_number_of_widths() -> None:
    cut = right(120)
    cut[113:120] = [0.0] * 7  # 7 items lost, none won: p = 2/2^7 = 0.016 alone, 0.063 of four
    records = [score(DENSE, "piqa", right(120)), score(WIDE, "piqa", cut)]
    assert cell(records, 1, "verdict") == "degrades"
    records += [score(("ppm", f"{w}", w), "piqa", right(120)) for w in (1000, 900, 800)]
    assert cell(records, 1, "verdict") == "no change shown"


def test_unpaired_score_shows_no_change() -> None:
    records = [
        score(DENSE, "piqa", right(150)),
        replace(score(NARROW, "piqa", right(80)), items=()),
    ]
    assert cell(records, 1, "verdict") == "too few items"


def test_difference_and_p_value_are_those_of_the_paired_items() -> None:
    records = [score(DENSE, "piqa", right(120)), score(NARROW, "piqa", right(100))]
    found = paired_difference(right(100), right(120))
    assert cell(records, 1, "minus dense [95 %]") == (f"-0.100 [{found.low:.3f}, {found.high:.3f}]")
    assert cell(records, 1, "p (Holm)") == "<0.001"  # 20 lost, none won: 2 / 2^20
    assert cell(records, 0, "minus dense [95 %]") == ""


def test_items_of_networks_that_stopped_early_are_paired_as_far_as_both_go() -> None:
    turned = [0.0, 1.0, 1.0, 1.0] * 100
    cut = [0.0, 0.0, 1.0, 1.0] * 50
    records = [stopped(score(DENSE, "piqa", turned)), stopped(score(NARROW, "piqa", cut))]
    found = sequential_difference(cut, turned)
    assert found.n == 200
    assert cell(records, 1, "minus dense [95 %]") == (f"-0.250 [{found.low:.3f}, {found.high:.3f}]")
    assert [cell(records, i, "n") for i in (0, 1)] == ["400", "200"]
    (table,) = score_tables(records)
    assert table.anytime
    assert table.about.endswith("n = 200 to 400, until known to ±0.050: anytime-valid intervals")


def test_a_metric_without_bounds_is_measured_to_the_end_and_paired_as_ever() -> None:
    made = [score(at, "prose", [0.5, 0.9, 0.2], unit="bits_per_byte") for at in (DENSE, NARROW)]
    (table,) = score_tables([stopped(r) for r in made])
    assert not table.anytime
    assert "anytime" not in table.about


@pytest.mark.parametrize("until", [False, True])
def test_different_lengths_are_refused_where_nothing_was_stopped(until: bool) -> None:
    records = [score(DENSE, "piqa", right(120)), score(NARROW, "piqa", right(80, 150))]
    if until:  # of dense alone
        records[0] = stopped(records[0])
    with pytest.raises(RunError, match="equal lengths; got 150 and 200"):
        score_tables(records)


def test_a_record_says_what_its_score_is() -> None:
    settings = described(
        "exact_match,flexible-extract",
        shots=1,
        chance_corrected=-1e-17,  # 0 up to rounding
        capped=0.875,
        loops=0.0,
        metrics={"exact_match,strict-match": 0.0, "exact_match,flexible-extract": 0.25},
    )
    records = [replace(score(DENSE, "gsm8k", right(50)), settings=settings)]
    (table,) = score_tables(records)
    assert table.about == "exact_match (flexible-extract), 1 shot, n = 200"
    assert table.source == "200 of 1,319 items, seed 0"
    (half,) = score_tables([replace(records[0], n=50, items=records[0].items[:50])])
    assert half.source == "200 of 1,319 items, seed 0; of the 200, 50 were asked"
    assert table.floors == (("chance", "0.250"), ("always 'A'", "0.200"))
    assert table.metrics is not None
    names = ("exact_match (strict-match)", "exact_match (flexible-extract)")
    assert table.metrics.header == ("network", *names)
    assert table.metrics.rows == (("dense", "0", "0.250"),)
    assert [cell(records, 0, c) for c in ("chance-corrected", "capped", "loops")] == [
        "0",
        "88 %",
        "0 %",
    ]
    assert [COLUMNS[i] for i in nonempty_columns([table])] == [
        "network",
        "score ± s.e.",
        "verdict",
        "chance-corrected",
        "capped",
        "loops",
    ]


def of_sweep(task: str) -> TaskScores:
    return next(table for table in score_tables(sweep_records()) if table.task == task)


def test_no_floor_says_why() -> None:
    table = of_sweep("lambada_openai")
    assert table.floor == "no floor: no trivial answerer is known"
    assert table.rows[0][COLUMNS.index("verdict")] == "no floor"
    assert table.rows[1][COLUMNS.index("verdict")] == "degrades"


def test_a_missing_dense_score_leaves_its_task_described() -> None:
    table = of_sweep("mmlu")
    assert table.about == "mmlu-metric, 0 shots, n = 200"
    assert table.floor == "floor 0.250: always option 0"
    assert table.rows[0][:2] == ("dense", "missing [1]")
    assert set(table.rows[0][2:]) == {""}
    assert table.rows[1][2] == "not paired"


def test_13_tasks_fit_120_columns() -> None:
    for table in score_tables(sweep_records()):
        # a terminal leaves the column beside the control out where it does not fit
        shown = [i for i in nonempty_columns([table]) if COLUMNS[i] != BESIDE_CONTROL]
        rows = [[row[i] for i in shown] for row in (COLUMNS, *table.rows)]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        assert sum(widths) + 2 * len(widths) <= 120, table.task


@pytest.mark.parametrize(
    ("items", "unit", "text"),
    [
        ([0.0] * 4, "accuracy", "0 [0, 0.602]"),
        ([1.0] * 4, "accuracy", "1.000 [0.398, 1.000]"),
        ([0.0] * 4, "f1", "0 [0, 0.602]"),
        ([0.5] * 20, "f1", "0.500 [0.299, 0.701]"),
        ([2.0] * 4, "f1", "2.000 ± 0"),
        ([0.5] * 4, "bits_per_byte", "0.500 ± 0"),
        ([0.0, 0.5, 0.0, 0.5], "f1", "0.250 ± 0.144"),
    ],
)
def test_items_that_are_all_the_same_have_an_interval_and_no_error_of_0(
    items: list[float], unit: str, text: str
) -> None:
    """Clopper and Pearson's upper end of 0 of 4 is 1 - .025^(1/4), Wilson's ends of 10 of 20 are
    .5 ± .201. Of what has no upper bound nothing better is known."""
    assert cell([score(DENSE, "piqa", items, unit=unit)], 0, "score ± s.e.") == text


def test_missing_scores_are_numbered_with_all_else() -> None:
    gone = record(NARROW, "piqa", "accuracy", None, reason="killed")
    assert cell([score(DENSE, "piqa", right(120)), gone], 1, "score ± s.e.") == "missing [1]"


def test_a_criterion_stands_beside_the_control_of_its_width() -> None:
    records = [score(DENSE, "piqa", right(120)), score(NARROW, "piqa", right(100))]
    records.append(score(RANDOM, "piqa", right(90)))
    found = paired_difference(right(100), right(90))
    said = f"+0.050 [+{found.low:.3f}, +{found.high:.3f}], {found.p_value:.3f}"
    assert [cell(records, row, BESIDE_CONTROL) for row in range(3)] == ["", said, ""]
