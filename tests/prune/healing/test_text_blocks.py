"""Blocks of a text: in what order, and how many there must be."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from healing_runs import BLOCK
from transformers import AutoTokenizer

from widthwise.errors import RunError
from widthwise.prune.healing import heal
from widthwise.prune.healing.text_blocks import in_epochs, read_blocks

pytestmark = pytest.mark.usefixtures("short_blocks")


def test_the_text_is_gone_through_whole_before_it_begins_again() -> None:
    seen: list[int] = []
    for start in range(0, 21, 3):
        seen += in_epochs(7, 1, start, 3).tolist()
    epochs = [seen[i : i + 7] for i in (0, 7, 14)]
    assert all(Counter(epoch) == Counter(range(7)) for epoch in epochs)
    assert epochs[0] != epochs[1]
    assert in_epochs(7, 1, 10, 5).tolist() == seen[10:15]  # from anywhere, without the way
    assert in_epochs(7, 2, 0, 7).tolist() != epochs[0]


def test_too_little_text_is_told(child: Path, dense: Path, text: Path, tmp_path: Path) -> None:
    few = tmp_path / "few.txt"
    few.write_text(text.read_text()[:200])
    with pytest.raises(RunError, match=r"tokens; a healing needs at least 384"):
        heal(child, dense, out=tmp_path / "out", text=few)


def test_a_mix_of_texts_is_trained_on_and_held_out_by_its_shares(
    dense: Path, text: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other.txt"
    other.write_text(text.read_text().upper())
    tokenizer = AutoTokenizer.from_pretrained(dense)
    blocks = read_blocks(f"{text}:0.5,{other}:0.5", tokenizer, 64 * BLOCK)
    assert blocks.names == (str(text), str(other))
    small = tokenizer.convert_tokens_to_ids("e")
    for rows in (blocks.rows, blocks.held_out):
        share = sum(small in row for row in rows.tolist()) / len(rows)
        assert share == pytest.approx(0.5, abs=1 / len(rows))  # a block more or less
