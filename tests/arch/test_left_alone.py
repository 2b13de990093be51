"""Gated blocks of a tower are left as they are, and every command that cuts or looks names them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from command_line import prune_by_weights, run
from every_family import tiny_model
from safetensors.torch import load_file

TOWERS = {"qwen2_5_vl": "visual.blocks", "gemma4": "model.vision_tower.encoder.layers"}


@pytest.mark.parametrize("family", TOWERS)
def test_a_gated_tower_is_named_and_keeps_its_bits(family: str, tmp_path: Path) -> None:
    dense, out = tmp_path / "dense", tmp_path / "out"
    tiny_model(family).save_pretrained(dense)
    said = f"gated blocks of other parts are left as they are: {TOWERS[family]} (of width 24)"
    assert f"Note: {said}.\n" in run("plan", dense, "--remove", "40%").stderr
    assert f"Note: {said}.\n" in prune_by_weights(dense, out, "--remove", "40%").stderr
    assert json.loads(run("inspect", out).stdout)["left_alone"] == said
    before, after = (load_file(each / "model.safetensors") for each in (dense, out))
    tower = [name for name in before if name.startswith(f"{TOWERS[family]}.")]
    assert tower
    assert all(torch.equal(before[name], after[name]) for name in tower)


def test_nothing_is_named_where_all_blocks_are_cut(tmp_path: Path) -> None:
    tiny_model("mixtral").save_pretrained(tmp_path)
    assert "left as they are" not in run("plan", tmp_path, "--remove", "40%").stderr
    assert json.loads(run("inspect", tmp_path).stdout)["left_alone"] is None
