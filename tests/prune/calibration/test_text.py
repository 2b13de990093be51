"""Which text is asked for, and its two halves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from families import tiny
from healing_runs import save_tokenizer
from layered_models import batches
from transformers import AutoTokenizer

from widthwise.errors import RunError
from widthwise.prune import open_model
from widthwise.prune.calibration import TextRequest


def test_of_batches_every_second_is_held_out() -> None:
    given = batches()
    with open_model(tiny("llama")) as model:
        text = TextRequest(text=given).read(model)
    halves = [[batch.input_ids for batch in half] for half in (text.fit, text.held_out)]
    for half, expected in zip(halves, (given[::2], given[1::2]), strict=True):
        assert all(
            torch.equal(ids, batch["input_ids"]) for ids, batch in zip(half, expected, strict=True)
        )
    summary = text.summary
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


def test_the_options_of_a_text_are_taken_out_of_what_is_asked() -> None:
    asked: Any = {"width": 9, "tokens": 2048}
    assert TextRequest.of(asked).tokens == 2048
    assert asked == {"width": 9}
