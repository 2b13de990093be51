"""Caches of fixed size: steps give the logits of a cache that grows."""

from __future__ import annotations

import pytest
from decoded import KINDS, NEW, same_as_called
from families import tiny
from graph_tape import Tape, install

from widthwise.measure.decoders import (
    CudaGraphDecoder,
    StaticCacheDecoder,
)


@pytest.fixture
def tapes(monkeypatch: pytest.MonkeyPatch) -> list[Tape]:
    return install(monkeypatch)


@pytest.mark.parametrize("length", [11 + NEW, 40])
@pytest.mark.parametrize(("family", "attention"), KINDS)
def test_a_cache_of_final_size_changes_nothing(family: str, attention: str, length: int) -> None:
    """In float32, for one batch after the other, and for a cache that is longer than need be."""
    same_as_called(StaticCacheDecoder, tiny(family), attention, length)


@pytest.mark.parametrize("window", [2, 3, 11, 12, 15, 50])
@pytest.mark.parametrize("family", ["mistral", "gemma2", "gemma3_text", "exaone4"])
def test_windows_are_replayed_before_they_are_full_and_after(
    family: str, window: int, tapes: list[Tape]
) -> None:
    """The prompt has 11 tokens, the text 17: the window is full before it, in it, or never."""
    attention = "eager" if family == "gemma2" else "sdpa"
    same_as_called(CudaGraphDecoder, tiny(family, sliding_window=window), attention)
