"""Pages of runs that are no studies: from stored records, from each command, and of bad ones."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from html_page import Page
from page_harness import say
from run_pages import lines, page_of, report, words

from widthwise.experiments.lr_transfer import optimum_shifts
from widthwise.experiments.lr_transfer import results as transfer
from widthwise.experiments.tinynet_search.findings import tiny_findings
from widthwise.experiments.tinynet_search.markdown import judged_sentences
from widthwise.experiments.tinynet_search.results import load_search
from widthwise.experiments.tinynet_search.trials import TrialJob
from widthwise.runs import write_lines

RESULTS = Path(__file__).parents[2] / "results"
STORED = ("maml", "word2vec", "transfer", "tinynet-search")


def stored(tmp_path: Path, name: str, change: Callable[[list[Any]], Any] = lambda x: x) -> Path:
    """A folder with stored runs, changed."""
    (source,) = (RESULTS / name).glob("*.jsonl")
    folder = tmp_path / name
    folder.mkdir()
    write_lines(folder / source.name, change(lines(source)))
    return folder


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("pages")
    return {name: page_of(RESULTS / name, folder / f"{name}.html") for name in STORED}


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


def test_maml_says_what_the_records_hold(pages: dict[str, str]) -> None:
    text = words(pages["maml"])
    found = {(x["network"], x["width"]): x for x in lines(RESULTS / "maml" / "results.jsonl")}
    test = found["finite", 2]["test"]
    low, high = (
        100 * (test["accuracy"] + z * test["standard_error"]) for z in (-1.959964, 1.959964)
    )
    assert f"{100 * test['accuracy']:.1f} % at width 2 [{low:.1f}, {high:.1f}]" in text
    assert "Shown below the limit: width 2, 8, linear kernel, ReLU GP and ReLU NTK;" in text
    assert "no difference from it is shown for width 32, 128, 512, 2048 and 8192." in text
    assert "There is one seed: how far another start" in text
    assert found["finite", 2]["settings"]["data"] in text
    assert "10000 (width 2, width 8, width 32 and 6 more); 100 (ReLU GP, ReLU NTK)" in text


def test_word2vec_says_what_the_records_hold(pages: dict[str, str]) -> None:
    text = words(pages["word2vec"])
    (limit,) = (
        x["score"] for x in lines(RESULTS / "word2vec" / "results.jsonl") if x["network"] == "limit"
    )
    share = 100 * limit["right"] / limit["asked"]
    assert re.search(rf"and {share:.1f} % by the limit \[\d\d\.\d, \d\d\.\d\]", text)
    assert "those of a section share words, so that they are too narrow" in text


def test_transfer_says_the_library_s_sentences(pages: dict[str, str], tmp_path: Path) -> None:
    text = words(pages["transfer"])
    runs = [run for run, _ in transfer.load(RESULTS / "transfer" / "results.jsonl")]
    for shift in optimum_shifts(runs):
        assert shift.sentence.partition(": ")[2] in text
    few = stored(tmp_path, "transfer", lambda old: [run for run in old if run["seed"] < 4])
    text = words(page_of(few, tmp_path / "few.html"))
    assert "muP: whether it stays is not decided by these seeds." in text


def test_a_search_without_settings_claims_nothing_beside_chance(pages: dict[str, str]) -> None:
    text = words(pages["tinynet-search"])
    assert "whether networks were drawn by chance alone is not known" in text
    assert ">a random network<" not in pages["tinynet-search"]
    trials = load_search(RESULTS / "tinynet-search" / "trials.jsonl").trials
    found = tiny_findings(trials, classes=10, is_chance=False)
    assert all(said in text for said in judged_sentences(found)[:2])


def test_classes_and_the_last_proposals_come_from_the_trials(tmp_path: Path) -> None:
    found = load_search(RESULTS / "tinynet-search" / "trials.jsonl")
    assert found.classes == 10
    assert found.is_chance is None

    def refitted(old: list[Any]) -> list[Any]:
        first = next(x for x in old if x["experiment"] == "tinynet formula")
        earlier = {**first, "network": {**first["network"], "depth": 0.7}}
        work = {name: earlier[name] for name in ("experiment", "network", "settings", "seed")}
        return [*old[:1], {**earlier, "key": TrialJob(**work).key}, *old[1:]]

    folder = stored(tmp_path, "tinynet-search", refitted)
    (folder / "study.json").write_text('{"sampler": "random", "sieve": null}')
    again = load_search(folder / "trials.jsonl")
    assert again.trials == found.trials
    assert again.is_chance
    assert ">a random network<" in page_of(folder, tmp_path / "page.html")


def test_a_seed_that_is_not_finished_is_left_out_of_the_verdict(tmp_path: Path) -> None:
    folder = stored(tmp_path, "transfer", lambda old: old[:-1])
    text = words(page_of(folder, tmp_path / "page.html"))
    assert "Not finished: seed 15 has 41 of 42 runs" in text
    runs = [run for run, _ in transfer.load(folder / "results.jsonl") if run.seed < 15]
    assert optimum_shifts(runs)[0].sentence.partition(": ")[2] in text
    short = stored(tmp_path / "transfer", "transfer", lambda old: old[:50])
    text = words(page_of(short, tmp_path / "short.html"))
    assert "Not known yet: an error needs at least 2 seeds; got 1." in text


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
