"""The plain way to log-likelihoods, that the fast one is compared with."""

from __future__ import annotations

import random
from typing import Any

import torch
from families import VOCAB

from widthwise.evaluate.engine import ScoredRequest, ScoringRequest

CLOSE = 5e-5


def words(draw: random.Random, length: int) -> tuple[int, ...]:
    return tuple(draw.choices(range(3, VOCAB), k=length))


def runs_of(seed: int = 0) -> list[ScoringRequest]:
    """Two preambles, questions with options, and what else a task may ask."""
    draw = random.Random(seed)
    runs = []
    for preamble in (words(draw, 40), words(draw, 23)):
        for _ in range(2):
            question = (*preamble, *words(draw, draw.randint(4, 9)))
            options = [words(draw, draw.randint(1, 6)) for _ in range(2)]
            options += [(*options[0], *words(draw, 2)), options[1]]  # a longer one, and one again
            runs += [ScoringRequest((*question, *option), len(option)) for option in options]
            runs += [ScoringRequest((*question, token), 1) for token in (5, 6)]
        runs.append(ScoringRequest((*preamble, 9), 1))  # a run that others begin with
        runs.append(ScoringRequest((*preamble, 9), 12))  # the same row, more of it scored
    runs.append(ScoringRequest(words(draw, 2), 1))
    runs += [
        ScoringRequest(words(draw, 30), 29),
        ScoringRequest(words(draw, 17), 16),
    ]  # whole texts
    draw.shuffle(runs)
    return runs


def oracle(model: Any, runs: list[ScoringRequest]) -> list[ScoredRequest]:
    """One forward pass a run."""
    found = []
    for run in runs:
        with torch.no_grad():
            logits = model(torch.tensor([run.tokens[:-1]])).logits[0, -run.scored :]
        targets = torch.tensor(run.tokens[-run.scored :])
        values = logits.log_softmax(-1)[range(run.scored), targets].double()
        found.append(ScoredRequest(float(values.sum()), bool((logits.argmax(-1) == targets).all())))
    return found


def agree(
    got: list[ScoredRequest], expected: list[ScoredRequest], tolerance: float = CLOSE
) -> None:
    pairs = zip(got, expected, strict=True)
    assert max(abs(a.log_likelihood - b.log_likelihood) for a, b in pairs) < tolerance
    assert [one.greedy for one in got] == [one.greedy for one in expected]
