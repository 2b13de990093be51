"""Distances from the dense model equal those of whole passes, in every family."""

from __future__ import annotations

import copy
import random
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
import torch
from families import FAMILIES
from likelihood_oracle import runs_of
from sharp import sharp

from widthwise.evaluate.engine import (
    DenseReference,
    Distance,
    ScoringRequest,
    Watch,
    log_likelihoods,
    prefixes,
)
from widthwise.prune.calibration import answers


def disturbed(model: Any) -> Any:
    """The same model with other blocks, and the same head."""
    other = copy.deepcopy(model)
    draw = torch.Generator().manual_seed(1)
    for name, weight in other.named_parameters():
        if ".mlp." in name or ".feed_forward." in name or ".block_sparse_moe." in name:
            noise = torch.randn(weight.shape, generator=draw)
            weight.data += 0.5 * weight.data.std() * noise
    return other


def whole_pass(
    model: Any, other: Any, run: ScoringRequest, places: list[int]
) -> tuple[float, int, float]:
    """The three sums from all logits of both models, in float64."""
    logs = []
    for each in (model, other):
        with torch.no_grad():
            logits = each(torch.tensor([run.tokens[:-1]])).logits[0, -run.scored :]
        logs.append(logits[places].double().log_softmax(-1))
    p, q = logs
    kl = (p.exp() * (p - q)).nan_to_num().sum()
    same = (p.argmax(-1) == q.argmax(-1)).sum()
    return float(kl), int(same), float(torch.minimum(p.exp(), q.exp()).sum())


def compared(runs: list[ScoringRequest]) -> tuple[DenseReference, list[ScoringRequest]]:
    """All of them as requests that are compared."""
    return DenseReference([(str(number),) for number in range(len(runs))]), [
        replace(run, compared=True) for run in runs
    ]


@pytest.mark.parametrize("family", FAMILIES)
def test_distances_equal_those_of_whole_passes(
    family: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prefixes, "_PREFIX_COST", 4)
    model = sharp(family, max_position_embeddings=128)
    other = disturbed(model)
    reference, runs = compared(runs_of())
    kept = log_likelihoods(model, runs, watch=Watch(reference, is_dense=True))
    assert all(answer.distance is None for answer in kept)
    found = log_likelihoods(other, runs, watch=Watch(reference, is_dense=False))
    plain = log_likelihoods(other, runs)
    assert [a[:2] for a in found] == [a[:2] for a in plain]  # nothing else is changed
    for run, answer in zip(runs, found, strict=True):
        places = reference.places(run.scored)
        kl, same, accepted = whole_pass(model, other, run, places)
        assert answer.distance is not None
        assert answer.distance.tokens == len(places)
        # Sums of up to 29 float32 terms of size 6, as in test_likelihood; models differ by 0.1.
        assert answer.distance.divergence == pytest.approx(kl, abs=1e-3, rel=1e-3)
        assert answer.distance.agreement == same
        assert answer.distance.acceptance == pytest.approx(accepted, abs=1e-3)
    total = Distance.total(a.distance for a in found if a.distance is not None)
    assert total.divergence > 0.001 * total.tokens  # they do differ; cohere scales logits down
    assert 0 < total.acceptance < total.tokens


def test_a_model_is_at_no_distance_from_itself() -> None:
    model = sharp("llama", max_position_embeddings=128)
    reference, runs = compared(runs_of())
    log_likelihoods(model, runs, watch=Watch(reference, is_dense=True))
    found = log_likelihoods(model, runs, watch=Watch(reference, is_dense=False))
    total = Distance.total(a.distance for a in found if a.distance is not None)
    assert total.divergence == 0.0  # the same states, so the same logits
    assert total.agreement == total.tokens
    assert total.acceptance == pytest.approx(total.tokens)


def test_only_requests_that_are_compared_and_known_have_a_distance() -> None:
    model = sharp("llama", max_position_embeddings=128)
    runs = runs_of()[:4]
    mixed = [replace(run, compared=number < 2) for number, run in enumerate(runs)]
    reference = DenseReference([("a",), ("b",)])
    log_likelihoods(model, mixed[1:], watch=Watch(reference, is_dense=True))
    found = log_likelihoods(model, mixed, watch=Watch(reference, is_dense=False))
    known = [answer.distance is not None for answer in found]
    assert known == [mixed[0] in mixed[1:2], True, False, False]


@pytest.mark.parametrize(("requests", "each"), [(1, 2048), (100, 20), (5000, 1)])
def test_tokens_are_few_and_evenly_spread(requests: int, each: int) -> None:
    reference = DenseReference([(str(number),) for number in range(requests)])
    places = reference.places(4000)
    assert len(places) == each
    assert places[0] == 0
    gaps = [b - a for a, b in pairwise(places)]
    assert not gaps or max(gaps) - min(gaps) <= 1
    assert reference.places(3)[: min(3, each)] == list(range(min(3, each)))


def test_a_large_vocabulary_is_compared_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    model = sharp("llama", max_position_embeddings=128)
    other = disturbed(model)
    draw = random.Random(3)
    reference, runs = compared([ScoringRequest(tuple(draw.choices(range(3, 60), k=30)), 29)])
    log_likelihoods(model, runs, watch=Watch(reference, is_dense=True))
    watch = Watch(reference, is_dense=False)
    (whole,) = log_likelihoods(other, runs, watch=watch)
    monkeypatch.setattr(answers, "_LOGITS_BYTES", 1)  # a token at a time
    (parts,) = log_likelihoods(other, runs, watch=watch)
    assert whole.distance is not None
    assert parts.distance is not None
    assert parts.distance.divergence == pytest.approx(whole.distance.divergence, rel=1e-5)
    assert parts.distance.agreement == whole.distance.agreement


@pytest.mark.parametrize("family", ["llama", "gemma2", "cohere"])
def test_a_model_with_another_head_is_compared_by_its_own(family: str) -> None:
    """A healed model may have learned another head, and gemma2 and cohere change its logits."""
    model = sharp(family, max_position_embeddings=128)
    other = disturbed(model)
    head = torch.nn.Linear(*other.lm_head.weight.shape[::-1], bias=False)
    head.weight.data = other.lm_head.weight.data + 0.05 * torch.randn(
        other.lm_head.weight.shape, generator=torch.Generator().manual_seed(2)
    )
    other.lm_head = head
    reference, runs = compared(runs_of())
    log_likelihoods(model, runs, watch=Watch(reference, is_dense=True))
    found = log_likelihoods(other, runs, watch=Watch(reference, is_dense=False))
    for run, answer in zip(runs, found, strict=True):
        kl, same, accepted = whole_pass(model, other, run, reference.places(run.scored))
        assert answer.distance is not None
        assert answer.distance.divergence == pytest.approx(kl, abs=1e-3, rel=1e-3)
        assert answer.distance.agreement == same
        assert answer.distance.acceptance == pytest.approx(accepted, abs=1e-3)


def test_models_with_other_words_are_not_compared() -> None:
    model, other = (
        sharp("llama", max_position_embeddings=128, vocab_size=size) for size in (64, 80)
    )
    draw = random.Random(3)
    reference, runs = compared([ScoringRequest(tuple(draw.choices(range(3, 60), k=30)), 29)])
    log_likelihoods(model, runs, watch=Watch(reference, is_dense=True))
    (found,) = log_likelihoods(other, runs, watch=Watch(reference, is_dense=False))
    assert found.distance is None
