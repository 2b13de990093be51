"""A GGUF file is opened by its keys and the places of its tensors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
from converted_gguf import model_of
from tiny_gguf import write_gguf

from widthwise.assets.gguf_file import (
    checked_reader,
    gguf_reader,
    head_digest,
    refuse_unknown,
    tokenizer_digest,
)
from widthwise.errors import CheckpointError, UnsupportedModelError


def raw(field: Any) -> bytes:
    return b"".join(part.tobytes() for part in field.parts)


def test_the_reader_reads_what_the_package_reads(tmp_path: Path) -> None:
    """The bytes of every key, and the values of all but the lists of words."""

    def more(writer: Any) -> None:
        writer.add_token_scores([float(n) for n in range(101)])
        writer.add_array("llama.rope.dimension_sections", [1, 2, 3, 0])
        writer.add_array("llama.long", list(range(5000)))  # read as one part

    write_gguf(model_of(), tmp_path / "a.gguf", extra=more)
    ours, own = gguf_reader(tmp_path / "a.gguf"), gguf.GGUFReader(tmp_path / "a.gguf")
    assert list(ours.fields) == list(own.fields)
    for name, field in own.fields.items():
        assert raw(ours.fields[name]) == raw(field)
        words = name in ("tokenizer.ggml.tokens", "tokenizer.ggml.merges")
        assert ours.fields[name].contents() == ([] if words else field.contents())
    assert [(t.name, t.data_offset) for t in ours.tensors] == [
        (t.name, t.data_offset) for t in own.tensors
    ]


def test_a_list_of_words_that_is_cut_off_is_no_endless_loop(tmp_path: Path) -> None:
    write_gguf(model_of(), tmp_path / "a.gguf")
    whole = (tmp_path / "a.gguf").read_bytes()
    place = whole.index(b"tokenizer.ggml.tokens") + len(b"tokenizer.ggml.tokens") + 8
    wrong = whole[:place] + (2**62).to_bytes(8, "little") + whole[place + 8 :]
    (tmp_path / "a.gguf").write_bytes(wrong)
    with pytest.raises(ValueError, match=f"a list of {2**62} strings is cut off"):
        gguf_reader(tmp_path / "a.gguf")


@pytest.mark.parametrize("size", [5, 20, 60, 200])
def test_a_header_that_is_cut_off_is_one_sentence(size: int, tmp_path: Path) -> None:
    write_gguf(model_of(), tmp_path / "a.gguf")
    (tmp_path / "b.gguf").write_bytes((tmp_path / "a.gguf").read_bytes()[:size])
    with pytest.raises(CheckpointError) as found:
        checked_reader(tmp_path / "b.gguf")
    path = tmp_path / "b.gguf"
    assert str(found.value) == f"{path} is truncated or damaged; fetch or write it again"


def test_layers_of_several_widths_are_refused_by_one_sentence(tmp_path: Path) -> None:
    """It was "cannot be converted: 'deci'"."""
    write_gguf(model_of(), tmp_path / "a.gguf", "deci")
    with pytest.raises(UnsupportedModelError, match="has layers of several widths"):
        refuse_unknown(tmp_path / "a.gguf", gguf_reader(tmp_path / "a.gguf"))


def test_the_digest_of_a_head_sees_all_that_its_config_depends_on(tmp_path: Path) -> None:
    def digest(factors: Any) -> tuple[str, str]:
        def add(writer: Any) -> None:
            writer.add_tensor("rope_freqs.weight", np.array(factors, np.float32))

        write_gguf(model_of(), tmp_path / "a.gguf", extra=add)
        reader = checked_reader(tmp_path / "a.gguf")
        return head_digest(reader, ["1"]), tokenizer_digest(reader, ["1"])

    first, second = digest([1.0] * 8), digest([2.0] * 8)
    assert first[0] != second[0]
    assert first == digest([1.0] * 8)
    assert first[1] == second[1]
    assert head_digest(checked_reader(tmp_path / "a.gguf"), ["2"]) != second[0]


def test_tokenizers_are_told_apart(tmp_path: Path) -> None:
    write_gguf(model_of(), tmp_path / "a.gguf")
    write_gguf(model_of(), tmp_path / "b.gguf", extra=lambda w: w.add_eot_token_id(7))
    first, second = (checked_reader(tmp_path / name) for name in ("a.gguf", "b.gguf"))
    assert tokenizer_digest(first, []) != tokenizer_digest(second, [])


def test_numbers_in_the_order_of_another_machine_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.gguf"
    writer = gguf.GGUFWriter(path, "llama", endianess=gguf.GGUFEndian.BIG)
    writer.add_tensor("token_embd.weight", np.ones((4, 4), np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    with pytest.raises(UnsupportedModelError, match="byte order of another machine"):
        checked_reader(path)


@pytest.mark.parametrize("architecture", ["qwen2moe", "qwen3moe", "qwen35", "llama"])
def test_architectures_go_by_their_names_in_files(tmp_path: Path, architecture: str) -> None:
    write_gguf(model_of(), tmp_path / "a.gguf", architecture)
    refuse_unknown(tmp_path / "a.gguf", checked_reader(tmp_path / "a.gguf"))
