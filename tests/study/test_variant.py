"""Variants of a study: each seed draws another control, and widths follow a rule."""

from __future__ import annotations

from pathlib import Path

from study_runs import TASKS, by_place, run, settings_of


def test_each_seed_draws_another_control(tiny_checkpoint: Path, tmp_path: Path) -> None:
    settings = settings_of(tiny_checkpoint, tasks=("embedded:prose",), seeds=(0, 5))
    found = by_place(run(tmp_path, settings))
    name = tiny_checkpoint.name
    draws = [found[name, criterion, "40%", "prose"] for criterion in ("random", "random~5")]
    assert draws[0].value != draws[1].value
    alone = by_place(run(tmp_path / "5", settings_of(tiny_checkpoint, widths=("40%",), seeds=(5,))))
    # the same neurons whichever way the seed is given; another seed draws other items
    assert draws[1].width == alone[name, "random", "40%", "prose"].width


def test_the_papers_widths_follow_its_rule(tiny_checkpoint: Path, tmp_path: Path) -> None:
    """I - int(p I): of 53 neurons 10 % leave 48 where rounding the rest down leaves 47."""
    widths = ("paper 10%", "10%")
    found = run(tmp_path, settings_of(tiny_checkpoint, tasks=TASKS[:1], widths=widths))
    assert {r.asked: r.width for r in found} == {"dense": 53, "paper 10%": 48, "10%": 47}
