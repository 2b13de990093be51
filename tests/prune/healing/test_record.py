"""What a healed checkpoint says of its healing, in its record and on its card."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from families import WIDTH
from healing_runs import BATCH, QUICK, run
from json_results import printed_json
from safetensors.torch import load_file

from widthwise.cut.checkpoint import Checkpoint
from widthwise.errors import CheckpointError
from widthwise.prune.healing import inspect_healing

pytestmark = pytest.mark.usefixtures("short_blocks")


def test_mup_factors_are_in_the_record_the_card_and_the_weights(
    healed: Any, child: Path, dense: Path, text: Path, tmp_path: Path
) -> None:
    out = tmp_path / "scaled"
    result = run(
        "heal", child, "--dense", dense, "--text", text, "--tokens", QUICK["tokens"],
        "--batch-tokens", BATCH, "--learning-rate", "3e-3", "--dtype", "float32", "--mup-factors",
        "-o", out, "--json",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    record = json.loads((out / "widthwise_healing.json").read_text())
    printed = printed_json("heal", result)
    assert printed == {"out": str(out), **{k: v for k, v in record.items() if k != "curve"}}
    assert record["settings"]["mup_factors"] is True
    factors = record["learning_rate_factors"]
    assert [name for name in factors if not name.endswith("mlp.down_proj.weight")] == []
    assert set(factors.values()) == {WIDTH / 20}
    assert (
        "down_proj at the learning rate times dense width over width (muP)"
        in (out / "README.md").read_text()
    )
    plain = healed().out
    record = json.loads((plain / "widthwise_healing.json").read_text())
    assert record["learning_rate_factors"] is None
    name = next(iter(factors))
    one, two = (load_file(path / "model.safetensors")[name] for path in (out, plain))
    assert not torch.equal(one, two)
    same = run("heal", dense, "--dense", dense, "--mup-factors", "-o", tmp_path / "same")
    assert same.exit_code == 1


def test_inspect_works_and_the_refit_is_not_claimed(healed: Any) -> None:
    out = healed().out
    assert not (out / "widthwise_refit.json").exists()
    assert (out / "widthwise_plan.json").exists()
    result = run("inspect", out)
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["refit"] is None
    with Checkpoint(out) as checkpoint:
        found = inspect_healing(checkpoint)
    assert found is not None
    assert found["verified"] is True
    assert "curve" not in found


def test_other_weights_under_the_record_of_a_healing_are_told_apart(
    healed: Any, child: Path, tmp_path: Path
) -> None:
    out = healed().out
    copy = shutil.copytree(child, tmp_path / "copy")
    with Checkpoint(copy) as checkpoint:
        assert inspect_healing(checkpoint) is None
    shutil.copyfile(out / "widthwise_healing.json", copy / "widthwise_healing.json")
    with Checkpoint(copy) as checkpoint:
        found = inspect_healing(checkpoint)
        assert found is not None
        assert found["verified"] is False
        (copy / "widthwise_healing.json").write_text("{}")
        with pytest.raises(CheckpointError, match="cannot be read as the record of a healing"):
            inspect_healing(checkpoint)
