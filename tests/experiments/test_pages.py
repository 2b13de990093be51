"""Pages of runs that are no studies: from stored records, from each command, and of bad ones."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from html_page import Page
from page_harness import say
from run_pages import RESULTS, page_of, report, stored

STORED = ("maml", "word2vec", "transfer", "tinynet-search")


@pytest.mark.parametrize("name", STORED)
def test_stored_runs_have_a_page_that_needs_nothing_else(pages: dict[str, str], name: str) -> None:
    reader = Page(pages[name])
    assert reader.open == []
    assert len(reader.ids) == len(set(reader.ids))
    assert all(one.startswith(("#", "data:")) for one in reader.references)
    assert "url(http" not in pages[name]
    assert "@import" not in pages[name]
    assert pages[name].count("<svg ") == 1
    for part in ("answer", "figure", "numbers", "method", "unknown", "provenance"):
        assert f'id="{part}"' in pages[name]


def test_the_same_runs_give_the_same_bytes(pages: dict[str, str], tmp_path: Path) -> None:
    assert page_of(RESULTS / "word2vec", tmp_path / "again.html") == pages["word2vec"]


def test_tables_sort_in_a_browser_and_nothing_overflows(
    pages: dict[str, str], tmp_path: Path
) -> None:
    page = tmp_path / "page.html"
    page.write_text(pages["maml"], encoding="utf8")
    script = """
      const table = document.querySelector("#table-networks table");
      const head = table.tHead.rows[0].cells[1].querySelector("button");
      head.click(); head.click();
      const first = [...table.tBodies[0].rows].slice(0, 3).map((row) => row.cells[1].textContent);
      return [first, document.documentElement.scrollWidth, innerWidth];
    """
    (first, wide, room), console = say(page, script, width=390)
    assert first == ["8,192", "2,048", "512"]
    assert wide <= room
    assert console == []


def null(*path: str) -> Callable[[list[Any]], list[Any]]:
    """Lines of which the second has nothing where a number must be."""

    def change(old: list[Any]) -> list[Any]:
        place = old[1]
        for name in path[:-1]:
            place = place[name]
        place[path[-1]] = None
        return old

    return change


@pytest.mark.parametrize(
    ("name", "path", "said"),
    [
        ("maml", ("test", "accuracy"), "accuracy must be a finite number, not None"),
        ("maml", ("seed",), "seed must be a whole number, not None"),
        ("maml", ("test",), "a run is missing exactly when a reason is given"),
        ("word2vec", ("score", "right"), "right must be a whole number, not None"),
        ("transfer", ("lr",), "lr must be a finite number, not None"),
        ("transfer", ("loss",), "a run is missing exactly when a reason is given"),
        ("tinynet-search", ("network", "macs"), "but its content has"),
        ("tinynet-search", ("quantities", "test", "value"), "exactly when a reason is given"),
    ],
)
def test_null_where_a_number_must_be_is_one_sentence(
    tmp_path: Path, name: str, path: tuple[str, ...], said: str
) -> None:
    result = report(stored(tmp_path, name, null(*path)))
    assert (result.exit_code, result.stdout) == (1, "")
    assert said in result.stderr
    assert result.stderr.count("\n") == 1
    assert "jsonl:2" in result.stderr
    assert not (tmp_path / name / "report.html").exists()


def test_a_page_lies_beside_its_runs_and_may_be_drawn_of_the_file(tmp_path: Path) -> None:
    folder = stored(tmp_path, "word2vec")
    assert report(folder, folder).stdout == f"report: {folder / 'report.html'}\n"
    file = shutil.copy(folder / "results.jsonl", tmp_path / "words.jsonl")
    assert report(file).stdout == f"report: {tmp_path / 'words.html'}\n"
