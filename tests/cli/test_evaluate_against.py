"""`widthwise evaluate --against`: a cut and what it was cut from, answer by answer."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers as hf
from click.testing import CliRunner, Result
from json_results import printed_json

from widthwise.cli import main
from widthwise.study import load

pytestmark = pytest.mark.usefixtures("first_documents")
QUICK = ["--suite", "embedded:piqa,embedded:prose", "--limit", "4", "--dtype", "float32"]


def run(*words: Any) -> Result:
    return CliRunner().invoke(main, [*(str(word) for word in words)])


@pytest.fixture(scope="module")
def cut(tiny_checkpoint: Path, tmp_path_factory: Any) -> Path:
    out: Path = tmp_path_factory.mktemp("cut") / "narrow"
    how = ["--width", "31", "--align", "1", "--criterion", "ppm"]
    result = run("prune", tiny_checkpoint, *how, "-o", out)
    assert result.exit_code == 0, result.output
    return out


def test_a_cut_beside_what_it_was_cut_from(cut: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    asked = ["evaluate", cut, "--against", *QUICK, "-o", out]  # the parent is found by itself
    result = run(*asked[:3], *asked[3:])
    assert result.exit_code == 0, result.output
    title = next(line for line in result.stdout.splitlines() if " beside " in line)
    assert title == "narrow beside tiny"
    for name in ("KL [95 %]", "same first choice", "accepted", "lost", "verdict"):
        assert name in result.stdout
    found = {r.quantity: r for r in load(out / "model" / "records.jsonl") if r.is_score}
    assert set(found) == {"piqa", "prose"}
    assert all(record.distances is not None for record in found.values())
    page = (out / "report.html").read_text(encoding="utf8")
    assert "Between the studies" in page

    again = run(*asked)  # nothing is asked again
    assert again.exit_code == 0
    assert again.stdout == result.stdout
    assert len(load(out / "model" / "records.jsonl")) == len(found) + 2  # sizes
    printed = printed_json("evaluate --against", run(*asked, "--json"))
    assert [pair["quantity"] for pair in printed["pairs"]] == ["piqa", "prose"]
    assert [model["model"] for model in printed["models"]] == ["model", "against"]


def test_half_of_it_is_gone_on_with(cut: Path, tiny_checkpoint: Path, tmp_path: Path) -> None:
    """What the dense model said is asked again where only its scores were kept."""
    whole, half = tmp_path / "whole", tmp_path / "half"
    command = ["evaluate", cut, "--against", tiny_checkpoint, *QUICK]
    assert run(*command, "-o", whole).exit_code == 0
    shutil.copytree(whole / "against", half / "against")
    result = run(*command, "-o", half)
    assert result.exit_code == 0, result.output
    mine, theirs = (
        {r.quantity: (r.value, r.distances) for r in load(out / "model" / "records.jsonl")}
        for out in (whole, half)
    )
    assert mine == theirs


def test_what_cannot_be_compared_is_said_before_anything_is_asked(
    cut: Path, tiny_checkpoint: Path, tmp_path: Path
) -> None:
    full = tmp_path / "full"
    full.mkdir()
    (full / "notes.txt").write_text("mine")
    wrong = [
        ([tiny_checkpoint, "--against"], tmp_path / "a", "has no record of what it was cut from"),
        ([cut, "--against", cut], tmp_path / "b", "is MODEL itself"),
        ([cut, "--against", tiny_checkpoint, "--to", "1x"], tmp_path / "c", "leave --to"),
        ([cut, "--against", tiny_checkpoint], full, "holds no comparison"),
    ]
    for words, out, message in wrong:
        result = run("evaluate", *words, *QUICK, "-o", out)
        assert result.exit_code != 0
        assert message in result.stderr, result.stderr
        assert not (out / "against").exists()
    assert [each.name for each in full.iterdir()] == ["notes.txt"]


def test_a_parent_of_other_weights_must_be_named(
    cut: Path, tiny_checkpoint: Path, tmp_path: Path
) -> None:
    """The record tells a name, under which another version of the model may lie by now."""
    other, moved = tmp_path / "other", tmp_path / "moved"
    model = hf.AutoModelForCausalLM.from_pretrained(tiny_checkpoint)
    with torch.no_grad():
        model.get_submodule("model.layers.0.mlp.gate_proj").weight.mul_(2)
    shutil.copytree(tiny_checkpoint, other, ignore=shutil.ignore_patterns("*.safetensors*"))
    model.save_pretrained(other)
    shutil.copytree(cut, moved)
    plan = moved / "widthwise_plan.json"
    text = plan.read_text()
    assert str(tiny_checkpoint) in text
    plan.write_text(text.replace(str(tiny_checkpoint), str(other)))
    result = run("evaluate", moved, "--against", *QUICK, "-o", tmp_path / "out")
    assert result.exit_code == 1
    assert f"the GLU weights of {other} are not those that its record names" in result.stderr
    assert not (tmp_path / "out").exists()
    named = ["--against", other, "--suite", "embedded:nosuch"]  # as named, it is not looked into
    assert "has no task" in run("evaluate", moved, *named, "-o", tmp_path / "out").stderr


def test_a_parent_that_went_away_must_be_named(cut: Path, tmp_path: Path) -> None:
    moved = tmp_path / "moved"
    shutil.copytree(cut, moved)
    plan = moved / "widthwise_plan.json"
    assert plan.is_file()
    text = plan.read_text()
    plan.write_text(text.replace('"parent": "', '"parent": "/nowhere'))
    result = run("evaluate", moved, "--against", *QUICK, "-o", tmp_path / "out")
    assert result.exit_code == 1
    assert "name its dense model" in result.stderr
