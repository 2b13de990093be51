"""Widths by layers: what is written, and who reads it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers as hf
from checkpoint_files import logits
from families import FAMILIES, tiny, tokens
from healing_runs import BLOCK, QUICK, VOCABULARY, save_text, save_tokenizer
from layered_models import WIDTHS, ragged, run

from widthwise import apply, make_plan, prune_checkpoint
from widthwise.cut.checkpoint import Checkpoint, inspect_refit, load_model
from widthwise.errors import CheckpointError, PlanError, UnsupportedModelError
from widthwise.prune import HealSettings, heal

pytestmark = pytest.mark.usefixtures("own_modules")


# What is written


@pytest.mark.parametrize("family", FAMILIES)
def test_padded_and_compact_checkpoints_answer_as_the_model_in_memory(
    family: str, tmp_path: Path
) -> None:
    model = tiny(family)
    model.save_pretrained(tmp_path / "parent")
    plan = ragged(model)
    expected = logits(apply(model, plan))
    padded = prune_checkpoint(tmp_path / "parent", tmp_path / "padded", plan)
    plain = hf.AutoModelForCausalLM.from_pretrained(padded)
    assert torch.equal(logits(plain), expected)
    assert all(map(torch.equal, plain.parameters(), apply(model, plan).parameters()))
    folder = prune_checkpoint(tmp_path / "parent", tmp_path / "compact", plan, layout="compact")
    compact = hf.AutoModelForCausalLM.from_pretrained(folder, trust_remote_code=True)
    torch.testing.assert_close(logits(compact), expected, rtol=1e-5, atol=1e-5)  # without zeros
    assert sum(p.numel() for p in compact.parameters()) < sum(p.numel() for p in plain.parameters())
    assert compact.model.layers[0].mlp.down_proj.in_features == 17
    compact.save_pretrained(tmp_path / "again")
    again = hf.AutoModelForCausalLM.from_pretrained(tmp_path / "again", trust_remote_code=True)
    assert torch.equal(logits(again), logits(compact))
    written = again.generate(tokens(), max_new_tokens=4, do_sample=False)
    assert torch.equal(written, plain.generate(tokens(), max_new_tokens=4, do_sample=False))


def test_small_chunks_shards_biases_and_a_dtype_change_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for model in (tiny("llama", mlp_bias=True), tiny("phi3")):
        place = tmp_path / model.config.model_type
        model.save_pretrained(place / "parent")
        plan = ragged(model)
        for layout in ("padded", "compact"):
            how: Any = {"layout": layout, "dtype": "bfloat16"}
            out = prune_checkpoint(place / "parent", place / layout, plan, **how)
            whole = hf.AutoModelForCausalLM.from_pretrained(out, trust_remote_code=True)
            assert whole.dtype == torch.bfloat16
            with monkeypatch.context() as patch:
                patch.setattr("widthwise.cut.checkpoint.stream.CHUNK_BYTES", 300)
                how["max_shard_size"] = "9000B"
                small = prune_checkpoint(place / "parent", place / f"{layout}-small", plan, **how)
            again = hf.AutoModelForCausalLM.from_pretrained(small, trust_remote_code=True)
            assert len(list(small.glob("*.safetensors"))) > 2
            assert all(map(torch.equal, whole.parameters(), again.parameters()))
            card = (small / "README.md").read_text()
            hashes = [line for line in card.splitlines() if "weights sha256" in line]
            assert len(hashes) == 1
        expected = apply(model, plan).to(torch.bfloat16)
        padded = hf.AutoModelForCausalLM.from_pretrained(place / "padded")
        assert all(map(torch.equal, padded.parameters(), expected.parameters()))


def test_the_card_states_widths_and_what_they_cost(saved: Path, tmp_path: Path) -> None:
    plan = ragged(saved)
    padded = prune_checkpoint(saved, tmp_path / "padded", plan)
    card = (padded / "README.md").read_text()
    stored = sum(p.stat().st_size for p in padded.glob("*.safetensors"))
    for part in (
        "from 53 neurons a layer to between 17 and 41, by layers,",
        "- by layers: 17, 41, 29\n",
        "costs what width 41 costs",
        "| intermediate size | 53 | 17 to 41 |",
    ):
        assert part in card, part
    said = int(card.split(" bytes of weights), not")[0].rpartition("(")[2].replace(",", ""))
    assert 0 < stored - said < 8192  # the header of the file
    folder = prune_checkpoint(saved, tmp_path / "compact", plan, layout="compact")
    card = (folder / "README.md").read_text()
    size = sum(p.stat().st_size for p in folder.glob("*.safetensors"))
    said = int(card.split("| bytes of weights |")[1].split("|")[1].replace(",", ""))
    assert 0 < size - said < 8192
    assert 'from_pretrained("path/to/this/folder", trust_remote_code=True)' in card
    assert "`widthwise_compact.py` in this folder" in card


def test_a_plan_of_one_width_is_written_plain_either_way(saved: Path, tmp_path: Path) -> None:
    plan = make_plan(saved, width=20, criterion="ppm")
    folder = prune_checkpoint(saved, tmp_path / "out", plan, layout="compact")
    assert not (folder / "widthwise_compact.py").exists()
    assert "widthwise_widths" not in json.loads((folder / "config.json").read_text())
    with pytest.raises(PlanError, match="layout must be padded or compact; got 'other'"):
        prune_checkpoint(saved, tmp_path / "none", plan, layout="other")  # type: ignore[arg-type]


def test_the_code_of_a_compact_checkpoint_needs_nothing_of_ours(
    saved: Path, tmp_path: Path
) -> None:
    folder = prune_checkpoint(saved, tmp_path / "out", ragged(saved), layout="compact")
    code = (folder / "widthwise_compact.py").read_text()
    imports = [line for line in code.splitlines() if "import" in line]
    assert imports == ["from transformers import LlamaConfig, LlamaForCausalLM"]
    with pytest.raises(ValueError, match="trust_remote_code=True"):
        hf.AutoModelForCausalLM.from_pretrained(folder, trust_remote_code=False)


def test_a_compact_checkpoint_is_not_made_of_what_transformers_does_not_build(
    saved: Path, tmp_path: Path
) -> None:
    config = json.loads((saved / "config.json").read_text())
    for change in ({"architectures": ["Other"]}, {"auto_map": {}}, {"model_type": "other"}):
        (saved / "config.json").write_text(json.dumps({**config, **change}))
        plan = ragged(saved)
        with pytest.raises(UnsupportedModelError, match="use padded"):
            prune_checkpoint(saved, tmp_path / "out", plan, layout="compact")
        assert not (tmp_path / "out").exists()


# Who reads it


KEPT_COMPACT = Path(__file__).parents[2] / "kept" / "formats-41e98b0" / "refitted-by-layers"


@pytest.fixture
def compact(tmp_path: Path) -> Path:
    """A compact checkpoint with a tokenizer, beside the dense one that it was cut from."""
    dense, settings = tmp_path / "dense", {"vocab_size": VOCABULARY, "initializer_range": 0.3}
    tiny("llama", **settings, max_position_embeddings=512).save_pretrained(dense)
    save_tokenizer(dense)
    return prune_checkpoint(dense, tmp_path / "compact", ragged(dense), layout="compact")


def test_widths_are_stated_as_transformers_reads_them(compact: Path) -> None:
    stated = json.loads((compact / "config.json").read_text())
    assert stated["intermediate_size"] == max(WIDTHS)
    config = hf.LlamaConfig.from_dict({**stated, "model_type": "llama"})
    assert [each.intermediate_size for each in config.per_layer_config] == list(WIDTHS)


def test_every_command_reads_a_compact_checkpoint_and_runs_none_of_its_code(
    compact: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (compact / "widthwise_compact.py").write_text("raise RuntimeError")
    text = save_text(tmp_path / "text.txt")
    monkeypatch.setattr("widthwise.prune.calibration.text.BLOCK_TOKENS", BLOCK)
    monkeypatch.setattr("widthwise.prune.healing.text_blocks.BLOCK_TOKENS", BLOCK)
    asked = json.loads(run("inspect", compact).stdout)
    assert asked["widths"] == list(WIDTHS)
    refit = ["--refit", "--calibration", text, "--tokens", 2048, "--exact"]
    for words in (
        ["plan", compact, "--remove", "40%"],
        ["prune", compact, "--remove", "40%", *refit, "-o", tmp_path / "again"],
        ["evaluate", compact, "--suite", "embedded:piqa", "--limit", 2, "-o", tmp_path / "scores"],
    ):
        result = run(*words)
        assert result.exit_code == 0, result.output
    settings, out = HealSettings(**QUICK), tmp_path / "healed"
    heal(compact, tmp_path / "dense", out=out, text=text, settings=settings, dtype="float32")
    for folder in ("again", "healed"):
        with Checkpoint(tmp_path / folder) as checkpoint:
            assert checkpoint.is_compact
            assert checkpoint.widths == (WIDTHS if folder == "healed" else (9, 24, 16))
            if folder == "again":
                assert (inspect_refit(checkpoint) or {})["verified"]


def test_a_compact_checkpoint_is_cut_in_proportion_by_stream_and_in_memory(
    compact: Path, tmp_path: Path
) -> None:
    plan = make_plan(compact, remove="50%", align=1, criterion="ppm")
    assert plan.widths == (8, 20, 14)
    out = prune_checkpoint(compact, tmp_path / "out", plan)
    narrow = hf.AutoModelForCausalLM.from_pretrained(out, trust_remote_code=True)
    assert plan.parameters == sum(p.numel() for p in narrow.parameters())
    for code in (False, True):  # ours, and that in the folder
        with Checkpoint(compact) as checkpoint:
            dense = load_model(checkpoint)
        if code:
            dense = hf.AutoModelForCausalLM.from_pretrained(compact, trust_remote_code=True)
        result = apply(dense, plan)
        assert all(map(torch.equal, result.parameters(), narrow.parameters()))
    result.save_pretrained(tmp_path / "saved")
    again = hf.AutoModelForCausalLM.from_pretrained(tmp_path / "saved", trust_remote_code=True)
    assert torch.equal(logits(again), logits(narrow))


def test_overrides_without_code_are_loaded_and_cut_without_code(
    compact: Path, tmp_path: Path
) -> None:
    """As other programs write them; transformers reads the config and builds one width for all."""
    config = json.loads((compact / "config.json").read_text())
    dropped = ("auto_map", "architectures", "allow_global_per_layer_attribute_access")
    config = {**{k: v for k, v in config.items() if k not in dropped}, "model_type": "llama"}
    (compact / "config.json").write_text(json.dumps(config))
    (compact / "widthwise_compact.py").unlink()
    out = prune_checkpoint(
        compact, tmp_path / "out", make_plan(compact, remove="50%", align=1, criterion="ppm")
    )
    written = json.loads((out / "config.json").read_text())
    assert (written["model_type"], written["intermediate_size"]) == ("llama", 20)
    assert written["per_layer_config"] == {
        "0": {"intermediate_size": 8},
        "2": {"intermediate_size": 14},
    }
    assert not (out / "widthwise_compact.py").exists()
    with Checkpoint(out) as checkpoint:
        assert logits(load_model(checkpoint)).isfinite().all()


def test_a_compact_checkpoint_of_an_earlier_version_is_read() -> None:
    with Checkpoint(KEPT_COMPACT) as checkpoint:
        assert checkpoint.widths == (11, 5)
        assert load_model(checkpoint).model.layers[1].mlp.up_proj.out_features == 5
        assert (inspect_refit(checkpoint) or {})["verified"]


def test_widths_of_an_earlier_version_that_are_none_are_refused(tmp_path: Path) -> None:
    shutil.copytree(KEPT_COMPACT, tmp_path / "copy")
    config = json.loads((KEPT_COMPACT / "config.json").read_text())
    (tmp_path / "copy" / "config.json").write_text(json.dumps({**config, "widthwise_widths": "x"}))
    with pytest.raises(CheckpointError, match="widthwise_widths must be whole numbers above 0; go"):
        Checkpoint(tmp_path / "copy")


def test_what_is_cut_from_a_padded_checkpoint_does_not_state_its_widths(
    saved: Path, tmp_path: Path
) -> None:
    padded = prune_checkpoint(saved, tmp_path / "padded", ragged(saved))
    out = prune_checkpoint(
        padded, tmp_path / "out", make_plan(padded, width=9, align=1, criterion="ppm")
    )
    assert "widthwise_widths" not in json.loads((out / "config.json").read_text())
