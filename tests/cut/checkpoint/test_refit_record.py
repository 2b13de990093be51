"""What a checkpoint says of its refit, and whether its weights are those that were refitted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import transformers as hf
from healing_runs import run
from refitted import WIDTH, inspected, save_sentences, write_refitted
from safetensors.torch import load_file, save_file

from widthwise import Plan, make_plan, prune_checkpoint
from widthwise.cut.checkpoint import REFIT_FILE, Checkpoint, inspect_refit
from widthwise.errors import CheckpointError
from widthwise.prune.refitting import refit


@pytest.fixture(scope="module")
def text(tmp_path_factory: Any) -> Path:
    return save_sentences(tmp_path_factory.mktemp("text"))


@pytest.fixture(scope="module")
def written(tmp_path_factory: Any, tiny_checkpoint: Path, text: Path) -> Path:
    return write_refitted(tiny_checkpoint, text, tmp_path_factory.mktemp("written") / "out")


def test_inspect_shows_the_refit_and_verifies_it(written: Path, text: Path) -> None:
    found = inspected(written)
    assert found["verified"] is True
    assert found["criterion"] == "activation"
    assert found["sequential"] is True
    assert found["calibration"][0]["source"] == str(text)
    assert found["calibration"][0]["fit_tokens"] == 1024
    assert len(found["calibration"][0]["fingerprint"]) == 64
    assert found["plan"] == Plan.load(written / "widthwise_plan.json").digest
    assert len(found["layers"]) == 3
    for layer in found["layers"]:
        assert set(layer) == {"lam", "fit_error", "held_out_error", "sha256"}
        assert 0 < layer["fit_error"] < layer["held_out_error"] < 1
    card = (written / "README.md").read_text()
    assert "and down_proj refitted" in card
    assert f"2,048 tokens of {text}" in card


def test_cut_weights_under_the_record_of_a_refit_are_told_apart(
    written: Path, tiny_checkpoint: Path, tmp_path: Path
) -> None:
    plan = Plan.load(written / "widthwise_plan.json")
    plain = prune_checkpoint(tiny_checkpoint, tmp_path / "plain", plan)
    assert inspected(plain) is None
    (plain / REFIT_FILE).write_text((written / REFIT_FILE).read_text())
    found = inspected(plain)
    assert found["verified"] is False
    assert "down_proj of 3 of 3 layers (0, 1, 2) is not the refitted one" in found["reason"]


def test_one_changed_weight_is_found(written: Path, tmp_path: Path) -> None:
    copy = hf.AutoModelForCausalLM.from_pretrained(written)
    copy.save_pretrained(tmp_path / "copy")
    assert inspected(tmp_path / "copy") is None
    (tmp_path / "copy" / REFIT_FILE).write_text((written / REFIT_FILE).read_text())
    assert inspected(tmp_path / "copy")["verified"] is True
    file = tmp_path / "copy" / "model.safetensors"
    tensors = load_file(file)
    tensors["model.layers.1.mlp.down_proj.weight"][3, 5] += 1e-3
    save_file(tensors, file, {"format": "pt"})
    assert "of 1 of 3 layers (1) is not" in inspected(tmp_path / "copy")["reason"]


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_the_record_is_of_what_is_stored_also_in_another_dtype(
    dtype: str, tiny_checkpoint: Path, text: Path, tmp_path: Path
) -> None:
    options = [*WIDTH, "--criterion", "obs", "--refit", "--one-pass", "--calibration", text]
    out = tmp_path / "out"
    result = run(
        "prune", tiny_checkpoint, *options, "--tokens", "2048", "--dtype", dtype, "-o", out
    )
    assert result.exit_code == 0, result.output
    found = inspected(out)
    assert found["verified"] is True
    assert found["sequential"] is False
    wide = hf.AutoModelForCausalLM.from_pretrained(out, dtype=torch.float32)
    wide.save_pretrained(tmp_path / "wide")
    (tmp_path / "wide" / REFIT_FILE).write_text((out / REFIT_FILE).read_text())
    assert inspected(tmp_path / "wide")["verified"] is True


def test_a_refit_of_one_dtype_can_be_written_in_another(
    tiny_checkpoint: Path, text: Path, tmp_path: Path
) -> None:
    done = refit(tiny_checkpoint, width=20, align=1, text=text, tokens=2048, sequential=False)
    assert done.down[0].dtype == torch.float32
    out = prune_checkpoint(
        tiny_checkpoint, tmp_path / "out", done.plan, refit=done, dtype="bfloat16"
    )
    assert inspected(out)["verified"] is True
    stored = load_file(out / "model.safetensors")["model.layers.2.mlp.down_proj.weight"]
    assert torch.equal(stored, done.down[2].bfloat16())


def test_what_is_cut_from_a_refitted_checkpoint_does_not_carry_its_record(
    written: Path, tmp_path: Path
) -> None:
    out = prune_checkpoint(
        written, tmp_path / "out", make_plan(written, width=9, align=1, criterion="ppm")
    )
    assert not (out / REFIT_FILE).exists()
    assert inspected(out) is None


def test_a_damaged_record_is_told(written: Path, tmp_path: Path) -> None:
    hf.AutoModelForCausalLM.from_pretrained(written).save_pretrained(tmp_path)
    for content in ("{", "[]", '{"format": 2, "layers": []}', '{"format": 1, "layers": [{}]}'):
        (tmp_path / REFIT_FILE).write_text(content)
        with (
            Checkpoint(tmp_path) as checkpoint,
            pytest.raises(CheckpointError, match=r"widthwise_refit\.json: "),
        ):
            inspect_refit(checkpoint)
