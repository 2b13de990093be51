"""Prompts longer than what a model reads: that they lose their beginning is noted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from healing_runs import VOCABULARY, save_tokenizer
from sharp import sharp
from transformers import AutoTokenizer

pytest.importorskip("lm_eval")

from lm_eval.api.instance import Instance

from widthwise.evaluate.language_model import SharedPrefixLM

LONG, SHORT = "the width of the network", "the width"  # of 24 and 9 tokens, of which 16 are read


def asked(kind: str, *arguments: tuple[Any, ...]) -> list[Instance]:
    return [
        Instance(request_type=kind, doc={}, arguments=one, idx=number)
        for number, one in enumerate(arguments)
    ]


def test_prompts_that_lose_their_beginning_are_noted(tmp_path: Path) -> None:
    save_tokenizer(tmp_path)
    model = sharp("llama", vocab_size=VOCABULARY, max_position_embeddings=16)
    lm = SharedPrefixLM(model, AutoTokenizer.from_pretrained(tmp_path))
    lm.loglikelihood(asked("loglikelihood", (LONG, " of"), (SHORT, " of")))
    assert lm.shortened == [True, False]
    settings = {"until": [], "max_gen_toks": 5}
    lm.generate_until(asked("generate_until", (SHORT, settings), (LONG, settings)))
    assert lm.shortened == [False, True]
    lm.loglikelihood_rolling(asked("loglikelihood_rolling", (LONG,)))  # read in windows, whole
    assert lm.shortened == []
