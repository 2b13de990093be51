"""What a GGUF file says is written without reading its weights."""

from __future__ import annotations

from pathlib import Path

import gguf
import numpy as np
import pytest
from converted_gguf import model_of
from tiny_gguf import write_gguf
from transformers import AutoConfig

from widthwise.assets.gguf_file import checked_reader
from widthwise.assets.gguf_head import read_parameters, write_head
from widthwise.errors import CheckpointError, UnsupportedModelError


def test_the_head_holds_config_and_places(tmp_path: Path) -> None:
    model = model_of()
    write_gguf(model, tmp_path / "a.gguf", extra=lambda w: w.add_license("mit"))
    write_head(tmp_path / "a.gguf", checked_reader(tmp_path / "a.gguf"), tmp_path, "bfloat16")
    stated = AutoConfig.from_pretrained(tmp_path)
    assert stated.intermediate_size == model.config.intermediate_size
    assert (stated.architectures, str(stated.dtype)) == (["LlamaForCausalLM"], "torch.bfloat16")
    assert set(read_parameters(tmp_path)) == {name for name, _ in model.named_parameters()}
    assert (tmp_path / "README.md").read_text() == "---\nlicense: mit\n---\n"
    assert not list(tmp_path.glob("*.safetensors"))
    assert not list(tmp_path.glob("tokenizer*"))


def test_a_type_that_cannot_be_decoded_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    def add(writer: gguf.GGUFWriter) -> None:
        writer.add_tensor("blk.0.attn_rot_embd", np.ones((4, 4), np.int16))

    write_gguf(model_of(), tmp_path / "a.gguf", extra=add)
    with pytest.raises(UnsupportedModelError, match="attn_rot_embd of type I16, which gguf cannot"):
        write_head(tmp_path / "a.gguf", checked_reader(tmp_path / "a.gguf"), tmp_path, "bfloat16")


def changed(path: Path, key: str, value: int) -> Path:
    """The file with another value of a key, which is a whole number of 32 bits."""
    whole = bytearray(path.read_bytes())
    place = whole.index(key.encode()) + len(key) + 4
    whole[place : place + 4] = value.to_bytes(4, "little")
    path.write_bytes(whole)
    return path


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        ("llama.block_count", 99999, "llama.block_count is 99999, and it holds tensors of"),
        ("llama.attention.head_count", 0, "llama.attention.head_count is 0, and it holds atten"),
    ],
)
def test_counts_that_are_not_those_of_the_tensors_are_refused(
    key: str, value: int, reason: str, tmp_path: Path
) -> None:
    """A model of 99999 layers was made first; 0 heads were "integer modulo by zero"."""
    write_gguf(model_of(), tmp_path / "a.gguf")
    path = changed(tmp_path / "a.gguf", key, value)
    with pytest.raises(CheckpointError, match=reason):
        write_head(path, checked_reader(path), tmp_path, "bfloat16")
