"""llama.cpp's converter in a process of its own: what it is shown, and what it refuses."""

from __future__ import annotations

from pathlib import Path

import pytest
from every_family import tiny_model
from family_trials import save_words
from healing_runs import save_tokenizer

from widthwise.cut.checkpoint import Checkpoint
from widthwise.cut.gguf import converter
from widthwise.cut.gguf.converter import check_convertible, convert
from widthwise.errors import RunError, UnsupportedModelError


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


def test_a_missing_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny_model("llama").save_pretrained(tmp_path)
    save_tokenizer(tmp_path)
    monkeypatch.setattr(converter, "find_spec", lambda _: None)
    with pytest.raises(RunError, match=r"sentencepiece: pip install widthwise\[gguf\]"):
        check_convertible(Checkpoint(tmp_path))


@pytest.mark.demo
def test_an_unknown_model_is_named_and_nothing_is_left(tmp_path: Path) -> None:
    folder = save_words("helium", tmp_path / "helium")
    (tmp_path / "work").mkdir()
    with pytest.raises(UnsupportedModelError, match="HeliumForCausalLM is no model that it knows"):
        convert(Checkpoint(folder), tmp_path / "work", tmp_path / "out.gguf", "f32")
    assert not (tmp_path / "out.gguf").exists()


@pytest.mark.demo
def test_an_unknown_tokenizer_is_named_by_its_folder(tmp_path: Path) -> None:
    folder = save_words("llama", tmp_path / "odd")
    save_tokenizer(folder)
    (tmp_path / "work").mkdir()
    with pytest.raises(UnsupportedModelError, match="BPE pre-tokenizer was not recognized") as told:
        convert(Checkpoint(folder), tmp_path / "work", tmp_path / "out.gguf", "f32")
    assert str(tmp_path / "work") not in str(told.value)
