"""What a reader asks first: of which criterion, how far, and what it saves."""

from __future__ import annotations

from dataclasses import replace

from report_records import make_records

from widthwise.findings import (
    build_findings,
    build_grid,
    closest_criterion,
    decision_sentences,
)
from widthwise.study import ItemDistances, Record


def records(near: float, far: float) -> list[Record]:
    """Prose of two criteria beside dense, `ppm` as far as `near` and `vow` as far as `far`."""

    def at(kl: float, record: Record) -> ItemDistances | None:
        ones = (1.0, 1.0)
        found = ItemDistances(tokens=(4, 4), divergence=(kl, kl), agreement=ones, acceptance=ones)
        return found if record.quantity == "prose" else None

    made = [r for r in make_records(40) if r.quantity in ("prose", "bytes")]
    cut = [r for r in made if r.criterion == "ppm"]
    return [
        *(r for r in made if r.criterion != "ppm"),
        *(replace(r, distances=at(near, r)) for r in cut),
        *(replace(r, criterion="vow", cell=f"v {r.cell}", distances=at(far, r)) for r in cut),
    ]


def test_the_criterion_is_the_one_whose_widest_cut_is_nearest() -> None:
    assert closest_criterion(build_grid(records(0.1, 0.2))) == "ppm"
    assert closest_criterion(build_grid(records(0.3, 0.2))) == "vow"
    plain = [replace(r, distances=None) for r in records(0.3, 0.2)]
    assert closest_criterion(build_grid(plain)) == "ppm"  # the first where nothing was compared
    whole = [r for r in plain if r.criterion is None]
    assert closest_criterion(build_grid(whole)) is None


def test_it_is_said_how_far_and_what_the_first_cut_saves() -> None:
    made = records(0.1, 0.2)
    grid = build_grid(made)
    (found,) = build_findings(made)
    how_far, saved = decision_sentences(grid, found.curves)
    assert how_far.startswith("Of the widths cut by ppm, none is shown to keep within a loss of")
    widest = grid.cells[grid.cut_by("ppm")[0], "bytes"].value
    dense = grid.cells[grid.networks[0], "bytes"].value
    assert widest is not None
    assert dense is not None
    less = f"{100 * (1 - widest / dense):.1f} %"
    assert saved == f"The widest cut that was measured, 2.39x, saves {less} of the bytes."
    whole = [r for r in made if r.criterion is None]
    assert decision_sentences(build_grid(whole), ()) == []
