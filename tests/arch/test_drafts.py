"""Draft layers: their names, the settings that announce them, and what is said of them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import transformers as hf
from command_line import prune_by_weights
from families import HIDDEN, LAYERS, WIDTH, tokens
from outside_blocks import KEPT, add, glu
from safetensors.torch import load_file

from widthwise import make_plan, prune_checkpoint
from widthwise.arch import counts_at, draft_note, mean_size, without_draft_settings
from widthwise.cut.checkpoint import Checkpoint
from widthwise.errors import UnsupportedModelError

DRAFTS = {
    "qwen3.5": ("mtp.layers.0.mlp", "mtp.fc.weight", "mtp_num_hidden_layers"),
    "mimo": ("model.mtp_layers.0.mlp", "model.mtp_layers.0.input_proj.weight", "num_mtp_layers"),
    "deepseek": (
        f"model.layers.{LAYERS}.mlp",
        f"model.layers.{LAYERS}.eh_proj.weight",
        "num_nextn_predict_layers",
    ),
    "a head of its own": ("model.eagle_head.mlp", "model.eagle_head.norm.weight", "mtp_num_layers"),
    "other names": ("model.nextn.block.mlp", "model.nextn.norm.weight", "num_nextn_modules"),
}


@pytest.mark.parametrize("name", DRAFTS)
def test_draft_layers_are_cut_and_kept_and_the_config_announces_them(
    name: str, saved: Path, tmp_path: Path
) -> None:
    block, beside, key = DRAFTS[name]
    add(saved, {**glu(block), beside: torch.ones(HIDDEN, 2 * HIDDEN)}, **{key: 1})
    out = tmp_path / "out"
    run = prune_by_weights(saved, out, "--width", KEPT, "--exact")
    assert run.exit_code == 0, run.output
    stored = load_file(out / "model.safetensors")
    assert stored[f"{block}.up_proj.weight"].shape == (KEPT, HIDDEN)
    assert torch.equal(stored[beside], torch.ones(HIDDEN, 2 * HIDDEN))
    written = json.loads((out / "config.json").read_text())
    assert (written[key], written["intermediate_size"]) == (1, KEPT)
    assert WIDTH not in {size for tensor in stored.values() for size in tensor.shape}
    assert "are kept at the width that the config states" in (out / "README.md").read_text()
    assert "are kept at the width that the config states" in run.output
    assert hf.AutoModelForCausalLM.from_pretrained(out)(tokens()).logits.isfinite().all()


def test_no_more_layers_than_are_announced_are_taken_for_drafts(saved: Path) -> None:
    more = {**glu(f"model.layers.{LAYERS}.mlp"), **glu(f"model.layers.{LAYERS + 1}.mlp")}
    add(saved, more, num_nextn_predict_layers=1)
    with pytest.raises(
        UnsupportedModelError, match=rf"layers\.{LAYERS + 1} is beyond the {LAYERS}"
    ):
        Checkpoint(saved)


def test_every_setting_that_announces_draft_layers_is_cleared() -> None:
    text = {"hidden_size": 8, "mtp_num_layers": 2, "mtp_layer_types": ["full_attention"]}
    config = {"use_mtp": True, "mtp_loss_weight": 0.3, "text_config": text, "num_layers": 4}
    assert without_draft_settings(config) == {
        **{"use_mtp": False, "mtp_loss_weight": 0.3, "num_layers": 4},
        "text_config": {"hidden_size": 8, "mtp_num_layers": 0, "mtp_layer_types": []},
    }


def test_draft_layers_count_as_bytes_and_not_as_parameters(saved: Path) -> None:
    plain = Checkpoint(saved).architecture
    add(saved, glu("mtp.layers.0.mlp"), mtp_num_hidden_layers=1)
    found = Checkpoint(saved).architecture
    for width in (WIDTH, KEPT):
        draft = 3 * width * HIDDEN * 4  # bytes of float32
        expected = replace(
            counts_at(plain, width), weight_bytes=counts_at(plain, width).weight_bytes + draft
        )
        assert counts_at(found, width) == expected
    unequal = [(WIDTH,), (KEPT,), (KEPT,)]
    parameters, weight_bytes = mean_size(plain, unequal)
    draft = 3 * WIDTH * HIDDEN * 4  # as wide as the widest layer
    assert mean_size(found, unequal) == (parameters, weight_bytes + draft)


def test_draft_layers_that_are_left_out_count_as_bytes_of_the_parent_alone(saved: Path) -> None:
    plain = Checkpoint(saved).architecture
    add(saved, {**glu("mtp.0.mlp"), "mtp.0.mlp.norm.weight": torch.ones(WIDTH)}, mtp_num_layers=1)
    found = Checkpoint(saved).architecture
    assert found.drafts is None
    draft = (3 * HIDDEN + 1) * WIDTH * 4
    assert counts_at(found).weight_bytes == counts_at(plain).weight_bytes + draft
    assert counts_at(found, KEPT) == counts_at(plain, KEPT)
    assert draft_note(found) == (
        f"draft layers (mtp: 4 tensors, {draft:,} bytes) are left out: mtp.0.mlp.norm.weight is "
        "not part of a plain GLU block; widthwise does not know how to cut it"
    )


def test_draft_layers_of_another_width_travel(saved: Path, tmp_path: Path) -> None:
    draft = glu("mtp.layers.0.mlp", width=37)
    add(saved, draft, mtp_num_hidden_layers=1)
    out = prune_checkpoint(
        saved, tmp_path / "out", make_plan(saved, width=KEPT, align=1, criterion="ppm")
    )
    stored = load_file(out / "model.safetensors")
    assert all(torch.equal(stored[name], tensor) for name, tensor in draft.items())
    assert json.loads((out / "config.json").read_text())["mtp_num_hidden_layers"] == 1
