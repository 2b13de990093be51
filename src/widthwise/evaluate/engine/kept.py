"""The key-value cache of a batch of texts: written in place, its rows chosen, two joined."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache as once
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

_BLOCK = 64  # tokens by which room grows when it is full


@dataclass
class Kept:
    """What the model keeps of rows that are padded on the left to one length.

    Attributes:
        cache: A cache of transformers.
        seen: Shape (rows, length): 1 where there is a token, 0 for padding.
    """

    cache: Any
    seen: torch.Tensor

    @classmethod
    def empty(cls, model: Any, seen: torch.Tensor, *, growing: bool) -> Kept:
        """Nothing yet of rows that `seen` describes."""
        from transformers import DynamicCache

        cache: Any = DynamicCache(config=model.config)
        if growing:
            cache.layers = [_growing_layer()() for _ in cache.layers]
        return cls(cache, seen)

    def chosen(self, places: Sequence[int]) -> Kept:
        """The rows at these places alone, without the columns that are padding in all of them."""
        import torch

        index = torch.tensor(list(places), device=self.seen.device)
        seen = self.seen[index]
        trims = type(self.cache.layers[0]) is _growing_layer()
        first = int(seen.argmax(1).min()) if trims else 0
        for layer in self.cache.layers:
            _hold(layer, layer.keys[index][:, :, first:], layer.values[index][:, :, first:])
        return Kept(self.cache, seen[:, first:])

    def joined(self, other: Kept) -> Kept:
        """These rows and the other's below them, the shorter ones padded further on the left."""
        import torch

        length = max(self.seen.shape[1], other.seen.shape[1])
        for layer, more in zip(self.cache.layers, other.cache.layers, strict=True):
            keys = torch.cat([_widened(part, length) for part in (layer.keys, more.keys)])
            values = torch.cat([_widened(part, length) for part in (layer.values, more.values)])
            _hold(layer, keys, values)
        seen = [_widened(part[:, None, :, None], length) for part in (self.seen, other.seen)]
        return Kept(self.cache, torch.cat(seen)[:, 0, :, 0])


def can_join(model: Any) -> bool:
    """Whether every layer may keep all it has read, so that rows of different age stand together.

    A layer with a sliding window needs its last tokens only, but its mask hides the others too. A
    layer that attends in chunks, or keeps something else than keys and values, cannot.
    """
    from transformers import DynamicCache
    from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer

    if getattr(model.config.get_text_config(), "attention_chunk_size", None):
        return False
    kinds = {type(layer) for layer in DynamicCache(config=model.config).layers}
    return kinds <= {DynamicLayer, DynamicSlidingWindowLayer}


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
