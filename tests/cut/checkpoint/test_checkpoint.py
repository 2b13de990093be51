"""Checkpoints on disk: the stream gives what memory gives, and bad files are named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers as hf
from families import FAMILIES, WIDTH, tiny, tokens
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from tiny_gguf import write_gguf

from widthwise import Plan, apply, make_plan, prune_checkpoint
from widthwise.cut.checkpoint import Checkpoint
from widthwise.cut.checkpoint.reader import read_header
from widthwise.errors import CheckpointError, OutputError, PlanError, UnsupportedModelError
from widthwise.prune import CALIBRATED, CRITERIA

KEPT = 29


def load(path: Path) -> Any:
    return hf.AutoModelForCausalLM.from_pretrained(path, dtype="auto")


def tensors(path: Path) -> dict[str, torch.Tensor]:
    return {n: t for file in path.glob("*.safetensors") for n, t in load_file(file).items()}


@pytest.mark.parametrize("family", FAMILIES)
def test_the_stream_gives_bitwise_what_memory_gives(family: str, tmp_path: Path) -> None:
    tiny(family).to(torch.bfloat16).save_pretrained(tmp_path / "parent")
    model = load(tmp_path / "parent")
    plan = make_plan(tmp_path / "parent", width=KEPT)
    out = prune_checkpoint(tmp_path / "parent", tmp_path / "out", plan)
    in_memory = apply(model, make_plan(model, width=KEPT))
    on_disk = load(out)
    assert on_disk.config.intermediate_size == KEPT
    for (name, a), (_, b) in zip(
        in_memory.named_parameters(), on_disk.named_parameters(), strict=True
    ):
        assert torch.equal(a, b), name
    with torch.no_grad():
        assert torch.equal(in_memory(tokens()).logits, on_disk(tokens()).logits)


@pytest.mark.parametrize("criterion", sorted(set(CRITERIA) - set(CALIBRATED)))
def test_plans_from_disk_and_memory_are_the_same(criterion: str, saved: Path) -> None:
    from_disk = make_plan(saved, width=KEPT, criterion=criterion)
    in_memory = make_plan(load(saved), width=KEPT, criterion=criterion)
    assert (from_disk.keep, from_disk.fingerprint) == (in_memory.keep, in_memory.fingerprint)


def test_small_chunks_change_nothing(
    saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = make_plan(saved, width=KEPT)
    whole = tensors(prune_checkpoint(saved, tmp_path / "whole", plan))
    for module in ("widthwise.prune.selection", "widthwise.cut.checkpoint.stream"):
        monkeypatch.setattr(f"{module}.CHUNK_BYTES", 200)
    assert make_plan(saved, width=KEPT).keep == plan.keep
    chunked = tensors(prune_checkpoint(saved, tmp_path / "chunked", plan))
    assert all(torch.equal(chunked[name], whole[name]) for name in whole)


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
    plan = make_plan(saved, width=KEPT)
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
    plan = make_plan(saved, to="0.9x")
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
        plan = make_plan(saved, width=KEPT)
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
    out = prune_checkpoint(saved, tmp_path / "out", make_plan(saved, width=KEPT))
    written = json.loads((out / "config.json").read_text())
    assert written["text_config"]["intermediate_size"] == KEPT
    assert "intermediate_size" not in written


def change(folder: Path, name: str, how: Any) -> None:
    """Rewrite one tensor of a single-file checkpoint."""
    stored = load_file(folder / "model.safetensors")
    stored[name] = how(stored[name])
    save_file(stored, folder / "model.safetensors", metadata={"format": "pt"})


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("part", ["gate_proj", "down_proj"])
def test_weights_that_are_not_finite_are_named(
    bad: float, part: str, saved: Path, tmp_path: Path
) -> None:
    name = f"model.layers.1.mlp.{part}.weight"
    change(
        saved,
        name,
        lambda t: t.index_put((torch.tensor([3]), torch.tensor([4])), torch.tensor(bad).to(t)),
    )
    with pytest.raises(CheckpointError, match=rf"{name} holds NaN or Inf"):
        prune_checkpoint(saved, tmp_path / "out", make_plan(saved, width=KEPT, criterion="random"))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["parent"]


def test_values_too_large_for_half_precision_are_named(saved: Path, tmp_path: Path) -> None:
    change(saved, "model.norm.weight", lambda t: t * 1e6)
    plan = make_plan(saved, width=KEPT)
    with pytest.raises(CheckpointError, match=r"model\.norm\.weight has values too large"):
        prune_checkpoint(saved, tmp_path / "out", plan, dtype="float16")
    assert not (tmp_path / "out").exists()


def test_an_overlong_or_truncated_shard_is_named(saved: Path) -> None:
    file = saved / "model.safetensors"
    data = file.read_bytes()
    for size in (len(data) - 1, len(data) // 2, 100, 7, 0):
        file.write_bytes(data[:size])
        with pytest.raises(CheckpointError, match=r"model\.safetensors: .*(truncated|header)"):
            Checkpoint(saved)
    file.write_bytes(data + b"x")
    with pytest.raises(CheckpointError, match="overlong"):
        Checkpoint(saved)


def test_a_header_that_lies_is_refused(saved: Path) -> None:
    file = saved / "model.safetensors"
    data = file.read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    header["model.norm.weight"]["shape"] = [31]
    text = json.dumps(header, separators=(",", ":")).encode().ljust(length)
    file.write_bytes(data[:8] + text + data[8 + length :])
    with pytest.raises(
        CheckpointError, match=r"tensor model\.norm\.weight does not fill its place"
    ):
        Checkpoint(saved)


@pytest.fixture
def sharded(tmp_path: Path, llama: Any) -> Path:
    llama.save_pretrained(tmp_path / "sharded", max_shard_size="20KB")
    return tmp_path / "sharded"


def test_an_incomplete_checkpoint_names_its_missing_shard(sharded: Path) -> None:
    shard = sorted(sharded.glob("*.safetensors"))[1]
    shard.unlink()
    with pytest.raises(CheckpointError, match=rf"shard {shard.name} is missing \(\d+ tensors"):
        Checkpoint(sharded)


def test_folders_that_are_no_checkpoints_are_named(saved: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(CheckpointError, match=r"no config\.json"):
        Checkpoint(tmp_path / "empty")
    (saved / "config.json").write_text("{")
    with pytest.raises(CheckpointError, match=r"config\.json: cannot be read as JSON"):
        Checkpoint(saved)


def test_pickles_and_adapters_are_refused(saved: Path, tmp_path: Path) -> None:
    (saved / "model.safetensors").rename(saved / "pytorch_model.bin")
    with pytest.raises(
        UnsupportedModelError, match=r"pytorch_model\.bin: weights must be safetens"
    ):
        Checkpoint(saved)
    (saved / "pytorch_model.bin").unlink()
    with pytest.raises(CheckpointError, match=r"neither model\.safetensors nor"):
        Checkpoint(saved)
    (saved / "adapter_config.json").write_text("{}")
    with pytest.raises(UnsupportedModelError, match=r"adapter_config\.json: this is an adapter"):
        Checkpoint(saved)


def test_a_plan_for_another_checkpoint_is_refused(saved: Path, tmp_path: Path) -> None:
    plan = make_plan(tiny("llama", seed=3), width=KEPT)
    with pytest.raises(PlanError, match="whose GLU weights are not those of"):
        prune_checkpoint(saved, tmp_path / "out", plan)
    assert not (tmp_path / "out").exists()


def test_the_parent_is_never_written_into(saved: Path) -> None:
    plan = make_plan(saved, width=KEPT)
    for out in (saved, saved / "inside", saved.parent):
        with pytest.raises(OutputError, match="must not lie in one another"):
            prune_checkpoint(saved, out, plan, force=True)


def test_a_gguf_file_is_a_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WIDTHWISE_CACHE", str(tmp_path / "cache"))
    model = tiny("llama")
    write_gguf(model, tmp_path / "tiny.gguf")
    plan = make_plan(tmp_path / "tiny.gguf", width=KEPT)
    assert plan.parent == "tiny.gguf"
    assert plan.keep == make_plan(model.to(torch.bfloat16), width=KEPT).keep
    out = prune_checkpoint(tmp_path / "tiny.gguf", tmp_path / "out", plan)
    assert load(out).config.intermediate_size == KEPT
    (tmp_path / "bad.gguf").write_bytes(b"GGUF, but not really")
    with pytest.raises(CheckpointError, match=r"bad\.gguf"):
        make_plan(tmp_path / "bad.gguf", width=KEPT)


def test_models_are_found_in_the_local_hub_cache(
    saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hub id works offline from the cache that huggingface_hub keeps."""
    from widthwise.cut.checkpoint import resolve_model

    repo = tmp_path / "hub" / "models--some--model"
    (repo / "refs").mkdir(parents=True)
    (repo / "refs" / "main").write_text("abc")
    (repo / "snapshots").mkdir()
    saved.rename(repo / "snapshots" / "abc")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    source = resolve_model("some/model")
    assert (source.path, source.name) == (repo / "snapshots" / "abc", "some/model")
    with pytest.raises(CheckpointError, match="other/model: no such folder, and the hub"):
        resolve_model("other/model")
