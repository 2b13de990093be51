"""A GGUF file made out of another one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import gguf
import numpy as np
import pytest
from families import tiny
from tiny_gguf import write_gguf

from widthwise.assets import gguf_reader
from widthwise.cut.gguf.layout import Entry, file_bytes, filled, head, whole_number
from widthwise.errors import CheckpointError


def copied(source: Path, out: Path, changed: dict[str, bytes]) -> int:
    reader = gguf_reader(source)
    entries = [Entry.of(tensor) for tensor in reader.tensors]
    with open(out, "wb") as file:
        file.write(head(reader, entries, changed))
        for entry in entries:
            for block in filled(reader, entry, [entry.tensor.data.tobytes()]):
                file.write(block)
    return file_bytes(reader, entries, changed)


def test_a_copy_has_the_same_bytes_and_a_changed_key_another_value(tmp_path: Path) -> None:
    write_gguf(tiny("llama"), tmp_path / "a.gguf")
    size = copied(tmp_path / "a.gguf", tmp_path / "b.gguf", {})
    assert size == (tmp_path / "b.gguf").stat().st_size
    assert (tmp_path / "a.gguf").read_bytes() == (tmp_path / "b.gguf").read_bytes()
    changed = {
        "general.file_type": whole_number("general.file_type", 7),  # which was not there
        "llama.feed_forward_length": whole_number("llama.feed_forward_length", [3, 4]),
    }
    size = copied(tmp_path / "a.gguf", tmp_path / "c.gguf", changed)
    assert size == (tmp_path / "c.gguf").stat().st_size
    before, after = (gguf.GGUFReader(tmp_path / name) for name in ("a.gguf", "c.gguf"))
    assert after.fields["general.file_type"].contents() == 7
    assert after.fields["llama.feed_forward_length"].contents() == [3, 4]
    assert set(after.fields) == {*before.fields, "general.file_type"}
    for old, new in zip(before.tensors, after.tensors, strict=True):
        assert old.name == new.name
        assert np.array_equal(old.data, new.data)


def test_a_tensor_of_another_size_than_its_type_says_is_refused(tmp_path: Path) -> None:
    write_gguf(tiny("llama"), tmp_path / "a.gguf")
    reader = gguf_reader(tmp_path / "a.gguf")
    entry = Entry.of(reader.tensors[0])
    wrong = replace(entry, shape=(*entry.shape[:-1], entry.shape[-1] + 1))
    with pytest.raises(CheckpointError, match="is not stored as its type says"):
        list(filled(reader, wrong, [entry.tensor.data.tobytes()]))
