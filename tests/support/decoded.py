"""Tokens that a decoder writes, compared with those of plain calls."""

from __future__ import annotations

from typing import Any

import torch
from families import FAMILIES, tokens

from widthwise.measure.decoders import Decoder, EagerDecoder, StaticCacheDecoder

NEW = 6


def written(decoder: Decoder, prompts: torch.Tensor) -> torch.Tensor:
    """All new tokens, shape (rows, NEW)."""
    with torch.inference_mode():
        decoder.ready()
        decoder.start(prompts)
        steps = [decoder.token.clone()]
        for _ in range(NEW - 1):
            decoder.step()
            steps.append(decoder.token.clone())
    return torch.cat(steps, dim=1)


KINDS = [(f, a) for f in FAMILIES for a in ("sdpa", "eager") if (f, a) != ("gemma2", "sdpa")]


def same_as_called(
    kind: type[StaticCacheDecoder], model: Any, attention: str, length: int = 11 + NEW
) -> None:
    """Two batches, one after the other, give the tokens that a growing cache gives."""
    model.set_attn_implementation(attention)
    decoder, called = kind(model, rows=2, length=length), EagerDecoder(model)
    for seed in (1, 2):
        prompts = tokens(seed)
        assert written(decoder, prompts).equal(written(called, prompts))
