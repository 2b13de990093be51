"""llama.cpp's converter in a process of its own: what it is shown, and what it refuses."""

from __future__ import annotations

import json
import resource
from collections.abc import Callable
from pathlib import Path

import gguf
import numpy as np
import pytest
import torch
from every_family import tiny_model
from family_trials import save_words
from healing_runs import save_tokenizer
from safetensors.torch import load_file, save_file

from widthwise.cut.checkpoint import Checkpoint, read_json
from widthwise.cut.gguf import converter
from widthwise.cut.gguf.converter import check_convertible, convert
from widthwise.errors import OutputError, RunError, UnsupportedModelError
from widthwise.notices import shown


def test_a_folder_without_a_tokenizer_is_refused(tmp_path: Path) -> None:
    tiny_model("llama").save_pretrained(tmp_path)
    with pytest.raises(UnsupportedModelError, match="holds no tokenizer"):
        check_convertible(Checkpoint(tmp_path))


@pytest.mark.parametrize(
    ("family", "setting"), [("qwen3_moe", "norm_topk_prob"), ("gemma2", "query_pre_attn_scalar")]
)
def test_a_setting_that_llama_cpp_takes_otherwise_is_refused(
    family: str, setting: str, tmp_path: Path
) -> None:
    """The tiny configs have the defaults of their classes, with which the answers differed."""
    tiny_model(family).save_pretrained(tmp_path)
    save_tokenizer(tmp_path)
    with pytest.raises(UnsupportedModelError, match=f"GGUF cannot state {setting} = "):
        check_convertible(Checkpoint(tmp_path))


@pytest.mark.parametrize(("family", "count"), [("bamba", 1), ("llama", 0)])
def test_a_family_whose_answers_differ_is_said_to(family: str, count: int, tmp_path: Path) -> None:
    tiny_model(family).save_pretrained(tmp_path)
    save_tokenizer(tmp_path)
    said: list[str] = []
    with shown(said.append):
        check_convertible(Checkpoint(tmp_path))
    assert sum("llama.cpp wrote other tokens than transformers" in text for text in said) == count


def test_a_head_that_llama_cpp_would_miss_is_asked_for(tmp_path: Path) -> None:
    tiny_model("qwen2_moe", tie_word_embeddings=True).save_pretrained(tmp_path)
    save_tokenizer(tmp_path)
    with pytest.raises(UnsupportedModelError, match="qwen2_moe only with a head of its own"):
        check_convertible(Checkpoint(tmp_path))


def test_a_missing_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny_model("llama").save_pretrained(tmp_path)
    save_tokenizer(tmp_path)
    monkeypatch.setattr(converter, "find_spec", lambda _: None)
    with pytest.raises(RunError, match=r"sentencepiece: pip install 'widthwise\[gguf\]'"):
        check_convertible(Checkpoint(tmp_path))


@pytest.mark.demo
def test_an_unknown_model_is_named_and_nothing_is_left(tmp_path: Path) -> None:
    folder = save_words("helium", tmp_path / "helium")
    (tmp_path / "work").mkdir()
    with pytest.raises(UnsupportedModelError, match="HeliumForCausalLM is no model that it knows"):
        convert(Checkpoint(folder), tmp_path / "work", tmp_path / "out.gguf", "f32")
    assert not (tmp_path / "out.gguf").exists()


@pytest.mark.long
@pytest.mark.demo
def test_an_unknown_tokenizer_is_named_by_its_folder(tmp_path: Path) -> None:
    folder = save_words("llama", tmp_path / "odd")
    save_tokenizer(folder)
    (tmp_path / "work").mkdir()
    with pytest.raises(UnsupportedModelError, match="BPE pre-tokenizer was not recognized") as told:
        convert(Checkpoint(folder), tmp_path / "work", tmp_path / "out.gguf", "f32")
    assert str(tmp_path / "work") not in str(told.value)


def named_in_config(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "mine.safetensors")
    config = {**read_json(folder / "config.json"), "transformers_weights": "mine.safetensors"}
    (folder / "config.json").write_text(json.dumps(config))


def sharded(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    names = sorted(tensors)
    places = {name: f"part-{index % 2}.safetensors" for index, name in enumerate(names)}
    for file in set(places.values()):
        save_file({name: tensors[name] for name in names if places[name] == file}, folder / file)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": places}))
    (folder / "model.safetensors").unlink()


@pytest.mark.long
@pytest.mark.demo
@pytest.mark.parametrize("arrange", [lambda _: None, named_in_config, sharded])
def test_other_weights_that_lie_in_the_folder_are_not_read(
    arrange: Callable[[Path], None], tmp_path: Path
) -> None:
    """The files of weights are those that transformers and `prune` read."""
    folder = save_words("llama", tmp_path / "tiny")
    tensors = load_file(folder / "model.safetensors")
    arrange(folder)
    wrong = {name: torch.full_like(tensor, 7) for name, tensor in tensors.items()}
    for name in ("model_old.safetensors", "model-00001-of-00001.safetensors"):
        save_file(wrong, folder / name)
    if arrange is not sharded:
        stale = {"weight_map": dict.fromkeys(wrong, "model_old.safetensors")}
        (folder / "model.safetensors.index.json").write_text(json.dumps(stale))
    if arrange is named_in_config:
        save_file(wrong, folder / "model.safetensors")
    (tmp_path / "work").mkdir()
    convert(Checkpoint(folder), tmp_path / "work", tmp_path / "out.gguf", "f32")
    written = {each.name: each.data for each in gguf.GGUFReader(tmp_path / "out.gguf").tensors}
    for stored, name in (
        ("model.embed_tokens.weight", "token_embd.weight"),
        ("model.layers.1.mlp.down_proj.weight", "blk.1.ffn_down.weight"),
    ):
        assert np.array_equal(written[name], tensors[stored].numpy())


@pytest.mark.long
@pytest.mark.demo
def test_a_file_that_grows_beyond_a_limit_is_no_fault_of_the_model(tmp_path: Path) -> None:
    folder = save_words("llama", tmp_path / "tiny")
    (tmp_path / "work").mkdir()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, limits[1]))
    try:
        with pytest.raises(OutputError, match=r"the disk is full, or a limit .*ulimit -f"):
            convert(Checkpoint(folder), tmp_path / "work", tmp_path / "out.gguf", "f32")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
