"""What a file says of its model, of any architecture."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
from tiny_gguf import save_llama

from widthwise.assets import GgufFacts, gguf_digest, gguf_facts
from widthwise.errors import CheckpointError
from widthwise.io import file_sha256


def written(path: Path, add: Any, architecture: str = "nonesuch") -> Path:
    """A file with one tensor, and what `add` adds."""
    writer = gguf.GGUFWriter(path, architecture)
    add(writer)
    writer.add_tensor("x.weight", np.zeros((2, 2), dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def test_a_file_states_its_shapes(tmp_path: Path) -> None:
    facts = gguf_facts(save_llama(tmp_path / "a.gguf", neurons=64))
    assert facts == GgufFacts(context=2048, tokens=96, width=64, hidden_size=32, file_type=None)


def test_layers_and_experts_of_an_unknown_architecture(tmp_path: Path) -> None:
    def uneven(writer: Any) -> None:
        writer.add_feed_forward_length([10, 20, 31])
        writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q4_K_M)

    def experts(writer: Any) -> None:
        writer.add_feed_forward_length(99)
        writer.add_expert_feed_forward_length(12)
        writer.add_file_type(gguf.LlamaFileType.ALL_F32)

    facts = gguf_facts(written(tmp_path / "a.gguf", uneven))
    assert (facts.width, facts.file_type, facts.tokens) == (20, "q4_k_m", 0)
    facts = gguf_facts(written(tmp_path / "b.gguf", experts))
    assert (facts.width, facts.file_type, facts.context) == (12, "f32", None)


def test_what_is_no_such_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.gguf").write_text("none")
    with pytest.raises(CheckpointError, match="is not a GGUF file"):
        gguf_facts(tmp_path / "a.gguf")


def test_a_digest_is_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WIDTHWISE_CACHE", str(tmp_path / "cache"))
    file = tmp_path / "a.gguf"
    file.write_bytes(b"some")
    os.utime(file, (1, 1))
    assert gguf_digest(file) == file_sha256(file)
