"""The config that a GGUF file states, without its lists of words."""

from __future__ import annotations

from pathlib import Path

import gguf
import pytest
import transformers as hf
from converted_gguf import model_of
from tiny_gguf import write_gguf

from widthwise.assets.gguf_config import model_without_weights, quiet_transformers, refused_by_name
from widthwise.assets.gguf_file import checked_reader, gguf_reader
from widthwise.assets.gguf_keys import GgufSettings
from widthwise.errors import UnsupportedModelError


@pytest.mark.parametrize(
    ("family", "architecture"), [("llama", "llama"), ("qwen2", "qwen2"), ("gemma2", "gemma2")]
)
def test_the_model_has_the_config_that_transformers_reads(
    tmp_path: Path, family: str, architecture: str
) -> None:
    def add(writer: gguf.GGUFWriter) -> None:
        if architecture == "gemma2":
            writer.add_sliding_window(9)

    write_gguf(model_of(family), tmp_path / "a.gguf", architecture, add)
    reader = checked_reader(tmp_path / "a.gguf")
    made = model_without_weights(tmp_path / "a.gguf", reader, GgufSettings(reader), "float32")
    own = hf.AutoConfig.from_pretrained(tmp_path, gguf_file="a.gguf").to_dict()
    result = made.config.to_dict()
    same = set(own) - {"_name_or_path", "_model_name_or_path", "architectures", "dtype"}
    rotated = {"rope_parameters", "query_pre_attn_scalar", "attention_bias", "mlp_bias"}
    assert {key: result[key] for key in same - rotated} == {key: own[key] for key in same - rotated}
    assert all(parameter.is_meta for parameter in made.parameters())


def test_words_are_counted_where_no_key_says_how_many(tmp_path: Path) -> None:
    class Silent(gguf.GGUFWriter):
        def add_vocab_size(self, size: int) -> None:
            pass

    original, gguf.GGUFWriter = gguf.GGUFWriter, Silent
    try:
        write_gguf(model_of("qwen2"), tmp_path / "a.gguf", "qwen2")
    finally:
        gguf.GGUFWriter = original
    reader = gguf_reader(tmp_path / "a.gguf")
    assert "qwen2.vocab_size" not in reader.fields
    made = model_without_weights(tmp_path / "a.gguf", reader, GgufSettings(reader), "float32")
    assert made.config.vocab_size == 101


def test_any_error_names_the_file(tmp_path: Path) -> None:
    for error in (ValueError("odd"), UnsupportedModelError("odd")):
        with (
            pytest.raises(UnsupportedModelError, match=r"a\.gguf cannot be converted: .*odd"),
            refused_by_name(tmp_path / "a.gguf"),
        ):
            raise error


def test_transformers_speaks_again_afterwards() -> None:
    before = hf.logging.get_verbosity()
    with quiet_transformers():
        assert hf.logging.get_verbosity() == hf.logging.ERROR
    assert hf.logging.get_verbosity() == before
