"""Blocks of tokens: whole ones, which begin and end as texts of the tokenizer do."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
from healing_runs import save_tokenizer
from letters import Letters
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from widthwise.notices import shown
from widthwise.prune.calibration.text_mix import TextShare
from widthwise.prune.calibration.text_tokens import token_blocks

SIZE = 64


@pytest.fixture
def words(tmp_path: Path) -> TextShare:
    path = tmp_path / "text.txt"
    path.write_text(" ".join(f"{i} is a number, the one after {i - 1}." for i in range(60)))
    return TextShare(str(path), 1.0)


def test_blocks_are_the_beginning_of_a_text_and_the_last_is_whole(words: TextShare) -> None:
    made = token_blocks(words, Letters(), 3, SIZE, closed=False)
    text = Path(str(words)).read_text()
    assert "".join(chr(i) for row in made.rows for i in row) == text[: 3 * SIZE]
    assert (made.name, made.tokens) == (words.name, 3 * SIZE)
    whole = token_blocks(words, Letters(), 1000, SIZE, closed=False)
    assert whole.tokens == len(text) + 2  # a blank line ends each piece
    assert [len(row) for row in whole.rows] == [SIZE] * (whole.tokens // SIZE)


def test_every_block_begins_as_a_text_of_the_model_begins(words: TextShare) -> None:
    for row in token_blocks(words, Letters((1,)), 4, SIZE, closed=False).rows:
        assert len(row) == SIZE
        assert [place for place, i in enumerate(row) if i == 1] == [0]


def test_every_block_of_an_encoder_also_ends_as_a_text_of_it_ends(words: TextShare) -> None:
    for row in token_blocks(words, Letters((1,), (2,)), 4, SIZE, closed=True).rows:
        assert len(row) == SIZE
        assert [place for place, i in enumerate(row) if i in (1, 2)] == [0, SIZE - 1]
    rows = token_blocks(words, Letters((1,), (2,)), 4, SIZE, closed=False).rows
    assert not any(2 in row for row in rows)


def test_halves_of_characters_are_no_trouble(tmp_path: Path) -> None:
    """Scraped JSON holds them, and tokenizers do not take them."""
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.BPE()))
    (tmp_path / "x.jsonl").write_text('{"text": "\\ud800 abc"}\n')
    text = TextShare(str(tmp_path / "x.jsonl"), 1.0)
    assert token_blocks(text, tokenizer, 4, SIZE, closed=False).rows == []


def warnings_of(path: Path, tokenizer: Any) -> list[str]:
    told: list[str] = []
    with shown(told.append):
        token_blocks(TextShare(str(path), 1.0), tokenizer, 64, SIZE, closed=False)
    return told


def test_a_text_that_repeats_itself_is_warned_of(tmp_path: Path) -> None:
    path = tmp_path / "text.txt"
    path.write_text("the river of a year is long, and nobody came. " * 99)
    (warning,) = warnings_of(path, Letters())
    assert warning.startswith(f"Warning: {path}: it repeats itself, only ")
    draw = random.Random(0)
    path.write_text(" ".join("".join(draw.choices("abcdefgh", k=5)) for _ in range(2000)))
    assert warnings_of(path, Letters()) == []


def test_a_text_of_parts_of_characters_is_warned_of_with_their_share(tmp_path: Path) -> None:
    """One token a byte: of a character of three bytes, none is one."""
    save_tokenizer(tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    letters = "".join(chr(0x5317 + i) for i in range(900))
    (tmp_path / "text.txt").write_text(letters)
    (warning,) = warnings_of(tmp_path / "text.txt", tokenizer)
    assert "100% of its tokens are unknown to the tokenizer or only parts of a char" in warning
    (tmp_path / "text.txt").write_text(" ".join(f"{i:04} of {letters[i]}" for i in range(900)))
    (warning,) = warnings_of(tmp_path / "text.txt", tokenizer)
    assert "25% of its tokens are unknown" in warning  # 3 of 12 bytes


def test_a_text_of_unknown_words_is_warned_of(tmp_path: Path) -> None:
    tokens = Tokenizer(models.WordLevel({"?": 0, **{f"w{i}": i + 1 for i in range(99)}}, "?"))
    tokens.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=tokens, unk_token="?")
    draw = random.Random(0)
    known = (
        f"w{draw.randrange(99)} w{draw.randrange(99)} w{draw.randrange(99)}" for _ in range(999)
    )
    (tmp_path / "text.txt").write_text(" other ".join(known))
    (warning,) = warnings_of(tmp_path / "text.txt", tokenizer)
    assert "25% of its tokens are unknown to the tokenizer" in warning
