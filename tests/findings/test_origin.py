"""A checkpoint that was cut knows its parent: what it is called, and what is said beside it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from report_records import score

from widthwise.findings import answer, answer_sentences, build_findings, build_grid, parents_of
from widthwise.prune import make_plan, prune_checkpoint
from widthwise.report import network_rows, score_tables
from widthwise.study import Record, Variant
from widthwise.study.dense_model import DenseModel, ModelFiles

CUT_FROM = {
    "parent": "models/SmolLM2",
    "parent_width": 1536,
    "parent_weights": "0123456789abcdef",
    "criterion": "activation+refit",
    "ratio": 2.389,
    "healed": False,
}


def right(n: int, of: int = 200) -> list[float]:
    return [1.0] * n + [0.0] * (of - n)


def of_model(name: str, width: int, mmlu: int, **settings: Any) -> list[Record]:
    """Scores of a whole network: piqa well above the floor of 50 in 200, and mmlu."""
    found = [score((None, "dense", width), q, right(n)) for q, n in (("piqa", 120), ("mmlu", mmlu))]
    return [replace(r, model=name, settings={**r.settings, **settings}) for r in found]


def cut(**changes: Any) -> list[Record]:
    origin = {**CUT_FROM, **changes}
    return of_model("cuts/out", 1376, 52, glu_weights="ffff", cut_from=origin)


def test_a_cut_checkpoint_is_called_what_it_is_and_its_parent_is_missed() -> None:
    said = answer(cut())
    assert said[0] == (
        "cuts/out (cut to 2.39x by activation+refit, of SmolLM2) beats the floor on piqa; on mmlu "
        "it does not."
    )
    assert said[1].startswith("Its parent SmolLM2 was not measured here, so what the cut cost is")
    assert "ense" not in " ".join(said)
    assert network_rows(cut())[1][0][:2] == ["this cut", "as stored"]
    assert {row[0] for table in score_tables(cut()) for row in table.rows} == {"this cut"}
    assert network_rows(cut(healed=True))[1][0][0] == "this healed cut"
    (found,) = build_findings(cut(healed=True))
    assert found.sentences[0].startswith(
        "cuts/out (cut to 2.39x by activation+refit and healed, of SmolLM2) beats the floor on "
        "piqa; on mmlu it does not."
    )
    assert "cannot show what a cut costs" not in " ".join(found.sentences)


def test_tasks_that_only_the_parent_knows_show_what_the_cut_cost() -> None:
    parent = of_model("SmolLM2", 1536, 110, glu_weights=CUT_FROM["parent_weights"])
    grid, others = build_grid(cut()), (build_grid(parent),)
    said = " ".join(answer_sentences(grid, {}, None, others))
    assert "Its parent SmolLM2 beats the floor on mmlu, where this one is not shown to" in said
    assert "cannot" not in said
    (_, found) = build_findings([*parent, *cut()])
    assert "beats the floor on mmlu, where this one is not shown to" in " ".join(found.sentences)


def test_a_task_that_the_parent_does_not_know_shows_no_cost() -> None:
    parent = of_model("SmolLM2", 1536, 54, glu_weights=CUT_FROM["parent_weights"])
    said = " ".join(answer_sentences(build_grid(cut()), {}, None, (build_grid(parent),)))
    assert "On mmlu its parent SmolLM2 is not shown to beat the floor either" in said


@pytest.mark.parametrize(
    ("name", "width", "settings", "is_parent"),
    [
        ("elsewhere/other", 1536, {"glu_weights": CUT_FROM["parent_weights"]}, True),
        ("models/SmolLM2", 1536, {"glu_weights": "0000"}, False),  # another of the same name
        ("models/SmolLM2", 1536, {}, True),  # records of an earlier version: by name and width
        ("models/SmolLM2", 1400, {}, False),
        ("models/other", 1536, {}, False),
    ],
)
def test_a_parent_is_known_by_its_weights(
    name: str, width: int, settings: dict[str, Any], is_parent: bool
) -> None:
    other = build_grid(of_model(name, width, 110, **settings))
    assert any(one is other for one in parents_of(build_grid(cut()), (other,))) is is_parent


def test_a_model_that_no_file_says_was_cut_goes_by_its_name() -> None:
    said = answer(of_model("org/model", 1536, 52))
    assert said[0].startswith("org/model beats the floor on piqa; on mmlu it does not, so this")
    narrow = [replace(r, model="org/model") for r in [score(("ppm", "2x", 900), "piqa", right(80))]]
    assert answer([*of_model("org/model", 1536, 52), *narrow])[0].startswith(
        "Dense org/model beats"
    )


def test_records_of_a_cut_checkpoint_hold_its_parent(saved: Path, tmp_path: Path) -> None:
    plan = make_plan(saved, width=24, align=1, criterion="ppm")
    out = prune_checkpoint(saved, tmp_path / "out", plan)
    parent, child = (
        DenseModel(files=ModelFiles(str(p)), dtype="float32", device="cpu", seed=0)
        for p in (saved, out)
    )
    (first, *_), (own, *_) = (p.counted(Variant(None, "dense")) for p in (parent, child))
    assert "cut_from" not in first.settings
    told = own.settings["cut_from"]
    assert told["parent_weights"] == first.settings["glu_weights"] != own.settings["glu_weights"]
    assert (told["criterion"], told["parent_width"], told["healed"]) == ("ppm", 53, False)
    assert Record.from_json(own.to_json()) == own
    assert parents_of(build_grid([own]), (build_grid([first]),))
