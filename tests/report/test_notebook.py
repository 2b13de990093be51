"""A study in a notebook: its records as a table, its findings, itself at a glance."""

import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from report_records import DENSE, described, score

import widthwise
from widthwise.errors import RunError
from widthwise.report import StudyView
from widthwise.study import Record

PARENT, CUT, CHANCE = (None, "dense", DENSE), ("ppm", "1.6x", 912), ("random", "1.6x", 912)


def right(n: int, of: int = 60) -> list[float]:
    return [1.0] * n + [0.0] * (of - n)


def records() -> list[Record]:
    at = ((PARENT, 50, 14), (CUT, 30, 13), (CHANCE, 20, 15))
    found = [score(place, "piqa", right(n)) for place, n, _ in at]
    found += [score(place, "mm<lu", right(n)) for place, _, n in at]
    return [replace(r, settings={**r.settings, **described("acc,none")}) for r in found]


@pytest.fixture
def study(tmp_path: Path) -> StudyView:
    path = tmp_path / "study.jsonl"
    path.write_text("".join(record.to_json() + "\n" for record in records()))
    return widthwise.open_study(path)


def test_records_are_rows_and_settings_columns(study: StudyView) -> None:
    frame = study.records()
    assert len(frame) == 6
    assert list(frame["value"]) == [r.value for r in records()]
    assert set(frame["settings.dtype"]) == {"bfloat16"}
    assert frame["settings.metrics"][0] == {"acc,none": 0.4}
    assert frame["criterion"].isna().sum() == 2
    assert "settings" not in frame


def test_findings_are_those_of_the_records(study: StudyView) -> None:
    (found,) = study.findings()
    assert found.model == "SmolLM2-135M-Instruct"
    assert {curve.quantity for curve in found.curves} == {"piqa", "mm<lu"}


def test_the_report_is_written(study: StudyView, tmp_path: Path) -> None:
    path = study.report(tmp_path / "page.html")
    assert path.read_text(encoding="utf8").startswith("<!doctype html>")


def test_it_shows_itself(study: StudyView) -> None:
    text = study._repr_html_()
    assert text.count("<svg") == 2
    assert "first shown to degrade at" in text
    assert "mm<lu" not in text
    assert "mm&lt;lu" in text
    row = text[text.index("<tr><th>piqa") :]
    cells = re.findall(r"<td>(.*?)</td>", row[: row.index("</tr>")])
    assert cells == ["0.250", "0.833", "▼ 0.500"]
    row = text[text.index("<tr><th>mm&lt;lu") :]
    assert re.findall(r"<td>(.*?)</td>", row[: row.index("</tr>")])[1] == "○ 0.233"
    assert "SmolLM2" in repr(study)


def test_two_outputs_share_no_identifier(study: StudyView, tmp_path: Path) -> None:
    other = tmp_path / "other.jsonl"
    other.write_text("".join(record.to_json() + "\n" for record in records()))
    texts = study._repr_html_(), widthwise.open_study(other)._repr_html_()
    first, second = (set(re.findall(r'id="([^"]+)"', text)) for text in texts)
    assert first
    assert not first & second


def test_no_pandas_is_said(study: StudyView, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(RunError, match="pip install pandas"):
        study.records()


def test_opening_a_study_is_loaded_when_asked_for() -> None:
    code = (
        "import sys, widthwise\n"
        "assert not any(m.startswith('widthwise.report') for m in sys.modules)\n"
        "widthwise.open_study\n"
        "heavy = {'torch', 'scipy', 'matplotlib', 'pandas'} & set(sys.modules)\n"
        "sys.exit(str(heavy) if heavy else 0)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        widthwise.nothing  # noqa: B018  an attribute that is asked for
