"""One forward pass of a causal language model: how much it reads, and its narrowed last product."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch


@dataclass
class Budget:
    """How much is read in one forward pass; halved when memory runs out.

    Attributes:
        tokens: Padded tokens a pass.
        halved: How often memory ran out.
    """

    tokens: int
    halved: int = 0

    @classmethod
    def of(cls, model: Any) -> Budget:
        """What keeps a processor of this kind busy: cores read less at once than a GPU."""
        return cls(2048 if next(model.parameters()).device.type == "cpu" else 32_768)

    def halve(self) -> None:
        self.tokens = max(1, self.tokens // 2)
        self.halved += 1


class Head:
    """A model whose vocabulary projection is done only where asked, and in float32 at least.

    The model's own `forward` runs, so whatever a family does to its logits (cohere and granite
    scale them, gemma2 caps them) is done. Only the projection's input is narrowed, on the way in.
    """

    def __init__(self, model: Any) -> None:
        import torch

        self.model = model
        self.device = next(model.parameters()).device
        head = model.get_output_embeddings()
        self.head: Any = head if type(head) is torch.nn.Linear else None
        if self.head is not None:
            self.exact = self.head.weight.dtype == torch.bfloat16
            dtype = torch.promote_types(self.head.weight.dtype, torch.float32)
            self.weight = self.head.weight.to(dtype)
            self.bias = None if self.head.bias is None else self.head.bias.to(dtype)

    def cache(self, tokens: Sequence[int]) -> Any:
        """Key-value cache of one row of tokens."""
        import torch

        ids = torch.tensor([list(tokens)], device=self.device)
        with self._only(torch.zeros(1, dtype=torch.long, device=self.device)):
            return self.model(ids, use_cache=True).past_key_values

    def logits(
        self,
        rows: Sequence[Sequence[int]],
        where: torch.Tensor,
        cache: Any = None,
        **layout: torch.Tensor,
    ) -> torch.Tensor:
        """Logits `(n, vocabulary)`, float32 at least, at `n` flat positions of right-padded rows.

        Args:
            rows: Token ids; those after what the cache holds.
            where: Flat positions, row times the longest row's length plus the place in the row.
            cache: Of one row that goes before all of these, left as it is; or None.
            layout: `attention_mask` and `position_ids` where rows are more than plain text.
        """
        import torch

        kept: dict[str, Any] = {name: part.to(self.device) for name, part in layout.items()}
        if cache is not None:
            kept["past_key_values"] = _repeated(cache, len(rows))
        where = where.to(self.device)
        with self._only(where):
            output = self.model(padded(rows).to(self.device), use_cache=cache is not None, **kept)
        logits: torch.Tensor = output.logits.flatten(0, 1)
        logits = logits if len(logits) == len(where) else logits[where]
        return logits.to(torch.promote_types(logits.dtype, torch.float32))

    @contextmanager
    def _only(self, where: torch.Tensor) -> Iterator[None]:
        """While open, the projection sees only the positions `where`, as one row."""
        if self.head is None:
            yield
            return
        self.head.forward = lambda hidden: self._project(hidden.flatten(0, 1)[where][None])
        try:
            yield
        finally:
            del self.head.forward  # the method of the class again

    def _project(self, hidden: torch.Tensor) -> torch.Tensor:
        """The logits; of bfloat16 factors, whose products are exact, on the bfloat16 units."""
        import torch

        exact = hidden.dtype == torch.bfloat16 and self.exact
        settings: Any = torch.backends.mkldnn.matmul  # type: ignore[attr-defined]  # set at run time
        before = settings.fp32_precision
        settings.fp32_precision = "bf16" if exact else before
        try:
            return torch.nn.functional.linear(hidden.to(self.weight), self.weight, self.bias)
        finally:
            settings.fp32_precision = before


def out_of_memory(error: Exception) -> bool:
    """Whether an allocation failed, in words since CPU allocations raise a plain RuntimeError."""
    import torch

    text = str(error)
    plain = "can't allocate memory" in text or "not enough memory" in text
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or plain


@contextmanager
def evaluating(model: Any) -> Iterator[None]:
    """No dropout while open."""
    training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(training)


def rope_turn(model: Any) -> int:
    """Tokens beyond which a model turns all positions of a row otherwise than in a shorter row.

    Longrope (Phi-3 and later) has two sets of frequencies, and the longest row of a batch chooses
    for all of them. Other models: more than any row has.
    """
    config = model.config.get_text_config()
    rope = getattr(config, "rope_parameters", None) or {}
    if rope.get("rope_type") != "longrope":
        return 1 << 30
    return int(rope["original_max_position_embeddings"])


def padded(rows: Sequence[Sequence[int]]) -> torch.Tensor:
    """Integer rows as one tensor, zeros on the right."""
    import torch

    filled = torch.zeros(len(rows), max(map(len, rows)), dtype=torch.long)
    for number, row in enumerate(rows):
        filled[number, : len(row)] = torch.tensor(row)
    return filled


def _repeated(cache: Any, rows: int) -> Any:
    """The cache of one row seen as that of many, without a copy: updates make new tensors."""
    cache = copy.copy(cache)
    cache.layers = [copy.copy(layer) for layer in cache.layers]
    for layer in cache.layers:
        layer.keys = layer.keys.expand(rows, -1, -1, -1)
        layer.values = layer.values.expand(rows, -1, -1, -1)
    return cache
