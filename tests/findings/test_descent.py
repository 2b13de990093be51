"""Cut checkpoints beside what they were made from: in sentences, in findings and on the page."""

from __future__ import annotations

import html
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from matplotlib.figure import Figure
from report_records import DENSE, score

from widthwise.cli.progress import print_study
from widthwise.findings import Grid, build_findings, build_grid, descents, kin_sentences
from widthwise.report import plot_size, write_report
from widthwise.report.cost_figures import sizes_drawn
from widthwise.report.model_results import results_of
from widthwise.report.panels import size_panels
from widthwise.report.study_comparison import compare
from widthwise.study import Record, StoredStudy

WIDTH = 880
ORIGIN = {
    "parent": "models/SmolLM2",
    "parent_width": DENSE,
    "parent_weights": "aaaa",
    "criterion": "activation+refit",
    "ratio": 1.528,
    "healed": False,
}
HEALED = {**ORIGIN, "healed": True, "healed_from": "cut", "healed_from_weights": "bbbb"}


def right(n: int, of: int = 200) -> list[float]:
    return [1.0] * n + [0.0] * (of - n)


def whole(model: str, width: int, piqa: int, **settings: Any) -> list[Record]:
    made = score((None, "dense", width), "piqa", right(piqa))
    told = {**made.settings, **settings}
    return [replace(made, model=model, cell=f"{model}-{made.cell}", settings=told)]


def dense(piqa: int = 150) -> list[Record]:
    return whole("SmolLM2", DENSE, piqa, glu_weights="aaaa")


def cut(piqa: int = 120, **changes: Any) -> list[Record]:
    return whole("cut", WIDTH, piqa, glu_weights="bbbb", cut_from={**ORIGIN, **changes})


def healed(piqa: int = 140, origin: dict[str, Any] = HEALED) -> list[Record]:
    return whole("healed", WIDTH, piqa, glu_weights="cccc", cut_from=origin)


def stored(name: str, *records: Record) -> StoredStudy:
    return StoredStudy(path=Path(name), settings={}, records=records, pending=0)


def page(tmp_path: Path, *studies: StoredStudy) -> str:
    write_report(studies, tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text(encoding="utf8")
    text = re.sub(r"<(script|style|svg).*?</\1>", "", text[text.index("<main") :], flags=re.S)
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]+>", " ", text)))


def grids(*models: list[Record]) -> list[Grid]:
    return [build_grid(records) for records in models]


OF_CUT = "cut, made from SmolLM2: piqa 0.600, its parent 0.750, -0.150 [-0.206, -0.107], degrades."
OF_HEALED = (
    "healed, made from SmolLM2: piqa 0.700, its parent 0.750, -0.050 [-0.090, -0.027], degrades."
)
HEALING = (
    "healed, healed from cut: piqa 0.700, before healing 0.600, +0.100 [+0.066, +0.149], improves."
)


def test_findings_compare_a_cut_with_its_parent_and_a_healed_one_with_both() -> None:
    parent, own, trained = build_findings([*dense(), *cut(), *healed()])
    assert parent.sentences[1:] == ("Made from it, and compared with it: cut and healed.",)
    assert OF_CUT in own.sentences
    assert [s for s in trained.sentences if s in (OF_HEALED, HEALING)] == [OF_HEALED, HEALING]
    said = " ".join((*parent.sentences, *own.sentences, *trained.sentences))
    assert "nothing to compare" not in said
    assert "not measured here" not in said


def test_what_was_asked_other_items_is_not_called_compared() -> None:
    """A page said that healed was not compared with its parent, and then that it was."""
    few = [replace(r, items=r.items[:8]) for r in healed()]
    parent, _, trained = build_findings([*dense(), *cut(), *few])
    assert parent.sentences[1:] == (
        "Made from it, and compared with it: cut.",
        "Made from it, but not compared with it: healed.",
    )
    assert "healed is not compared with SmolLM2 on piqa: 8 and 200 items." in trained.sentences


def test_the_tables_of_a_study_say_it_too(capsys: pytest.CaptureFixture[str]) -> None:
    print_study([*dense(), *cut(), *healed()])
    printed = " ".join(capsys.readouterr().out.split())
    for sentence in (OF_CUT, OF_HEALED, HEALING):
        assert sentence in printed
    assert "not measured here" not in printed


@pytest.mark.parametrize("parent_first", [True, False])
def test_a_page_says_it_first(tmp_path: Path, parent_first: bool) -> None:
    studies = [stored("ev1", *dense()), stored("ev-cut", *cut())]
    text = page(tmp_path, *(studies if parent_first else studies[::-1]))
    answer = text[: text.index("What it still knows")]
    assert OF_CUT in answer
    assert answer.index(OF_CUT) < answer.index("beats the floor")
    assert answer.count(OF_CUT) == 1
    assert "not measured here" not in text
    assert "ev-cut minus ev1 [95 %]" in text
    assert "-0.150 [-0.206, -0.107]" in text[text.index("Between the studies") :]


def test_a_cut_as_wide_comes_after_the_parent_and_is_named(tmp_path: Path) -> None:
    ppm = [replace(score(("ppm", "1.528x", WIDTH), "piqa", right(70)), model="SmolLM2")]
    ppm = [replace(r, settings={**r.settings, "glu_weights": "aaaa"}) for r in ppm]
    text = page(tmp_path, stored("ev1", *dense(), *ppm), stored("ev-cut", *cut()))
    other = (
        "On the same items of 1 task, ev-cut beside ev1 (cut beside ppm 1.53x) is shown to be "
        "better on piqa."
    )
    assert 0 <= text.index(OF_CUT) < text.index(other)
    rows = text[text.index("Between the studies") : text.index("Networks ")]
    assert rows.index("cut beside SmolLM2") < rows.index("cut beside ppm 1.53x")


def test_a_cut_of_another_model_is_no_partner() -> None:
    other = [replace(r, model="Other") for r in [score(("ppm", "2x", WIDTH), "piqa", right(70))]]
    found, _ = compare(results_of([stored("other", *other), stored("ev-cut", *cut())]))
    assert found == ()


def test_p_is_adjusted_over_all_that_were_made_from_one() -> None:
    lost = cut(144)  # of 150, so p = 2 / 2^6
    alone = descents(grids(dense(), lost))
    assert [pair.judged.p_value for pair in alone if pair.judged] == [pytest.approx(2 / 2**6)]
    more = descents(grids(dense(), lost, healed(150)))
    by_model = {(p.own.model, p.other.model): p.judged for p in more}
    of_cut = by_model["cut", "SmolLM2"]
    assert of_cut is not None
    assert of_cut.p_value == pytest.approx(3 * 2 / 2**6)


def test_records_that_do_not_say_what_was_healed_find_the_one_cut_that_is_alike() -> None:
    bare = {**ORIGIN, "healed": True}
    of = build_grid(healed(origin=bare))
    assert HEALING in kin_sentences(of, grids(dense(), cut()))
    another = [replace(r, model="other", cell="o") for r in cut(100)]
    another = [replace(r, settings={**r.settings, "glu_weights": "dddd"}) for r in another]
    assert "before healing" not in " ".join(kin_sentences(of, grids(dense(), cut(), another)))
    assert "before healing" not in " ".join(kin_sentences(of, grids(cut(ratio=2.0))))
    named = build_grid(healed())
    assert HEALING in kin_sentences(named, grids(another, cut()))


def test_a_cut_of_a_cut_is_compared_with_both() -> None:
    narrower = {**ORIGIN, "parent": "cut", "parent_width": WIDTH, "parent_weights": "bbbb"}
    again = whole("narrow", 600, 90, glu_weights="eeee", cut_from=narrower)
    said = kin_sentences(build_grid(again), grids(dense(), cut()))
    assert said[0].startswith("narrow, made from cut: piqa 0.450, its parent 0.600, -0.150 [")
    assert said[1].startswith("narrow, made by way of cut from SmolLM2: piqa 0.450, that 0.750, ")


def test_other_items_are_not_compared_and_that_is_said() -> None:
    few = [replace(r, items=r.items[:150], n=150) for r in dense()]
    said = kin_sentences(build_grid(cut()), grids(few))
    assert said == ["cut is not compared with SmolLM2 on piqa: 200 and 150 items."]
    both = kin_sentences(build_grid(cut()), grids(few, dense()))
    assert both == [OF_CUT]  # a parent that was measured twice counts where it was asked alike
    other = [replace(r, quantity="mmlu", cell="m") for r in dense()]
    assert kin_sentences(build_grid(cut()), grids(other)) == [
        "Its parent SmolLM2 was asked none of its tasks here, so what the cut cost is not seen."
    ]


def test_of_many_tasks_those_that_changed_have_numbers() -> None:
    names = [f"task{i}" for i in range(8)]
    parent = [replace(r, quantity=q, cell=f"p{q}") for q in names for r in dense()]
    own = [
        replace(r, quantity=q, cell=f"c{q}")
        for q in names
        for r in cut(120 if q == "task5" else 149)
    ]
    (said,) = kin_sentences(build_grid(own), [build_grid(parent)])
    assert said.startswith("cut, made from SmolLM2: task5 0.600, its parent 0.750, -0.150 [")
    assert said.endswith(
        "degrades; no change shown on task0, task1, task2, task3, task4, task6 and task7."
    )


def sized(records: list[Record], parameters: int) -> list[Record]:
    of = records[0]
    told = {"unit": "count", "value": float(parameters), "higher_is_better": None, "items": ()}
    more = {"standard_error": None, "floor": None, "floor_kind": None, "n": 1}
    size = replace(of, cell=f"{of.cell}-size", quantity="parameters", **told, **more)
    return [*records, size]


def test_the_size_of_a_cut_is_drawn_as_a_share_of_its_parent() -> None:
    (own,) = results_of([stored("ev-cut", *sized(cut(), 75))])
    assert size_panels(own) == []  # alone it would be all of itself
    studies = [stored("ev1", *sized(dense(), 100)), stored("ev-cut", *sized(cut(), 75))]
    parent, child = results_of(studies)
    assert parent.grid is not None
    (drawn,) = size_panels(child, (parent.grid,))
    assert "2.67x: parameters 100; 1.53x: parameters 75." in drawn.svg
    assert child.grid is not None
    ax = Figure().add_subplot()
    plot_size(sizes_drawn(child.grid, (parent.grid,)), ax)
    (line,) = (one for one in ax.lines if one.get_label() == "parameters")
    assert [float(y) for y in line.get_ydata()] == [0.75, 1.0]


def test_a_cut_is_nowhere_called_dense(tmp_path: Path) -> None:
    text = page(tmp_path, stored("ev-cut", *sized(cut(), 75)))
    networks = text[text.index("Networks What was asked") : text.index("How this was measured")]
    assert "this cut as stored 880 1.53x" in networks
    assert "dense" not in networks
