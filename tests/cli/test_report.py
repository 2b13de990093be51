"""`widthwise report`: where the page lies, and what cannot be drawn."""

import json
from pathlib import Path

import pytest
from json_results import printed_json
from piqa_studies import folder, some
from run_pages import report


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda path: path / "nowhere", "no such folder"),
        (lambda path: path, "is not the folder of a study"),
        (lambda path: folder(path / "s", []), "holds no records yet"),
        (lambda path: folder(path / "s", some(), widthwise="99.0.0"), "newer than this one"),
    ],
)
def test_a_folder_that_cannot_be_drawn_is_one_sentence(
    tmp_path: Path, make: object, said: str
) -> None:
    assert callable(make)
    result = report(make(tmp_path))
    assert result.exit_code == 1
    assert result.output.startswith("Error: ")
    assert said in result.output
    assert result.output.count("\n") == 1


def test_records_of_a_newer_version_are_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "records.jsonl"
    path.write_text(json.dumps({**json.loads(some()[0].to_json()), "novel": 1}) + "\n")
    result = report(path)
    assert result.exit_code == 1
    assert "unknown or missing fields: ['novel']" in result.output


def test_one_bad_study_of_two_leaves_the_other(tmp_path: Path) -> None:
    good = folder(tmp_path / "good", some())
    result = report(good, tmp_path / "nowhere", "-o", tmp_path / "page.html")
    assert result.exit_code == 1
    assert "left out: " in result.output
    assert 'id="score-0-title">piqa' in (tmp_path / "page.html").read_text(encoding="utf8")


def test_the_page_lies_where_it_was_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = folder(tmp_path / "s", some())
    file = tmp_path / "one.jsonl"
    file.write_text((study / "records.jsonl").read_text())
    assert report(study).output == f"report: {study / 'report.html'}\n"
    found = printed_json("report", report(study, "--json"))
    assert found["report"] == str(study / "report.html")
    assert found["models"][0]["records"][0]["quantity"] == "piqa"
    assert report(file).output == f"report: {tmp_path / 'one.html'}\n"
    monkeypatch.chdir(tmp_path)
    assert report(study, file).output == "report: widthwise-report.html\n"


def test_records_are_not_written_over(tmp_path: Path) -> None:
    study = folder(tmp_path / "s", some())
    result = report(study, "-o", study / "records.jsonl")
    assert result.exit_code == 2
    assert "ends in .html" in result.output
    missing = report(study, "-o", tmp_path / "no" / "page.html")
    assert missing.exit_code == 1
    assert "cannot write the report" in missing.output
