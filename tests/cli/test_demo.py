"""The demo as a command: charts, a page, a checkpoint, and the same again."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import transformers as hf
from click.testing import CliRunner
from json_results import printed_json

from widthwise import Plan
from widthwise.cli import main
from widthwise.study import load, read_study

CELLS = 13 * 4 + 5 * 2  # parameters, bytes and two tasks; two speeds of five widths
SMALL = ["--minutes", "0", "--dtype", "float32"]


@pytest.mark.demo
@pytest.mark.usefixtures("first_documents", "quick_ceilings")
def test_a_demo_draws_reports_and_keeps_a_checkpoint(tiny_checkpoint: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    runner = CliRunner()
    result = runner.invoke(main, ["demo", str(tiny_checkpoint), "-o", str(out), *SMALL])
    assert result.exit_code == 0, result.output
    told = rf"after \d+ s, pass 1: prose 4 items, sciq 2 items: {out}/report\.html"
    assert re.search(told, result.stderr)
    records = load(out / "records.jsonl")
    assert len(records) == len({r.cell for r in records}) == CELLS
    assert {r.width for r in records} == {53, 47, 42, 37, 31}
    assert {r.criterion for r in records} == {None, "ppm", "activation+refit", "random"}
    assert read_study(out).pending == 0
    page = (out / "report.html").read_text(encoding="utf8")
    assert "<svg" in page
    assert all(name in page for name in ("▶</span> activation+refit", "●</span> ppm"))
    assert "src=" not in page
    assert "data-renewed-until" not in page  # it is finished
    folder = out / "tiny-1.47x-refitted"
    assert f"cut by activation+refit: {folder}; the README.md in it says" in result.stdout
    assert "ask prose 4 more items and sciq 14 more items" in result.stdout
    assert hf.AutoModelForCausalLM.from_pretrained(folder).config.intermediate_size == 47
    stated = json.loads(runner.invoke(main, ["inspect", str(folder)]).stdout)["refit"]
    assert (stated["criterion"], stated["verified"]) == ("activation", True)
    assert str(Plan.load(folder / "widthwise_plan.json")).startswith(f"{tiny_checkpoint}: llama")

    before = (out / "records.jsonl").read_bytes()
    again = CliRunner().invoke(main, ["demo", str(tiny_checkpoint), "-o", str(out), *SMALL])
    assert again.exit_code == 0
    assert (out / "records.jsonl").read_bytes() == before
    assert again.stdout == result.stdout
    words = ["demo", str(tiny_checkpoint), "-o", str(out), *SMALL, "--json"]
    found = printed_json("demo", CliRunner().invoke(main, words))
    assert found["checkpoint"] == str(folder)
    assert found["counts"] == {"prose": 4, "sciq": 2}


def test_no_time_at_all_is_refused() -> None:
    result = CliRunner().invoke(main, ["demo", "--minutes", "-1"])
    assert result.exit_code == 2
    assert "-1" in result.stderr
