"""Records that contradict each other, are missing, or are draws of the control."""

from dataclasses import replace
from pathlib import Path

import pytest
from piqa_studies import CUT, PARENT, drawn, folder, right, some
from report_records import record, score
from run_pages import report

from widthwise.report.model_results import model_results


def test_two_cells_that_conflict_are_left_out(tmp_path: Path) -> None:
    other = replace(score(CUT, "piqa", right(58)), cell="another")
    text = drawn(tmp_path, [*some(), other])
    said = f"two different cells measured it: piqa of ppm 1.58x ({some()[2].cell} and another)"
    assert said in text
    series = model_results([*some(), other], "s", {})
    assert series.grid is not None
    assert [n.label for n in series.grid.networks] == ["dense", "ppm 2.39x", "random 1.58x"]


def test_many_conflicts_are_one_sentence() -> None:
    twins = [replace(r, cell=f"x{r.cell}") for r in some()]
    (note,) = model_results([*some(), *twins], "s", {}).notes
    assert note.endswith("and 1 more; report one study at a time.")


def test_networks_of_different_numbers_of_items_are_left_out(tmp_path: Path) -> None:
    uneven = [score(PARENT, "mmlu", right(40)), score(CUT, "mmlu", right(20, 50))]
    text = drawn(tmp_path, [*some(), *uneven])
    assert (
        "mmlu is left out: its networks were measured on different numbers of items (50, 60)"
        in (text)
    )
    assert 'id="score-0-title">piqa' in text
    assert 'id="score-1-title"' not in text


def test_items_that_were_stopped_early_may_differ() -> None:
    stopped = [
        replace(r, settings={"until": 0.05})
        for r in (score(PARENT, "mmlu", right(40)), score(CUT, "mmlu", right(20, 50)))
    ]
    assert model_results(stopped, "s", {}).notes == ()


def test_draws_of_the_control_are_their_mean(tmp_path: Path) -> None:
    again = [
        replace(score(("random~7", "1.6x", 912), "piqa", right(n)), cell=f"draw {n}") for n in (31,)
    ]
    series = model_results([*some(), *again], "s", {})
    assert series.draws is not None
    assert series.draws.draws == ("random", "random~7")
    assert series.grid is not None
    assert series.grid.criteria == ("ppm", "random")
    (chance,) = [r for r in series.grid.column("piqa") if r.criterion == "random"]
    assert chance.value == pytest.approx((25 + 31) / 2 / 60)
    assert "The control is the mean of 2 draws." in drawn(tmp_path, [*some(), *again])


def test_a_cell_that_failed_everywhere_is_said_with_its_reason(tmp_path: Path) -> None:
    gone = [record(at, "mmlu", "accuracy", None, reason="no memory") for at in (PARENT, CUT)]
    text = drawn(tmp_path, [*some(), *gone])
    assert "[1] mmlu of dense, ppm 1.58x: no memory" in text
    assert 'id="score-0-title">piqa' in text


def test_a_task_with_one_item_is_drawn(tmp_path: Path) -> None:
    single = [score(at, "mmlu", [1.0]) for at in (PARENT, CUT)]
    text = drawn(tmp_path, [*some(), *single])
    assert 'id="score-1-title">mmlu' in text
    row = text[text.index('data-is="mmlu|ppm|') :]
    assert "too few items" in row[: row.index("</tr>")]  # one item has no interval to clear it
    assert "no change shown" not in text[text.index('id="score-1-title">mmlu') :].split("</svg>")[0]


def test_no_dense_is_said_and_the_rest_is_drawn(tmp_path: Path) -> None:
    text = drawn(tmp_path, some()[1:])
    assert "was not measured, so nothing here says what a cut costs" in text
    assert 'id="score-0-title">piqa' in text


def test_cells_that_are_not_measured_yet_are_counted(tmp_path: Path) -> None:
    path = folder(tmp_path / "s", some(), cells=[*(r.cell for r in some()), "to come"])
    assert report(path).exit_code == 0
    assert "1 cell not measured yet" in (path / "report.html").read_text(encoding="utf8")
