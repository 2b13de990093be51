"""Logits a piece of the vocabulary at a time are the logits, and only where a model allows it."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from families import FAMILIES
from likelihood_oracle import agree, oracle, runs_of
from sharp import sharp

from widthwise.evaluate.engine import lm_head as head
from widthwise.evaluate.engine import log_likelihoods
from widthwise.evaluate.engine.lm_head import LmHead

SCALED = {"cohere", "granite", "gemma2"}  # they scale their logits or cap them


@pytest.mark.parametrize("family", FAMILIES)
def test_models_that_do_something_to_their_logits_are_known(family: str) -> None:
    assert LmHead(sharp(family)).is_bare == (family not in SCALED)


def test_logits_that_are_changed_in_place_are_not_bare() -> None:
    model = sharp("llama")
    plain = model.forward

    def scaled(*args: Any, **kwargs: Any) -> Any:
        output = plain(*args, **kwargs)
        output.logits.mul_(0.5)
        return output

    model.forward = scaled
    assert not LmHead(model).is_bare
    runs = runs_of(3)
    agree(log_likelihoods(model, runs), oracle(model, runs))


@pytest.mark.parametrize("family", ["llama", "phi3", "granite"])
def test_pieces_and_blocks_of_any_size_give_the_same(
    monkeypatch: pytest.MonkeyPatch, family: str
) -> None:
    model = sharp(family)
    runs = runs_of(5)
    expected = oracle(model, runs)
    for piece, block in ((1, 3), (7, 5), (1 << 20, 1 << 20)):
        monkeypatch.setattr(head, "_PIECE", piece)
        monkeypatch.setattr(head, "_BLOCK", block)
        agree(log_likelihoods(model, runs), expected)


def test_words_that_a_model_forbids_have_no_probability() -> None:
    """A piece may be forbidden as a whole, by logits of minus infinity."""
    logits = torch.tensor([[1.0, 2.0, -torch.inf, -torch.inf, 0.0, 3.0]] * 3)
    place, token = torch.tensor([0, 1, 2]), torch.tensor([1, 3, 5])
    values, likeliest = head._summed([logits.split(2, -1)], place, token)
    expected = logits.double().log_softmax(-1)[place, token]
    assert values.tolist() == pytest.approx(expected.tolist(), abs=1e-6)  # float32 sums of 6 terms
    assert likeliest.tolist() == [False, False, True]


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_logits_that_are_no_numbers_give_none(value: float) -> None:
    logits = torch.tensor([[1.0, 2.0, value, 0.0]])
    values, _ = head._summed([logits.split(2, -1)], torch.tensor([0]), torch.tensor([0]))
    assert values.isnan().all()
