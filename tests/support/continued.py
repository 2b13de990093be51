"""Prompts, and their greedy continuations one after the other."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import torch
from families import FAMILIES, VOCAB

from widthwise.evaluate.engine import Prompt

LIMIT = 20


LENGTHS = (3, 9, 1, 14, 6, 2, 11)


PROMPTS = [tuple(random.Random(length).choices(range(3, VOCAB), k=length)) for length in LENGTHS]


SLIDING = ["mistral", "gemma2", "gemma3_text", "exaone4", "phi3"]


CASES = [*((family, {}) for family in FAMILIES), *((f, {"sliding_window": 8}) for f in SLIDING)]


def alone(model: Any, prompts: Sequence[Sequence[int]], limit: int = LIMIT) -> list[list[int]]:
    """What the library writes, one prompt at a time, up to the limit."""
    model.generation_config.eos_token_id = None
    written = []
    for prompt in prompts:
        ids = torch.tensor([list(prompt)])
        whole = model.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            do_sample=False,
            max_new_tokens=limit,
            pad_token_id=0,
        )
        written.append(whole[0, len(prompt) :].tolist())
    return written


def ended(written: Sequence[int], limit: int, ends: frozenset[int]) -> tuple[int, ...]:
    """The oracle's tokens up to the limit, before the first that ends a text."""
    kept = list(written[:limit])
    stop = next((place for place, token in enumerate(kept) if token in ends), len(kept))
    return tuple(kept[:stop])


def prompts_of(limits: Sequence[int]) -> list[Prompt]:
    pairs = zip(PROMPTS, limits, strict=True)
    return [Prompt(tokens=tokens, limit=limit) for tokens, limit in pairs]
