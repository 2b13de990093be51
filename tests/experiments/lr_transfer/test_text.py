"""Text in rows of tokens."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from widthwise.errors import RunError
from widthwise.experiments.lr_transfer import (
    TokenRows,
    read_rows,
)


def test_text_is_cut_into_rows_some_of_them_held_out(file: Path, text: TokenRows) -> None:
    assert text.vocabulary == 256
    assert text.train.shape == (501, 16)  # as many as asked for, rounded up
    assert text.held_out.shape == (33, 16)  # every sixteenth
    whole = np.frombuffer(file.read_bytes(), dtype=np.uint8)[: 534 * 16].reshape(534, 16)
    seen = torch.cat([text.train, text.held_out]).numpy()
    order = np.lexsort(seen.T), np.lexsort(whole.T)
    assert (seen[order[0]] == whole[order[1]]).all()  # every row once, on one side


def test_folders_and_packed_files_are_read_in_order(
    file: Path, text: TokenRows, tmp_path: Path
) -> None:
    content = file.read_bytes()
    (tmp_path / "b.txt").write_bytes(content[5000:])
    (tmp_path / "a.txt.gz").write_bytes(gzip.compress(content[:5000]))
    (tmp_path / ".hidden").write_bytes(b"x" * 9999)
    assert read_rows(tmp_path, tokens=16, most=500).fingerprint == text.fingerprint


def test_a_tokenizer_counts_its_own_tokens(file: Path) -> None:
    class Words:
        def __len__(self) -> int:
            return 1000

        def __call__(self, piece: str, **_: Any) -> dict[str, list[int]]:
            return {"input_ids": [len(word) for word in piece.split()]}

    found = read_rows(file, tokens=8, most=100, tokenizer=Words())
    assert found.vocabulary == 1000
    assert len(found.train) == 101
    assert int(found.train.max()) < 20


def test_text_that_cannot_be_read_is_told(file: Path, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="no such file or folder of text"):
        read_rows(tmp_path / "none", tokens=16, most=10)
    with pytest.raises(RunError, match="holds no file of text"):
        read_rows(tmp_path, tokens=16, most=10)
    (tmp_path / "cut.gz").write_bytes(gzip.compress(file.read_bytes())[:200])
    with pytest.raises(RunError, match=r"cut\.gz: cannot be read as text"):
        read_rows(tmp_path / "cut.gz", tokens=16, most=10)
    (tmp_path / "short.txt").write_text("too short")
    with pytest.raises(RunError, match="holds 9 tokens, and 1,024 are the least"):
        read_rows(tmp_path / "short.txt", tokens=16, most=10)
