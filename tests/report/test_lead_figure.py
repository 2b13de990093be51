"""The first figure of a page: distances from dense, what widths cost, and one of nothing else."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from html_page import Page
from page_harness import say
from report_records import make_records

from widthwise.report import write_page
from widthwise.report.lead_figure import lead_block
from widthwise.report.model_results import model_results
from widthwise.study import ItemDistances, Record

KEPT = ("prose", "piqa", "bytes", "decode")


def records(compared: tuple[str, ...] = ("prose", "piqa")) -> list[Record]:
    """Every cut is as far from dense as its width is below that, in thousands, times 10 or so."""

    def far(record: Record) -> ItemDistances | None:
        if record.criterion is None or record.quantity not in compared:
            return None
        kl = (1536 - record.width) / 100 * (3 if record.criterion == "random" else 1)
        return ItemDistances(
            tokens=(8, 8, 8),
            divergence=(kl, 1.1 * kl, 0.9 * kl),
            agreement=(0.5, 0.5, 0.5),
            acceptance=(0.5, 0.5, 0.5),
        )

    made = [r for r in make_records(40) if r.quantity in KEPT]
    return [replace(record, distances=far(record)) for record in made]


def block(made: list[Record]) -> Any:
    return lead_block([model_results(made, made[0].model, {})])


def test_it_shows_distances_on_a_text_and_the_costs_of_every_width() -> None:
    found = block(records())
    (panel,) = found.panels
    assert [name for _, _, name in found.legend] == [
        "ppm", "random control", "bytes of the weights", "tokens a second",
    ]  # fmt: skip
    assert "Distance from dense on prose" in panel.svg
    tips = json.loads(panel.tips)
    assert [head for _, _, head, _ in tips][:2] == ["2.67x", "2.39x"]
    at_239 = {row[2]: row[3] for row in tips[1][3]}
    assert at_239["ppm"].startswith("1.60 [")
    assert at_239["random"].startswith("4.80 [")
    assert at_239["bytes of the weights"] == "0.94 times dense"
    assert re.fullmatch(r"[0-9.]+ \[[0-9.]+, [0-9.]+\] times dense", at_239["tokens a second"])
    assert panel.caption == "n = 3 items, 24 tokens; bars are 95 % intervals over items"
    assert found.notes == [
        "ppm: neurons that stay are those whose weights spread the most, from the lowest to the "
        "highest.",
        "random: neurons that stay are drawn by lot: the control, which every criterion should "
        "beat.",
    ]


def test_without_a_text_it_is_of_the_first_task_that_was_compared() -> None:
    (panel,) = block(records(("piqa",))).panels
    assert "Distance from dense on piqa" in panel.svg


def test_there_is_none_where_nothing_was_compared_or_several_studies_are() -> None:
    assert not block(records(())).panels
    made = records()
    same = model_results(made, made[0].model, {})
    assert not lead_block([same, same]).panels


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("lead") / "page.html"
    write_page(records(), path, title="A study", settings={})
    return path


def test_the_page_begins_with_it(page: Path) -> None:
    text = Page(page.read_text(encoding="utf8")).text
    decided = "none is shown to keep within a loss of 2 pp"
    told = "Next words on prose differ from the dense model's by (KL"
    parts = (decided, "Cut by ppm", "Distance from dense on prose", told, "beats the floor")
    places = [text.index(part) for part in parts]
    assert places == sorted(places)


@pytest.mark.parametrize("width", [1280, 390])
def test_it_fits_a_screen_and_a_phone(page: Path, width: int) -> None:
    script = (
        "const root = document.documentElement, svg = document.querySelector('.beside svg');"
        "return [root.scrollWidth - root.clientWidth, svg.getBoundingClientRect().width > 550]"
    )
    said, console = say(page, script, width=width)
    assert said == [0, True]
    assert console == []


def test_a_figure_is_a_picture_by_one_click(page: Path) -> None:
    script = """
    const link = [...document.querySelectorAll('.beside a')].find((a) => a.textContent === 'PNG');
    return [link.download, link.getAttribute('aria-label')];"""
    said, console = say(page, script)
    assert said == [
        "distance-from-dense-and-cost.png",
        "Distance from dense, and cost, figure as PNG",
    ]
    assert console == []


def test_method_and_provenance_are_folded_until_they_are_asked_for(page: Path) -> None:
    script = """
    const folded = () => [...document.querySelectorAll('.whole')].map((part) => part.open);
    const before = folded();
    location.hash = '#method';
    dispatchEvent(new HashChangeEvent('hashchange'));
    const after = folded();
    dispatchEvent(new Event('beforeprint'));
    return [before, after, folded()];"""
    said, console = say(page, script)
    assert said == [[False, False], [True, False], [True, True]]
    assert console == []
