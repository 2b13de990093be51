"""Checkpoints are written in shards of any size, with config, card and plan, beside the parent."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from checkpoint_files import change, load, set_config
from families import WIDTH, tiny
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from widthwise import Plan, apply, make_plan, prune_checkpoint
from widthwise.cut.checkpoint.reader import read_header
from widthwise.errors import CheckpointError, OutputError

KEPT = 29


@settings(max_examples=15, deadline=None)  # files are written; no deadline on a shared disk
@given(data=st.data())
def test_shards_of_any_size_round_trip(data: Any, tmp_path_factory: Any) -> None:
    folder = tmp_path_factory.mktemp("shards")
    model = tiny("llama", tie_word_embeddings=data.draw(st.booleans()))
    model.save_pretrained(
        folder / "parent", max_shard_size=data.draw(st.sampled_from(["9KB", "1GB"]))
    )
    width = data.draw(st.integers(1, WIDTH - 1))
    plan = make_plan(folder / "parent", width=width, criterion="random")
    limit = data.draw(st.integers(1_000, 80_000))
    out = prune_checkpoint(folder / "parent", folder / "out", plan, max_shard_size=f"{limit}B")
    expected = apply(model, plan)
    got = load(out)
    assert all(
        torch.equal(a, b) for a, b in zip(expected.parameters(), got.parameters(), strict=True)
    )
    for file in out.glob("*.safetensors"):
        stored = read_header(file).values()
        assert len(stored) == 1 or sum(t.spec.nbytes for t in stored) <= limit


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_dtype_converts_every_float_and_the_config(dtype: str, saved: Path, tmp_path: Path) -> None:
    plan = make_plan(saved, width=KEPT, criterion="ppm")
    out = prune_checkpoint(saved, tmp_path / "out", plan, dtype=dtype)
    wanted = getattr(torch, dtype)
    expected = apply(load(saved), plan).to(wanted)
    got = load(out)
    assert got.dtype == wanted
    assert all(
        torch.equal(a, b) for a, b in zip(expected.parameters(), got.parameters(), strict=True)
    )


def test_companions_config_card_and_plan_are_written(saved: Path, tmp_path: Path) -> None:
    (saved / "additional_chat_templates").mkdir()
    (saved / "additional_chat_templates" / "rag.jinja").write_text("{{ documents }}")
    plan = make_plan(saved, to="0.9x", criterion="ppm")
    command = "widthwise prune parent --to 0.9x -o out"
    out = prune_checkpoint(saved, tmp_path / "out", plan, command=command)
    companions = ["tokenizer_config.json", "chat_template.jinja", "generation_config.json"]
    for name in [*companions, "additional_chat_templates/rag.jinja"]:
        assert (out / name).read_bytes() == (saved / name).read_bytes()
    before, after = (json.loads((p / "config.json").read_text()) for p in (saved, out))
    assert after == {**before, "intermediate_size": 28}
    assert Plan.load(out / "widthwise_plan.json") == plan
    card = (out / "README.md").read_text()
    assert card.startswith("---\nlicense: apache-2.0\n")
    for part in (command, plan.digest, "`--to 0.9x`; got: width 28", "0.875x", str(saved)):
        assert part in card, part
    assert "weights sha256" in card


def test_the_parent_hash_in_the_card_covers_every_weight(saved: Path, tmp_path: Path) -> None:
    def digest(out: str) -> str:
        plan = make_plan(saved, width=KEPT, criterion="ppm")
        card = prune_checkpoint(saved, tmp_path / out, plan) / "README.md"
        return card.read_text().split("weights sha256")[1].split("`")[1]

    first = digest("a")
    assert digest("b") == first
    change(saved, "model.embed_tokens.weight", lambda t: t.index_fill(0, torch.tensor([5]), 1.0))
    assert digest("c") != first


def test_multimodal_configs_are_updated_where_the_text_model_stands(
    saved: Path, tmp_path: Path
) -> None:
    config = json.loads((saved / "config.json").read_text())
    (saved / "config.json").write_text(json.dumps({"model_type": "x", "text_config": config}))
    out = prune_checkpoint(saved, tmp_path / "out", make_plan(saved, width=KEPT, criterion="ppm"))
    written = json.loads((out / "config.json").read_text())
    assert written["text_config"]["intermediate_size"] == KEPT
    assert "intermediate_size" not in written


def test_the_parent_is_never_written_into(saved: Path) -> None:
    plan = make_plan(saved, width=KEPT, criterion="ppm")
    for out in (saved, saved / "inside", saved.parent):
        with pytest.raises(OutputError, match="must not be inside each other"):
            prune_checkpoint(saved, out, plan, force=True)


def test_a_config_that_builds_no_model_is_refused(tmp_path: Path) -> None:
    tiny("llama").save_pretrained(tmp_path / "dense")
    plan = make_plan(tmp_path / "dense", width=20, align=1, criterion="ppm")
    set_config(tmp_path / "dense", vocab_size=-5)
    with pytest.raises(CheckpointError, match="transformers cannot load it"):
        prune_checkpoint(tmp_path / "dense", tmp_path / "out", plan)
    assert not (tmp_path / "out").exists()


def test_drafts_in_a_file_that_is_not_read_are_not_announced(tmp_path: Path) -> None:
    """Beside the weights, in a file that no index names: left out, and the config says so."""
    tiny("llama").save_pretrained(tmp_path / "dense")
    set_config(tmp_path / "dense", num_nextn_predict_layers=1)
    up = torch.ones(WIDTH, 32)
    save_file({"mtp.layers.0.mlp.up_proj.weight": up}, tmp_path / "dense" / "mtp.safetensors")
    plan = make_plan(tmp_path / "dense", width=16, align=1, criterion="ppm")
    out = prune_checkpoint(tmp_path / "dense", plan=plan, out=tmp_path / "narrow")
    assert not (out / "mtp.safetensors").exists()
    assert json.loads((out / "config.json").read_text())["num_nextn_predict_layers"] == 0
