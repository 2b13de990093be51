"""Keys and values at fixed addresses, in a cache of fixed size, so that steps can be captured.

Two layers of transformers' `StaticCache` are not fit for that. Its full layer lets a prompt attend
to the room that is kept for later tokens, which no flash kernel does: a prompt would take longer
than without a graph. Its window keeps its place in a Python number, which a graph would freeze.
"""

from __future__ import annotations

from typing import Any

import torch
from transformers import Cache, StaticCache
from transformers.cache_utils import StaticLayer, StaticSlidingWindowLayer


class FixedFullLayer(StaticLayer):  # type: ignore[no-untyped-call]
    """Room for every token. More than one at once must come first, into an empty layer."""

    keys: Any
    values: Any

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Keep keys and values, shape (rows, heads, tokens, head size); what is attended to."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        tokens = key_states.shape[-2]
        stored = min(tokens, self.max_cache_len)
        positions = self._positions(tokens, stored)
        self.keys.index_copy_(2, positions, key_states[:, :, -stored:])
        self.values.index_copy_(2, positions, value_states[:, :, -stored:])
        self.cumulative_length.add_(tokens)
        return (key_states, value_states) if tokens > 1 else (self.keys, self.values)

    def get_mask_sizes(self, query_length: int) -> tuple[int, Any]:
        """Number of tokens that are attended to, and the position of the first."""
        return (query_length, 0) if query_length > 1 else (self.max_cache_len, self._first())

    def _positions(self, tokens: int, stored: int) -> torch.Tensor:
        """Where the last of some new tokens go."""
        if tokens == 1:
            return self.cumulative_length.view(1)
        return torch.arange(tokens - stored, tokens, device=self.device) + self.cumulative_length

    def _first(self) -> int | torch.Tensor:
        return 0


class FixedWindowLayer(FixedFullLayer):  # type: ignore[no-untyped-call]
    """Room for the last tokens: the newest takes the place of the oldest.

    Once all places are taken, they are not in the order of the text. Attention does not care, as
    keys carry their positions, and all of them are seen.
    """

    is_sliding = True

    def _positions(self, tokens: int, stored: int) -> torch.Tensor:
        return super()._positions(tokens, stored) % self.max_cache_len

    def _first(self) -> int | torch.Tensor:
        return (self.cumulative_length + 1 - self.max_cache_len).clamp(min=0)


def fixed_cache(config: Any, length: int) -> Cache:
    """An empty cache of a model for texts of so many tokens.

    Args:
        config: The model's config, for which `unsupported_reason` is None.
        length: Tokens of the longest text.
    """
    rooms: list[Any] = StaticCache(config=config, max_cache_len=length).layers
    return Cache(
        layers=[
            (FixedWindowLayer if r.is_sliding else FixedFullLayer)(r.max_cache_len) for r in rooms
        ]
    )


def unsupported_reason(config: Any) -> str | None:
    """Why `fixed_cache` is not for a model, or None."""
    if getattr(config.get_text_config(), "attention_chunk_size", None) is not None:
        return "its cache has chunks"
    layers = StaticCache(config=config, max_cache_len=1).layers
    known = (StaticLayer, StaticSlidingWindowLayer)
    strange = {type(layer).__name__ for layer in layers if type(layer) not in known}
    return f"its cache has layers of type {', '.join(sorted(strange))}" if strange else None
