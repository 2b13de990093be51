"""Costs of several models that took turns, and of those that did not."""

from __future__ import annotations

from pathlib import Path

import pytest
from cost_records import ROUNDS, costs
from report_records import COST_TOLD, DENSE

from widthwise.findings import other_network_sentences
from widthwise.report import cost_tables, write_report
from widthwise.study import StoredStudy


def test_models_of_one_run_stand_side_by_side(tmp_path: Path) -> None:
    """With ratios to the first in one table, and in the answer."""
    half = tuple(time / 2 for time in ROUNDS)
    records = (*costs("dense-7b", ROUNDS), *costs("cut-7b", half, is_busy=True, load=3.5))
    study = StoredStudy(path=Path("turns"), settings={}, records=records, pending=0)
    write_report([study], tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text(encoding="utf8")
    assert "Side by side" in text
    assert "0.500 [0.500, 0.500]" in text
    assert "(at best 200 GFLOP/s and 10 GB/s)" in text
    assert other_network_sentences(records) == [
        "The first is dense-7b.",
        "cut-7b on 8x4: the time to the first token is 0.50 times that of the first (95 % interval "
        "0.50 to 0.50), that of a next token is 0.50 times that of the first (95 % interval 0.50 "
        "to 0.50) and the energy of a token is 0.50 times that of the first (95 % interval 0.50 to "
        "0.50).",
        "The machine was busy, up to 3.5 processes wanted a core: measure on an idle one before "
        "you trust these times.",
    ]


def test_models_that_took_no_turns_have_no_ratios() -> None:
    """As `study` times several models, one after the other: each has limits of its own."""
    ceilings = {**COST_TOLD["ceilings"], "flops_per_sec": 1e11}
    half = tuple(time / 2 for time in ROUNDS)
    others = costs("cut-7b", half, ceilings=ceilings, attention="eager")
    (table,) = cost_tables([*costs("dense-7b", ROUNDS), *others])
    assert "0.500 [" not in " ".join(cell for row in table.rows for cell in row)
    assert "attention" not in table.about
    assert "at best" not in table.about
    assert table.notes == (
        "dense-7b, dense: at best 200 GFLOP/s and 10 GB/s, 5 rounds; attention sdpa, 1 thread, "
        "steps called; 2026-01-01 00:00 UTC",
        "cut-7b, dense: at best 100 GFLOP/s and 10 GB/s, 5 rounds; attention eager, 1 thread, "
        "steps called; 2026-01-01 00:00 UTC",
        "no ratios to dense-7b, dense: not timed in turn with it, so that what slows a machine for "
        "a while would be in them: cut-7b, dense; widthwise measure times several models in turn",
    )
    records = [*costs("dense-7b", ROUNDS), *others]
    assert other_network_sentences(records) == []


@pytest.mark.parametrize("told", [{"attention": "eager"}, {"threads": 2}])
def test_whatever_was_chosen_anew_is_no_shared_round(told: dict[str, object]) -> None:
    (table,) = cost_tables([*costs("a", ROUNDS), *costs("b", ROUNDS, **told)])
    assert "no ratios to a, dense" in table.notes[-1]


def test_a_cut_that_was_timed_is_not_called_dense() -> None:
    origin = {
        **{"parent": "a", "parent_width": 2 * DENSE, "parent_weights": "aaaa"},
        **{"criterion": "ppm", "ratio": 2.7, "healed": False},
    }
    cut = costs("b", ROUNDS, cut_from=origin)
    assert [row[0] for row in cost_tables(cut)[0].rows] == ["this cut"]
    (table,) = cost_tables([*costs("a", ROUNDS), *cut])
    assert [row[0] for row in table.rows] == ["a, dense", "b, as stored"]


def test_a_busy_machine_is_told_below_the_table() -> None:
    (idle,) = cost_tables(costs("m", ROUNDS, is_busy=False, load=0.5))
    (busy,) = cost_tables(costs("m", ROUNDS, is_busy=True, load=3.5))
    assert idle.notes == ()
    assert len(busy.notes) == 1
    assert "the machine was busy: up to 3.5 processes wanted a core" in busy.notes[0]
