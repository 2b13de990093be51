"""`widthwise report`: where the page lies, and what cannot be drawn."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from report_records import DENSE, score

from widthwise.cli import main
from widthwise.report import write_report
from widthwise.study import Record, StoredStudy

PARENT, WIDE, CUT = (None, "dense", DENSE), ("ppm", "2.4x", 1376), ("ppm", "1.6x", 912)
CHANCE = ("random", "1.6x", 912)


def right(n: int, of: int = 60) -> list[float]:
    return [1.0] * n + [0.0] * (of - n)


def some() -> list[Record]:
    at = ((PARENT, 50), (WIDE, 45), (CUT, 30), (CHANCE, 25))
    return [score(place, "piqa", right(n)) for place, n in at]


def drawn(tmp_path: Path, records: list[Record]) -> str:
    path = tmp_path / "page.html"
    write_report([StoredStudy(path=tmp_path, settings={}, records=tuple(records), pending=0)], path)
    return path.read_text(encoding="utf8")


def report(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["report", *map(str, arguments)])


def folder(path: Path, records: list[Record], **settings: object) -> Path:
    path.mkdir()
    (path / "records.jsonl").write_text("".join(r.to_json() + "\n" for r in records))
    (path / "study.json").write_text(json.dumps(settings))
    return path


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
