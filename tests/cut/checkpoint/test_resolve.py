"""A model that is named becomes a folder on this machine."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from checkpoint_files import load
from families import tiny
from tiny_gguf import save_llama, write_gguf

from widthwise import make_plan, prune_checkpoint
from widthwise.cut.checkpoint import resolve_model
from widthwise.errors import CheckpointError

KEPT = 29


def test_a_gguf_file_is_a_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WIDTHWISE_CACHE", str(tmp_path / "cache"))
    model = tiny("llama")
    write_gguf(model, tmp_path / "tiny.gguf")
    plan = make_plan(tmp_path / "tiny.gguf", width=KEPT, criterion="ppm")
    assert plan.parent == "tiny.gguf"
    assert plan.keep == make_plan(model.to(torch.bfloat16), width=KEPT, criterion="ppm").keep
    out = prune_checkpoint(tmp_path / "tiny.gguf", tmp_path / "out", plan)
    assert load(out).config.intermediate_size == KEPT
    (tmp_path / "bad.gguf").write_bytes(b"GGUF, but not really")
    with pytest.raises(CheckpointError, match=r"bad\.gguf"):
        make_plan(tmp_path / "bad.gguf", width=KEPT, criterion="ppm")


def test_models_are_found_in_the_local_hub_cache(
    saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hub id works offline from the cache that huggingface_hub keeps."""
    commit = "c" * 40
    repo = tmp_path / "hub" / "models--some--model"
    (repo / "refs").mkdir(parents=True)
    (repo / "refs" / "main").write_text(commit)
    (repo / "snapshots").mkdir()
    saved.rename(repo / "snapshots" / commit)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    source = resolve_model("some/model")
    assert (source.path, source.name) == (repo / "snapshots" / commit, "some/model")
    with pytest.raises(CheckpointError, match="other/model: there is no such folder, and"):
        resolve_model("other/model")


def test_sizes_are_stated_before_the_model_is_read(tmp_path: Path) -> None:
    file = save_llama(tmp_path / "tiny.gguf", 96)
    assert resolve_model(file).stated == {"hidden_size": 32, "intermediate_size": 96}
    (tmp_path / "folder").mkdir()
    source = resolve_model(tmp_path / "folder")
    assert source.stated == {}
    (tmp_path / "folder" / "config.json").write_text('{"hidden_size": 7}')
    assert source.stated == {"hidden_size": 7}
    (tmp_path / "short.gguf").write_bytes(file.read_bytes()[:200])
    with pytest.raises(CheckpointError, match="is truncated or damaged"):
        _ = resolve_model(tmp_path / "short.gguf").stated
