"""Costs on the page: models that took turns, what an interval carries, and who shares a speed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from report_records import COST_TOLD, COST_UNITS, DENSE, record

from widthwise.findings import build_grid, measured_sentences, other_network_sentences
from widthwise.report import cost_tables, network_rows, write_report
from widthwise.study import Record, StoredStudy

ROUNDS = (1.0, 1.1, 0.9, 1.0, 1.05)


def costs(model: str, times: tuple[float, ...], **told: object) -> list[Record]:
    """Of one dense model: every quantity has these values, one a round."""
    place = None, "dense", DENSE
    return [
        replace(
            record(place, f"8x4 {what}", unit, times[0], n=len(times), items=times, model=model),
            settings={**COST_TOLD, **told},
            cell=f"{model} {what}",
        )
        for what, unit in COST_UNITS.items()
    ]


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


def test_without_the_first_there_is_nothing_to_stand_beside() -> None:
    lost = [replace(r, value=None, items=(), n=0, reason="no") for r in costs("a", ROUNDS)]
    assert other_network_sentences([*lost, *costs("b", ROUNDS), *costs("c", ROUNDS)]) == []


@pytest.mark.parametrize(
    ("times", "said"),
    [
        (ROUNDS, "is not shown to differ from that of dense (95 % interval "),
        ((0.5, 0.55, 0.45, 0.5, 0.52), "is 0.50 times that of dense (95 % interval "),
    ],
)
def test_an_interval_that_reaches_over_one_is_no_difference(
    times: tuple[float, ...], said: str
) -> None:
    shaken = tuple(time * by for time, by in zip(times, (1.1, 0.9, 1.0, 1.05, 0.95), strict=True))
    cut = [replace(r, criterion="ppm", asked="1.6x", width=912) for r in costs("m", shaken)]
    sentence = measured_sentences([*costs("m", ROUNDS), *cut])[0]
    assert f"the time to the first token {said}" in sentence


def test_networks_of_one_width_share_a_speed() -> None:
    """Dense does not: a criterion that removes nothing is no other network."""
    places = (None, "dense", DENSE), ("ppm", "1.6x", 912), ("random", "1.6x", 912)
    records = [record(place, "bytes", "bytes", 1e8) for place in places]
    assert not build_grid(records).shares_costs
    records.append(record(places[1], "decode", "tokens_per_sec", 15.0, n=5))
    grid = build_grid(records)
    assert grid.shares_costs
    by_label = {network.label: grid.cost(network, "decode") for network in grid.networks}
    assert by_label == {"dense": None, "ppm 1.58x": records[-1], "random 1.58x": records[-1]}
    assert [row[-1] for row in network_rows(records)[1]][1:] == ["15", "15"]
