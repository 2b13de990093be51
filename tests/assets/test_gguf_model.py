"""What is kept of a GGUF file: its head, its tokenizer, and its weights once they are needed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from converted_gguf import model_of
from tiny_gguf import write_gguf

from widthwise.assets import GgufModel, gguf_model
from widthwise.errors import UnsupportedModelError


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the cache in which all is kept."""
    monkeypatch.setenv("WIDTHWISE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "gguf"


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_each_thing_is_made_when_it_is_asked_for(tmp_path: Path, kept: Path) -> None:
    write_gguf(model_of(), tmp_path / "tiny.gguf")
    model = GgufModel(tmp_path / "tiny.gguf")
    assert names(kept) == ["heads"]
    assert names(model.head) == [".gguf_tensors.json", "config.json", "generation_config.json"]
    assert "tokenizer.json" in names(model.tokenizer)
    assert names(kept) == ["heads", "tokenizers"]
    whole = set(names(model.head)) | set(names(model.tokenizer)) | {"model.safetensors"}
    assert set(names(model.checkpoint)) == whole - {".gguf_tensors.json"}
    assert model.checkpoint.parent == kept


def test_two_files_of_one_model_share_a_tokenizer(tmp_path: Path, kept: Path) -> None:
    for name, seed in (("a.gguf", 1), ("b.gguf", 2)):
        write_gguf(model_of(seed=seed), tmp_path / name)
    first, second = GgufModel(tmp_path / "a.gguf"), GgufModel(tmp_path / "b.gguf")
    assert (first.tokenizer, first.head) == (second.tokenizer, second.head)
    assert first.checkpoint != second.checkpoint


def test_nothing_is_made_twice(tmp_path: Path, kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_gguf(model_of(), tmp_path / "tiny.gguf")
    model = GgufModel(tmp_path / "tiny.gguf")
    made = (model.head, model.tokenizer, model.checkpoint)
    for function in ("write_head", "write_tokenizer", "write_weights"):
        monkeypatch.delattr(gguf_model, function)
    again = GgufModel(tmp_path / "tiny.gguf")
    assert (again.head, again.tokenizer, again.checkpoint) == made


def test_what_a_killed_process_left_is_made_again(tmp_path: Path, kept: Path) -> None:
    write_gguf(model_of(), tmp_path / "tiny.gguf")
    head = GgufModel(tmp_path / "tiny.gguf").head
    partial = head.parent / f".{head.name}.partial"
    (partial / head.name).mkdir(parents=True)
    (partial / head.name / "config.json").write_text("{")
    os.rename(head, tmp_path / "older")
    assert names(GgufModel(tmp_path / "tiny.gguf").head) == names(tmp_path / "older")
    assert not partial.exists()


@pytest.mark.parametrize("name", [".gguf_tensors.json", "config.json"])
@pytest.mark.parametrize("is_torn", [True, False])
def test_a_damaged_head_is_made_again(name: str, is_torn: bool, tmp_path: Path, kept: Path) -> None:
    """Every run ended with an error that named no way out."""
    write_gguf(model_of(), tmp_path / "tiny.gguf")
    file = GgufModel(tmp_path / "tiny.gguf").head / name
    whole = file.read_text()
    if is_torn:
        file.write_text(whole[: len(whole) // 2])
    else:
        file.unlink()
    model = GgufModel(tmp_path / "tiny.gguf")
    assert file.read_text() == whole
    tokenizer = model.tokenizer / "tokenizer.json"
    tokenizer.write_text("{")
    assert GgufModel(tmp_path / "tiny.gguf").tokenizer == tokenizer.parent
    assert len(tokenizer.read_text()) > 1


def test_a_head_that_cannot_be_read_leaves_nothing(tmp_path: Path, kept: Path) -> None:
    write_gguf(model_of(), tmp_path / "tiny.gguf", extra=lambda w: w.add_logit_scale(0.5))
    with pytest.raises(UnsupportedModelError, match=r"tiny\.gguf cannot be converted: .*logit_sca"):
        GgufModel(tmp_path / "tiny.gguf")
    assert names(kept / "heads") == []
