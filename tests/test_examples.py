"""The examples run as they stand, each in less than a minute on two idle cores."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Any

import pytest
from scripts import ROOT, load_script

from widthwise.assets import embedded_model
from widthwise.errors import AssetError


@pytest.fixture
def embedded() -> Path:
    try:
        return embedded_model()
    except AssetError as error:
        pytest.skip(f"the embedded model cannot be had: {error}")


def run_cell(code: str, names: dict[str, Any]) -> Any:
    """Run a cell of a notebook; the value of its last line, if that is an expression."""
    *body, last = ast.parse(code).body
    if not isinstance(last, ast.Expr):
        body.append(last)
    exec(compile(ast.Module(body, []), "cell", "exec"), names)
    if isinstance(last, ast.Expr):
        return eval(compile(ast.Expression(last.value), "cell", "eval"), names)
    return None


@pytest.mark.long
@pytest.mark.demo
@pytest.mark.usefixtures("embedded")
def test_prune_from_python(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    load_script("examples/prune_from_python.py").main(tmp_path)
    *plan, text, widths = capsys.readouterr().out.strip().splitlines()
    assert "width 1376 of 1536" in "\n".join(plan)
    assert "The capital of France is" in "\n".join([*plan, text])
    assert widths == "1376 -> 816"
    assert (tmp_path / "cut" / "model.safetensors").is_file()


@pytest.mark.long
@pytest.mark.demo
@pytest.mark.usefixtures("embedded")
def test_study_notebook(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    notebook = json.loads((ROOT / "examples" / "study_notebook.ipynb").read_text(encoding="utf8"))
    names: dict[str, Any] = {}
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    shown = [run_cell("".join(cell["source"]), names) for cell in cells]
    assert all(not cell["outputs"] for cell in cells)  # stored without what a run printed
    assert "<svg" in shown[1]._repr_html_()
    assert list(shown[2]["criterion"].fillna("dense")) == ["dense", "activation+refit", "random"]
    assert "piqa" in capsys.readouterr().out
    assert shown[4].read_text(encoding="utf8").startswith("<!")


@pytest.mark.long
def test_mup_in_twenty_lines() -> None:
    """The standard parametrization wants ever lower rates as the width grows, muP the same."""
    script = load_script("examples/mup_in_twenty_lines.py")
    narrow, _, wide = script.best_rates("sp")
    assert wide <= narrow / 2
    assert set(script.best_rates("mup")) == {narrow}


@pytest.mark.long
def test_tinynet_search(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    load_script("examples/tinynet_search.py").main(tmp_path)
    text = capsys.readouterr().out
    assert "8 of 8 networks drawn were trained, each with 2 seeds" in text
    assert "| formula |" in text
    trials = (tmp_path / "search" / "trials.jsonl").read_text(encoding="utf8")
    assert trials.count('"tinynet drawn"') == 16
