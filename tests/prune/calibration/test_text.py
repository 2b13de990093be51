"""Texts become blocks of tokens, of which every second one is held out."""

from __future__ import annotations

import gzip
import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from families import tiny
from healing_runs import save_tokenizer
from layered_models import batches, uneven_batches
from letters import Letters
from transformers import AutoTokenizer

from widthwise.assets import embedded_model
from widthwise.errors import AssetError, RunError
from widthwise.notices import shown
from widthwise.prune import open_model
from widthwise.prune.calibration import BLOCK_TOKENS, TextRequest, read_text, text_of
from widthwise.prune.calibration.text import least_tokens

WORDS = " ".join(f"{i} is a number, the one after {i - 1}." for i in range(600))


def as_words(text: Any) -> str:
    rows = [row for batch in (*text.fit, *text.held_out) for row in batch.input_ids.tolist()]
    return "".join(chr(i) for row in rows for i in row)


def test_of_batches_every_second_is_held_out() -> None:
    given = batches()
    with open_model(tiny("llama")) as model:
        text = TextRequest(text=given).read(model)
    halves = [[batch.input_ids for batch in half] for half in (text.fit, text.held_out)]
    for half, expected in zip(halves, (given[::2], given[1::2]), strict=True):
        assert all(
            torch.equal(ids, batch["input_ids"]) for ids, batch in zip(half, expected, strict=True)
        )
    (summary,) = text.summaries
    assert (summary.source, summary.fingerprint) == (text.source, text.fingerprint)
    assert summary.fit_tokens + summary.held_out_tokens == text.tokens


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"tokens": 9}, "--tokens must be at least 1024; got 9"),
        ({"text": "no.txt"}, r"no\.txt: no such file or folder of text"),
        ({"text": " "}, "a text must be named"),
    ],
)
def test_a_text_that_is_not_there_is_refused_at_once(asked: Any, message: str) -> None:
    with pytest.raises(RunError, match=message):
        TextRequest(**asked)


def test_a_token_without_an_embedding_is_named(tmp_path: Path) -> None:
    save_tokenizer(tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    (tmp_path / "text.txt").write_text("words of a text, 1 to 9; (so) " * 300)
    request = TextRequest(text=tmp_path / "text.txt", tokens=2048, tokenizer=tokenizer)
    with (
        open_model(tiny("llama", vocab_size=8)) as model,
        pytest.raises(RunError, match="for which the model has no embedding: its table has 8 rows"),
    ):
        request.read(model)


def test_a_single_text_is_warned_of_and_a_mix_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    save_tokenizer(tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    for name in ("a.txt", "b.txt"):
        (tmp_path / name).write_text(WORDS)
    warned = {}
    with open_model(tiny("llama", vocab_size=257)) as model:
        for text in ("a.txt", "a.txt:0.5,b.txt:0.5"):
            told: list[str] = []
            with shown(told.append):
                TextRequest(text=text, tokens=2048, tokenizer=tokenizer).read(model)
            warned[text] = [each for each in told if "is the only calibration text" in each]
    (warning,) = warned["a.txt"]
    assert "mix in the embedded text with a.txt:0.7,embedded:0.3" in warning
    assert not warned["a.txt:0.5,b.txt:0.5"]


def test_the_options_of_a_text_are_taken_out_of_what_is_asked() -> None:
    asked: Any = {"width": 9, "tokens": 2048}
    assert TextRequest.of(asked).tokens == 2048
    assert asked == {"width": 9}


def test_the_second_half_of_a_text_is_held_out(tmp_path: Path) -> None:
    path = tmp_path / "text.txt"
    path.write_text(WORDS)
    text = read_text(path, Letters(), 8 * BLOCK_TOKENS + 100)
    assert text.tokens == 8 * BLOCK_TOKENS
    assert [len(b.ids) for b in (*text.fit, *text.held_out)] == [4 * BLOCK_TOKENS] * 2
    squeezed = re.sub(r"\s+", " ", as_words(text))
    assert WORDS.startswith(squeezed[:-20])


def test_files_of_a_folder_take_turns_and_tables_give_their_text(tmp_path: Path) -> None:
    import pyarrow
    import pyarrow.parquet

    a, b, c, d = ([f"{letter * 40} {i} {chr(1040 + i)}" for i in range(60)] for letter in "abcd")
    with gzip.open(tmp_path / "a.jsonl.gz", "wt") as file:
        file.writelines(json.dumps({"text": text, "other": "zzzz"}) + "\n" for text in a)
    (tmp_path / "b.json").write_text(json.dumps([{"question": text, "n": 1} for text in b]))
    pyarrow.parquet.write_table(pyarrow.table({"text": c}), tmp_path / "c.parquet")
    with gzip.open(tmp_path / "d.md.gz", "wt") as file:
        file.write("\n\n".join(d))
    (tmp_path / "e.png").write_bytes(b"\x89PNG")
    found = as_words(read_text(tmp_path, Letters(), 4 * BLOCK_TOKENS))
    assert "z" not in found
    for letter in "abcd":  # each from its beginning, though the text ends before any of them
        assert f"{letter * 40} 0" in found
    one = read_text(tmp_path / "b.json", Letters(), 2 * BLOCK_TOKENS)
    assert as_words(one).startswith("b" * 40 + " 0 \u0410\n\n")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"too short", r"has only 11 tokens of text; at least 1,024 are needed"),
        (b"\xff\xfe\x00", "cannot be read as text"),
        (b"a" * 5000, "repeats only .* different tokens"),
        (b"", "has only 0 tokens of text"),
    ],
)
def test_files_that_are_no_text_are_refused(tmp_path: Path, content: bytes, message: str) -> None:
    for path, stored in (
        (tmp_path / "text.txt", content),
        (tmp_path / "text.txt.gz", gzip.compress(content)),
    ):
        path.write_bytes(stored)
        with pytest.raises(RunError, match=message):
            read_text(path, Letters())


@pytest.mark.parametrize("damage", [lambda b: b[:-9], lambda b: b[:40] + b"\xff" * 40 + b[80:]])
def test_packed_text_that_is_damaged_is_refused(
    tmp_path: Path, damage: Callable[[bytes], bytes]
) -> None:
    words = " ".join(str(i * i) for i in range(9000))
    (tmp_path / "x.txt.gz").write_bytes(damage(gzip.compress(words.encode())))
    with pytest.raises(RunError, match=r"x\.txt\.gz: cannot be read as text"):
        read_text(tmp_path / "x.txt.gz", Letters(), 4 * BLOCK_TOKENS * 1000)


def test_a_long_text_is_cut_where_words_end_and_read_no_further_than_asked(tmp_path: Path) -> None:
    words = [f"{i:05x}" for i in range(40_000)]  # 240,000 characters: several pieces and reads
    (tmp_path / "x.txt").write_bytes(" ".join(words).encode() + b" \xff")  # no text at its end
    found = as_words(read_text(tmp_path / "x.txt", Letters(), 40 * BLOCK_TOKENS))
    assert found.split()[:3000] == words[:3000]
    with pytest.raises(RunError, match="cannot be read as text"):
        read_text(tmp_path / "x.txt", Letters(), 40_000 * BLOCK_TOKENS)


def test_a_folder_of_more_files_than_may_be_open_is_read(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource", reason="no limits of this kind on this system")
    for number in range(300):
        (tmp_path / f"{number:03d}.txt").write_text(f"{number} {'words ' * 1000}")
    (tmp_path / "table.parquet.gz").write_bytes(b"of no kind that is read")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    there = len(list(Path("/dev/fd").iterdir()))
    resource.setrlimit(resource.RLIMIT_NOFILE, (there + 200, hard))
    try:
        found = as_words(read_text(tmp_path, Letters(), 4000 * BLOCK_TOKENS))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert all(f"{number} words" in found for number in range(299))


def test_what_only_has_the_name_of_a_text_is_passed_over(tmp_path: Path) -> None:
    """A pipe would be waited for, and a link to nowhere is no file; a name of a text that is not
    there is not looked for on the hub."""
    os.mkfifo(tmp_path / "a.txt")
    (tmp_path / "b.txt").mkdir()
    (tmp_path / "c.txt").symlink_to(tmp_path / "nowhere")
    (tmp_path / "d.txt").write_text(WORDS)
    assert as_words(read_text(tmp_path, Letters(), 4 * BLOCK_TOKENS)).startswith(WORDS[:100])
    for name in ("folder/text.txt", "folder/text.jsonl.gz"):
        with pytest.raises(RunError, match="no such file or folder of text"):
            read_text(name, Letters())


def test_a_place_without_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="holds no file of text"):
        read_text(tmp_path, Letters())
    with pytest.raises(RunError, match="no such file or folder of text"):
        read_text("no/such/place", Letters())
    with pytest.raises(RunError, match="got an empty name"):
        read_text("", Letters())
    (tmp_path / "deep.json").write_text("[" * 100_000)
    with pytest.raises(RunError, match=r"deep\.json: cannot be read as text"):
        read_text(tmp_path / "deep.json", Letters())
    (tmp_path / "deep.json").unlink()
    with pytest.raises(RunError, match="--tokens must be at least 1024"):
        read_text(None, Letters(), 1000)
    (tmp_path / "x.jsonl").write_text("{broken")
    with pytest.raises(RunError, match=r"x\.jsonl: cannot be read as text"):
        read_text(tmp_path, Letters())


def test_the_embedded_text_is_of_splits_that_no_task_scores() -> None:
    from widthwise.assets import benchmark_rows

    try:
        embedded_model()
        text = read_text(None, Letters(), 40 * BLOCK_TOKENS)
        scored = {row["passage"][:80] for row in benchmark_rows("boolq", "validation")}
        scored |= {row["question"] for row in benchmark_rows("mmlu/anatomy", "test")}
    except AssetError as error:
        pytest.skip(f"the embedded data cannot be had: {error}")
    found = as_words(text)
    assert text.tokens == 40 * BLOCK_TOKENS
    assert "A. " in found
    assert not [words for words in scored if len(words) > 40 and words in found]


def test_text_of_holds_out_every_second_batch() -> None:
    given = uneven_batches(5)
    text = text_of(given)
    assert [b.input_ids.shape[1] for b in text.fit] == [20, 22, 24]
    assert [b.input_ids.shape[1] for b in text.held_out] == [21, 23]


@pytest.mark.parametrize("ends", [((), ()), ((1,), ()), ((1,), (2,))])
@pytest.mark.parametrize("half", [1, 512, 513, 1100])
def test_least_tokens_give_each_half_enough_and_a_block_less_does_not(
    half: int, ends: tuple[tuple[int, ...], tuple[int, ...]], tmp_path: Path
) -> None:
    (tmp_path / "text.txt").write_text(WORDS)
    least = least_tokens(half)

    def smaller_half(tokens: int) -> int:
        text = read_text(tmp_path / "text.txt", Letters(*ends), tokens, closed=True)
        (found,) = text.summaries
        return min(found.fit_tokens, found.held_out_tokens)

    assert smaller_half(least) >= half
    if least > 2 * BLOCK_TOKENS:  # which are the fewest that are taken at all
        assert smaller_half(least - 1) < half
