"""`widthwise tinynet search`: trials, report, figure and page; bad options are refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import tiny_photos
from click.testing import CliRunner
from json_results import printed_json
from run_pages import words

from widthwise.cli import main, tinynet_search
from widthwise.experiments.tinynet_search import (
    TRIALS,
)
from widthwise.experiments.tinynet_search.results import load_search
from widthwise.runs import InProcess


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    tiny_photos.register(monkeypatch)
    return tiny_photos.save_sets(tmp_path / "photos")


def run(monkeypatch: pytest.MonkeyPatch, *words: Any) -> Any:
    monkeypatch.setattr(tinynet_search, "_usual_workers", lambda: 1)
    monkeypatch.setattr("widthwise.runs.Processes", lambda make, devices: InProcess(make, "cpu"))
    return CliRunner().invoke(main, ["tinynet", "search", *map(str, words)])


def test_the_command_writes_trials_report_and_figure(
    tmp_path: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    words = ["--data", photos, "--family", "toy", "--pixels", "8-32", "--nets", 2]
    words += ["--budgets", "200k", "--seeds", 0, "--epochs", 1, "-o", out]
    result = run(monkeypatch, *words)
    assert result.exit_code == 0, result.output
    assert "2 of 2 networks drawn were trained, each with 1 seed" in result.stdout
    first, *_ = result.stderr.splitlines()
    assert first == (
        "Warning: of 2 networks no formula is fitted: it needs at least 8; take more --nets, now "
        "or when this search is gone on with"
    )
    assert "no formula: the formula needs a front of at least 8 networks; got 2" in result.stdout
    assert (out / "search.svg").read_text().startswith("<?xml")
    assert (out / "search.md").read_text().startswith("# A search for small networks\n")
    assert len((out / TRIALS).read_text().splitlines()) == 3
    assert json.loads((out / "study.json").read_text())["family"] == "toy"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--pixels", "8-3x"], "must be two numbers"),
        (["--seeds", "a"], "must be whole numbers"),
        (["--depth", "2-1"], "depth must have 0 < least <= largest"),
        (["--address", "auto"], "--address goes with --engine ray"),
    ],
)
def test_the_command_refuses_bad_options(
    photos: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], message: str
) -> None:
    result = run(monkeypatch, "--data", photos, "--family", "toy", *words)
    assert result.exit_code != 0
    assert message in result.output + str(result.exception)


def test_a_search_ends_with_its_page(
    tmp_path: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    options = ["--data", photos, "--family", "toy", "--pixels", "8-32", "--nets", 2, "-o", out]
    options += ["--budgets", "200k", "--seeds", 0, "--epochs", 1]
    result = run(monkeypatch, *options)
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines()[-1] == f"report: {out / 'report.html'}"
    text = words((out / "report.html").read_text(encoding="utf8"))
    assert "not judged: too few networks" in text
    assert "No formula was fitted" in text
    assert "There is one seed" in text
    found = printed_json("tinynet search", run(monkeypatch, *options, "--json"))
    assert (len(found["drawn"]), found["formula"], found["classes"]) == (2, None, 2)
    assert load_search(out / "trials.jsonl").classes == 2
    assert load_search(out / "trials.jsonl").is_chance
