"""What a folder or a file of runs holds."""

from __future__ import annotations

from pathlib import Path

import pytest
from run_pages import RESULTS, lines, page_of, report, stored

from widthwise.runs import write_lines


def test_a_line_that_was_cut_off_is_no_run(tmp_path: Path) -> None:
    folder = stored(tmp_path, "word2vec", lambda old: old[:3])
    whole = page_of(folder, tmp_path / "whole.html")
    with (folder / "results.jsonl").open("a") as file:
        file.write('{"network": "limit", "wid')
    assert page_of(folder, tmp_path / "torn.html") == whole


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({}, "is not the folder of a study"),
        ({"results.jsonl": ""}, "holds no records yet: run the command that writes it first"),
        ({"results.jsonl": '{"network": "fin'}, "holds no records yet"),
        ({"results.jsonl": "[1, 2]\n"}, "is a record of no known kind; known are those of study"),
        ({"results.jsonl": '{"a": 1}\n'}, "results.jsonl:1 is a record of no known kind"),
        ({"results.jsonl": "nonsense\n"}, "results.jsonl:1 is no record"),
        ({"trials.jsonl": '{"experiment": 1, "quantities": 2}\n'}, "unknown or missing fields"),
        ({"a.jsonl": "{}\n", "b.jsonl": "{}\n"}, "several files of records (a.jsonl, b.jsonl)"),
    ],
)
def test_a_folder_without_runs_that_can_be_read_is_one_sentence(
    tmp_path: Path, files: dict[str, str], said: str
) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    result = report(tmp_path)
    assert (result.exit_code, result.stdout) == (1, "")
    assert said in result.stderr
    assert result.stderr.count("\n") == 1


def test_runs_and_studies_do_not_share_a_page(tmp_path: Path) -> None:
    study = tmp_path / "few.jsonl"
    write_lines(study, lines(RESULTS / "smollm2-demo.jsonl")[:4])
    out = tmp_path / "page.html"
    result = report(study, RESULTS / "maml", "-o", out)
    said = "holds runs of widthwise maml, which have a page of their own: name it alone"
    assert result.exit_code == 1
    assert f"left out: {RESULTS / 'maml'} {said}\n" in result.stderr
    assert "SmolLM2" in out.read_text(encoding="utf8")
    both = report(RESULTS / "maml", RESULTS / "word2vec", "-o", tmp_path / "none.html")
    assert (both.exit_code, both.stderr.count("\n")) == (1, 1)
    assert said in both.stderr
    assert not (tmp_path / "none.html").exists()
