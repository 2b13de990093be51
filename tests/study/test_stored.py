"""A study's folder as a reader finds it: whole, half done, foreign, newer, damaged."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from widthwise.errors import RunError
from widthwise.study import DEFAULT_CRITERIA, Record, append, read_study, usual_criteria


def record(cell: str) -> Record:
    return Record(
        cell=cell, model="m", criterion=None, asked="dense", width=8, expansion_ratio=2.0,
        quantity="piqa", unit="accuracy", value=0.5, n=4,
    )  # fmt: skip


def study(folder: Path, **settings: object) -> Path:
    folder.mkdir()
    (folder / "study.json").write_text(json.dumps({"widthwise": "0.1.0", **settings}))
    append(folder / "records.jsonl", [record("a"), record("b")])
    return folder


def test_a_folder_and_its_records_alone_are_read(tmp_path: Path) -> None:
    folder = study(tmp_path / "one", limit=4)
    read = read_study(folder)
    assert (read.name, read.pending, read.settings["limit"]) == ("one", 0, 4)
    assert [r.cell for r in read.records] == ["a", "b"]
    bare = read_study(folder / "records.jsonl")
    assert (bare.name, bare.settings, bare.records) == ("records", {}, read.records)
    (folder / "study.json").unlink()  # lost: the records still speak
    assert read_study(folder).records == read.records


def test_only_cells_that_are_asked_for_are_read(tmp_path: Path) -> None:
    read = read_study(study(tmp_path / "one", cells=["b", "c", "d"]))
    assert [r.cell for r in read.records] == ["b"]
    assert read.pending == 2
    assert "cells" not in read.settings


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("study.json", '{"widthwise": "9.1.0"}', "made by widthwise 9.1.0, newer than this one"),
        ("study.json", "[", "not the settings of a study"),
        ("study.json", "[1]", "not the settings of a study"),
        ("study.json", '{"cells": [1]}', "not the settings of a study"),
        ("study.json", '{"cells": 5}', "TypeError: cells must be a list of keys"),
        ("study.json", '{"cells": ["c"]}', "holds no records yet"),
        ("records.jsonl", "{}\n", r"records.jsonl:1: a record has unknown or missing fields"),
        ("records.jsonl", "", "holds no records yet"),
    ],
)
def test_what_cannot_be_read_is_said(tmp_path: Path, name: str, text: str, words: str) -> None:
    folder = study(tmp_path / "one")
    (folder / name).write_text(text)
    with pytest.raises(RunError, match=words):
        read_study(folder)


def test_records_of_a_newer_version_are_said_to_be(tmp_path: Path) -> None:
    newer = {**json.loads(record("a").to_json()), "mood": "good", "settings": {"widthwise": "9.1"}}
    (tmp_path / "records.jsonl").write_text(json.dumps(newer) + "\n")
    with pytest.raises(
        RunError, match=r"unknown or missing.*made by widthwise 9\.1, newer than this one"
    ):
        read_study(tmp_path / "records.jsonl")


@pytest.mark.parametrize("kind", ["absent", "empty", "foreign"])
def test_other_places_are_said(tmp_path: Path, kind: str) -> None:
    place = tmp_path / "place"
    if kind != "absent":
        place.mkdir()
    if kind == "foreign":
        (place / "thesis.tex").write_text("x")
    words = "no such folder" if kind == "absent" else "is not the folder of a study"
    with pytest.raises(RunError, match=words):
        read_study(place)


@pytest.mark.parametrize(
    ("file", "said"),
    [("trials.jsonl", "holds a search"), ("results.jsonl", "holds results of an experiment")],
)
def test_another_kind_of_run_is_called_what_it_is(file: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "study.json").write_text("{}")
    (tmp_path / file).write_text("{}\n")
    with pytest.raises(RunError, match=f"{said}, not a study: see it by widthwise report"):
        read_study(tmp_path)


@pytest.mark.parametrize(
    ("settings", "criteria"),
    [
        ({"widths": ["2.4x"], "criteria": ["ppm", "l2"]}, ("ppm", "l2")),
        ({"widths": [], "criteria": ["ppm"]}, DEFAULT_CRITERIA),  # which chose nothing
        ({"widths": ["2.4x"]}, DEFAULT_CRITERIA),
        ({"widths": ["2.4x"], "criteria": "ppm"}, DEFAULT_CRITERIA),
        ({"widthwise": "9.1.0", "widths": ["2.4x"], "criteria": ["l2"]}, DEFAULT_CRITERIA),
    ],
)
def test_a_study_goes_on_with_the_criteria_of_its_folder(
    settings: dict[str, object], criteria: tuple[str, ...], tmp_path: Path
) -> None:
    assert DEFAULT_CRITERIA == ("activation+refit",)
    assert usual_criteria(tmp_path / "absent") == DEFAULT_CRITERIA
    assert usual_criteria(study(tmp_path / "one", **settings)) == criteria
