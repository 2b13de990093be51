"""Key-value caches of a batch of texts: written in place, rows selected, two batches joined.

Layers keep keys and values, which grow with the text, and some keep states, which do not: of linear
attention or a convolution. Layers that keep nothing of their own have neither.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache as once
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from jaxtyping import Float, Int

_NAMES = ("cache", "past_key_values")  # of transformers, from 5.24 on and before
_BLOCK = 64  # tokens by which room grows when it is full
_JOINABLE = (  # layers whose parts all have rows first
    "DynamicLayer",
    "DynamicSlidingWindowLayer",
    "DummyLayer",
    "LinearAttentionLayer",
    "LinearAttentionAndFullAttentionLayer",
)


def given(model: Any, cache: Any) -> dict[str, Any]:
    """The argument with which a model's forward pass takes a cache."""
    return {_cache_argument(model.__class__): cache}


def cache_of(out: Any) -> Any:
    """The cache that a forward pass with `use_cache=True` gives; None where it gives none."""
    caches = (getattr(out, name, None) for name in _NAMES)
    return next((cache for cache in caches if cache is not None), None)


@once
def _cache_argument(kind: Any) -> str:
    parameters = inspect.signature(kind.forward).parameters
    return next((name for name in _NAMES if name in parameters), _NAMES[-1])


@dataclass
class PaddedKVCache:
    """The cache of rows that are padded on the left to one length."""

    cache: Any  # a cache of transformers
    seen: torch.Tensor  # shape (rows, length): 1 where there is a token, 0 for padding

    @classmethod
    def of(
        cls, model: Any, rows: Sequence[Sequence[int]], filler: int = 0
    ) -> tuple[PaddedKVCache, torch.Tensor]:
        """Read whole rows: what is kept of them, and the logits of each row's last token.

        Args:
            model: A `joinable` one.
            rows: Token ids.
            filler: Token id of the padding, which makes no difference.
        """
        import torch

        device = next(model.parameters()).device
        length = max(map(len, rows))
        lacks = torch.tensor([length - len(row) for row in rows], device=device)
        seen = (torch.arange(length, device=device)[None] >= lacks[:, None]).long()
        filled = [[*[filler] * (length - len(row)), *row] for row in rows]
        cache = cls._empty(model, seen)
        return cache, cache._logits(model, torch.tensor(filled, device=device))

    def next(
        self, model: Any, tokens: Int[torch.Tensor, "rows 1"], seen: Int[torch.Tensor, "rows 1"]
    ) -> Float[torch.Tensor, "rows vocabulary"]:
        """Logits after one more token of each row.

        Args:
            model: The model that read the rows.
            tokens: Shape (rows, 1).
            seen: Mask of the same shape: 0 for a row that is over, which stays as long as it is.
        """
        import torch

        self.seen = torch.cat([self.seen, seen], dim=1)
        return self._logits(model, tokens)

    def _logits(
        self, model: Any, ids: Int[torch.Tensor, "rows tokens"]
    ) -> Float[torch.Tensor, "rows vocabulary"]:
        """One forward pass over the last tokens that `seen` describes."""
        positions = (self.seen.cumsum(1) - 1).clamp(min=0)[:, -ids.shape[1] :]
        logits: torch.Tensor = model(
            ids,
            attention_mask=self.seen,
            position_ids=positions,
            **given(model, self.cache),
            use_cache=True,
            logits_to_keep=1,
        ).logits
        return logits[:, -1]

    @classmethod
    def _empty(cls, model: Any, seen: torch.Tensor) -> PaddedKVCache:
        """Nothing yet of rows that `seen` describes."""
        from transformers import DynamicCache
        from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer

        cache: Any = DynamicCache(config=model.config)
        grows = (DynamicLayer, DynamicSlidingWindowLayer)
        cache.layers = [
            _growing_layer()() if type(layer) in grows else layer for layer in cache.layers
        ]
        return cls(cache, seen)

    def chosen(self, rows: Sequence[int]) -> PaddedKVCache:
        """The rows at these places alone, without the columns that are padding in all of them."""
        import torch

        index = torch.tensor(list(rows), device=self.seen.device)
        seen = self.seen[index]
        first = int(seen.argmax(1).min())
        for layer in self.cache.layers:
            if _has_keys(layer):
                _hold(layer, layer.keys[index][:, :, first:], layer.values[index][:, :, first:])
            for states, name in _states(layer):
                states[name] = states[name][index]
        return PaddedKVCache(self.cache, seen[:, first:])

    def joined(self, other: PaddedKVCache) -> PaddedKVCache:
        """These rows and the other's below them, the shorter ones padded further on the left."""
        import torch

        length = max(self.seen.shape[1], other.seen.shape[1])
        for layer, more in zip(self.cache.layers, other.cache.layers, strict=True):
            if _has_keys(layer):
                keys = torch.cat([_widened(part, length) for part in (layer.keys, more.keys)])
                values = torch.cat([_widened(part, length) for part in (layer.values, more.values)])
                _hold(layer, keys, values)
            for (states, name), (others, _) in zip(_states(layer), _states(more), strict=True):
                states[name] = torch.cat([states[name], others[name]])
        seen = [_widened(part[:, None, :, None], length) for part in (self.seen, other.seen)]
        return PaddedKVCache(self.cache, torch.cat(seen)[:, 0, :, 0])


def joinable(model: Any) -> bool:
    """Whether every layer keeps what can be chosen and joined by rows, if it keeps anything.

    A layer with a sliding window needs its last tokens only, but its mask hides the others too. Of
    a layer that attends in chunks the mask does not.
    """
    from transformers import DynamicCache, cache_utils

    if getattr(model.config.get_text_config(), "attention_chunk_size", None):
        return False
    known = {getattr(cache_utils, name, None) for name in _JOINABLE}  # older releases lack some
    return {type(layer) for layer in DynamicCache(config=model.config).layers} <= known


def repeated(cache: Any, rows: int) -> Any:
    """The cache of one row as that of many, which leaves the one as it is when it is written to.

    Keys and values are not copied, as an update of these makes new tensors; states, which are
    written in place, are.
    """

    def several(value: torch.Tensor) -> torch.Tensor:
        return value.repeat(rows, *[1] * (value.ndim - 1))

    cache = copy.copy(cache)
    cache.layers = [_copied(layer, several) for layer in cache.layers]
    for layer in cache.layers:
        if _has_keys(layer):
            layer.keys = layer.keys.expand(rows, -1, -1, -1)
            layer.values = layer.values.expand(rows, -1, -1, -1)
    return cache


def _copied(layer: Any, change: Callable[[torch.Tensor], torch.Tensor]) -> Any:
    """A layer with states and marks of its own, the states changed."""
    layer = copy.copy(layer)
    for name, value in vars(layer).items():
        if isinstance(value, dict):
            setattr(layer, name, dict(value))
    for states, key in _states(layer):
        states[key] = change(states[key])
    return layer


def _has_keys(layer: Any) -> bool:
    return getattr(layer, "keys", None) is not None


def _states(layer: Any) -> list[tuple[dict[Any, Any], Any]]:
    """Where a layer holds tensors of one state a row: the mapping, and the key in it."""
    import torch

    mappings = [value for value in vars(layer).values() if isinstance(value, dict)]
    return [
        (mapping, key)
        for mapping in mappings
        for key, state in mapping.items()
        if isinstance(state, torch.Tensor)
    ]


def _hold(layer: Any, keys: torch.Tensor, values: torch.Tensor) -> None:
    if hasattr(layer, "hold"):
        layer.hold(keys, values)
    else:
        layer.keys, layer.values = keys, values


def _widened(part: torch.Tensor, length: int) -> torch.Tensor:
    """Zeros before the tokens, which lie along the last axis but one."""
    import torch

    return torch.nn.functional.pad(part, (0, 0, length - part.shape[-2], 0))


@once
def _growing_layer() -> Any:
    """The class of a cache layer with room for more; made here since transformers loads late."""
    from transformers.cache_utils import DynamicLayer

    class GrowingLayer(DynamicLayer):  # type: ignore[no-untyped-call]
        """As `DynamicLayer`, which copies all it holds for each new token; this one writes."""

        room: tuple[torch.Tensor, torch.Tensor] | None = None

        def update(
            self, key_states: torch.Tensor, value_states: torch.Tensor, *_: Any, **__: Any
        ) -> tuple[torch.Tensor, torch.Tensor]:
            if self.keys is None or self.values is None:
                return super().update(key_states, value_states)
            start, stop = self.keys.shape[-2], self.keys.shape[-2] + key_states.shape[-2]
            if self.room is None or stop > self.room[0].shape[-2]:
                self.room = (_roomy(self.keys, stop), _roomy(self.values, stop))
            for room, new in zip(self.room, (key_states, value_states), strict=True):
                room[:, :, start:stop] = new
            keys, values = (room[:, :, :stop] for room in self.room)
            self.keys, self.values = keys, values
            return keys, values

        def hold(self, keys: torch.Tensor, values: torch.Tensor) -> None:
            """Hold these instead."""
            self.keys, self.values, self.room = keys, values, None

    return GrowingLayer


def _roomy(part: torch.Tensor, stop: int) -> torch.Tensor:
    """A copy with room for `stop` tokens and some more."""
    rows, heads, length, size = part.shape
    room = part.new_empty(rows, heads, stop + _BLOCK, size)
    room[:, :, :length] = part
    return room
