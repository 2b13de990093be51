"""Mixes of texts: how they are written, and that each half holds each text by its share."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
from healing_runs import run, save_tokenizer
from transformers import AutoTokenizer

from widthwise.errors import RunError
from widthwise.prune.calibration import BLOCK_TOKENS, TextRequest, read_text
from widthwise.prune.calibration.text_mix import (
    TextShare,
    apportioned,
    is_named,
    texts_of,
    whole_paths,
)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def two(here: Path) -> Path:
    """Two texts of letters that the other has not."""
    (here / "code.txt").write_text(words(LETTERS))
    (here / "prose.txt").write_text(words(LETTERS.upper()))
    return here


LETTERS = "abcdefghijklmnopqrstuvwx"


def words(letters: str, count: int = 6000) -> str:
    draw = random.Random(0)
    return " ".join("".join(draw.choices(letters, k=6)) for _ in range(count))


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("tokenizer")
    save_tokenizer(folder)
    return AutoTokenizer.from_pretrained(folder)


CODE = TextShare("code.txt", 0.7)


@pytest.mark.usefixtures("two")
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (None, (TextShare(None, 1.0),)),
        ("embedded", (TextShare(None, 1.0),)),
        ("code.txt", (TextShare("code.txt", 1.0),)),
        ("code.txt:0.7,embedded:0.3", (CODE, TextShare(None, 0.3))),
        ("code.txt:70%, embedded:.3", (CODE, TextShare(None, 0.3))),
        ([("code.txt", 0.7), ("embedded", 0.3)], (CODE, TextShare(None, 0.3))),
        ("code.txt:1", (TextShare("code.txt", 1.0),)),
        ("a/b:2021", (TextShare("a/b:2021", 1.0),)),
        ("a/b:2021:0.7,a/b:en:0.3", (TextShare("a/b:2021", 0.7), TextShare("a/b:en", 0.3))),
    ],
)
def test_texts_and_their_shares(text: Any, expected: tuple[TextShare, ...]) -> None:
    assert texts_of(text) == expected


def test_a_path_that_exists_wins_over_the_signs_of_a_mix(two: Path) -> None:
    for name in ("a:0.7,b:0.3", "x,y", "c:1", "embedded"):
        (two / name).write_text("words")
        assert texts_of(name) == (TextShare(name, 1.0),)
    mixed = texts_of("a:0.7,b:0.3:0.5,x,y:0.25,c:1:0.25")
    assert mixed == (TextShare("a:0.7,b:0.3", 0.5), TextShare("x,y", 0.25), TextShare("c:1", 0.25))
    assert texts_of("embedded:0.5,code.txt:0.5")[0].name == "embedded"  # the file


@pytest.mark.usefixtures("two")
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("code.txt:0.7,embedded:0.2", "those of code.txt and embedded add up to 0.9"),
        ("code.txt:0.7", "those of code.txt add up to 0.7"),
        ("code.txt:0.7,embedded", "embedded: has no share; in a mix, each text needs one"),
        ("code.txt:0.5,./code.txt:0.5", r"code\.txt: is in the mix twice, also as \./code\.txt"),
        (".:0.5,code.txt:0.5", r"code\.txt: is in the mix twice, also as \."),
        ("embedded:0.5,embedded:0.5", "embedded: is in the mix twice"),
        ("code.txt:0.0,embedded:1", "its share must be above 0 and at most 1; got 0"),
        ("code.txt:170%,embedded:0.3", "its share must be above 0 and at most 1; got 1.7"),
        ([("code.txt", 0.7), ("embedded",)], r"a pair of a name and a share.*got \('embedded',\)"),
        ([("code.txt", "0.7")], r"a pair of a name and a share"),
        ("no.txt:0.7,embedded:0.3", r"no\.txt: no such file or folder of text"),
        ("code.txt:0.999,embedded:0.001", r"embedded: 0\.001 of 65,536 tokens is less than a bl"),
        (":0.7,embedded:0.3", "got an empty name"),
    ],
)
def test_a_mix_that_cannot_be_is_refused_before_anything_is_read(text: Any, message: str) -> None:
    with pytest.raises(RunError, match=message):
        TextRequest(text=text)


def test_shares_become_whole_blocks_that_add_up() -> None:
    assert apportioned([0.7, 0.3], 64) == [45, 19]
    assert apportioned([0.334, 0.333, 0.333], 4) == [2, 1, 1]
    assert apportioned([0.5, 0.5], 3) == [2, 1]


def test_batches_are_no_names() -> None:
    assert not is_named([{"input_ids": 1}])
    assert not is_named(iter([]))
    assert is_named([("a", 1.0)])


def test_whole_paths_are_those_of_files_alone(two: Path) -> None:
    assert whole_paths("code.txt") == str(two / "code.txt")
    assert whole_paths("org/name") == "org/name"
    mix = whole_paths("code.txt:70%,embedded:0.3")
    assert mix == f"{two / 'code.txt'}:0.7,embedded:0.3"
    assert [each.share for each in texts_of(mix)] == [0.7, 0.3]


@pytest.mark.usefixtures("two")
def test_each_half_holds_each_text_by_its_share(tokenizer: Any) -> None:
    text = read_text("code.txt:0.7,prose.txt:0.3", tokenizer, 21 * BLOCK_TOKENS)
    first = tokenizer.convert_tokens_to_ids(list(LETTERS))
    for half in (text.fit, text.held_out):
        rows = [row for batch in half for row in batch.input_ids.tolist()]
        is_code = [bool(set(row) & set(first)) for row in rows]
        assert (len(rows), sum(is_code)) == (10, 7)
    assert [(part.fit_tokens, part.held_out_tokens) for part in text.summaries] == [
        (7 * BLOCK_TOKENS, 7 * BLOCK_TOKENS),
        (3 * BLOCK_TOKENS, 3 * BLOCK_TOKENS),
    ]
    alone = read_text("prose.txt", tokenizer, 6 * BLOCK_TOKENS)
    assert text.summaries[1] == alone.summaries[0]
    assert text.source == "70% code.txt; 30% prose.txt"
    assert text.fingerprint not in [part.fingerprint for part in text.summaries]


def test_a_text_too_short_for_its_share_is_refused(two: Path, tokenizer: Any) -> None:
    (two / "short.txt").write_text(words(LETTERS.upper(), 400))
    with pytest.raises(
        RunError, match=r"short\.txt: has only 2,560 tokens .* 30% of 20,480 tokens, is 6,144: take"
    ):
        read_text("code.txt:0.7,short.txt:0.3", tokenizer, 40 * BLOCK_TOKENS)


def test_card_and_record_name_each_text_of_a_mix(
    two: Path, tiny_checkpoint: Path, short_blocks: None
) -> None:
    words = ["prune", tiny_checkpoint, "--remove", "30%", "--criterion", "activation", "--refit"]
    mix = "code.txt:0.7,prose.txt:0.3"
    result = run(*words, "--calibration", mix, "--tokens", 2048, "-o", two / "out")
    assert result.exit_code == 0, result.output
    record = json.loads((two / "out" / "widthwise_refit.json").read_text())
    halves = [(p["source"], p["fit_tokens"], p["held_out_tokens"]) for p in record["calibration"]]
    assert halves == [("code.txt", 22 * 32, 22 * 32), ("prose.txt", 10 * 32, 10 * 32)]
    card = (two / "out" / "README.md").read_text()
    assert "calibration: 1,408 tokens of code.txt; 640 tokens of prose.txt\n" in card
