"""One forward pass of a causal language model: how much it reads, and its narrowed last product."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ...io import limited_memory
from ...prune import bfloat16_products
from .kv_cache import cache_of, given, repeated

if TYPE_CHECKING:
    import torch
    from jaxtyping import Bool, Float, Float64, Int

_BLOCK = 1024  # positions, and
_PIECE = 2048  # of the vocabulary, whose logits (8 MB) are made at once: they stay in the cache

_GROUPED = "TRANSFORMERS_SDPA_FORCE_GQA"  # transformers reads it at every attention


@dataclass
class TokenBudget:
    """Tokens read in one forward pass; halved when memory runs out."""

    tokens: int  # padded tokens a pass
    halved: int = 0  # number of times that memory ran out

    @classmethod
    def of(cls, model: Any) -> TokenBudget:
        """A budget that keeps the model's device busy: smaller on a CPU than on a GPU."""
        return cls(4096 if next(model.parameters()).device.type == "cpu" else 32_768)

    def halve(self) -> None:
        self.tokens = max(1, self.tokens // 2)
        self.halved += 1


class LmHead:
    """A model whose vocabulary projection is done only where asked, and in float32 at least.

    The model's own `forward` runs, so whatever a family does to its logits (cohere and granite
    scale them, gemma2 caps them) is done. Only the projection's input is narrowed, on the way in.
    Where logits are the projection and no more, they are made a piece of the vocabulary at a time
    and summed up while they are in the processor's cache: those of a long text would be gigabytes.

    Attributes:
        is_bare: Whether the model gives what its projection gives.
    """

    def __init__(self, model: Any) -> None:
        import torch

        self.model = model
        self.device = next(model.parameters()).device
        head = model.get_output_embeddings()
        self.head: Any = head if type(head) is torch.nn.Linear else None
        self.is_bare = self.head is not None and self._gives_projection()
        if self.head is not None:
            self.exact = self.head.weight.dtype == torch.bfloat16
            dtype = torch.promote_types(self.head.weight.dtype, torch.float32)
            self.weight = self.head.weight.to(dtype)
            self.bias = None if self.head.bias is None else self.head.bias.to(dtype)

    def cache(self, tokens: Sequence[int]) -> Any:
        """Key-value cache of one row of tokens."""
        import torch

        ids = torch.tensor([list(tokens)], device=self.device)
        with self._replaced(lambda hidden: self._projected(hidden[0, :1])[None]):
            return cache_of(self.model(ids, use_cache=True))

    def log_probabilities(
        self,
        rows: Sequence[Sequence[int]],
        where: Int[torch.Tensor, " positions"],
        targets: tuple[Int[torch.Tensor, " targets"], Int[torch.Tensor, " targets"]],
        cache: Any = None,
        on_states: Callable[[torch.Tensor], None] = lambda _: None,
        **layout: torch.Tensor,
    ) -> tuple[Float64[torch.Tensor, " targets"], Bool[torch.Tensor, " targets"]]:
        """Log-probability of each target, float64, and whether it is the likeliest; on the CPU.

        Args:
            rows: Token ids, right-padded here; those after what the cache holds.
            where: Flat positions, row times the longest row's length plus the place in the row.
            targets: Index into `where` of each target, and its token id.
            cache: Cache of one row that goes before all of these, left as it is; or None.
            on_states: Called with the inputs of the projection at `where`, in that order; not of a
                model whose projection is no linear layer.
            layout: `attention_mask` and `position_ids` where rows are more than plain text.
        """
        import torch

        arguments: dict[str, Any] = {name: part.to(self.device) for name, part in layout.items()}
        if cache is not None:
            arguments |= given(self.model, repeated(cache, len(rows)))
        where = where.to(self.device)
        ids = padded(rows).to(self.device)
        narrowed: list[torch.Tensor] = []

        def take(hidden: torch.Tensor) -> torch.Tensor:
            narrowed.append(hidden.flatten(0, 1)[where])
            return hidden[:, :1] if self.is_bare else self._projected(narrowed[0])[None]

        with self._replaced(take):
            logits = self.model(ids, use_cache=cache is not None, **arguments).logits.flatten(0, 1)
        if narrowed:
            on_states(narrowed[0])
        blocks: Iterable[Iterable[torch.Tensor]]
        if self.is_bare:
            blocks = map(self._pieces, torch.split(narrowed[0], _BLOCK))
        else:
            logits = logits if narrowed else logits[where]
            logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
            blocks = ([block] for block in torch.split(logits, _BLOCK))
        return _summed(blocks, targets[0].to(self.device), targets[1].to(self.device))

    @property
    def vocabulary(self) -> int:
        """Number of words, where the projection is a linear layer."""
        return int(self.head.out_features)

    def logits(
        self, states: Float[torch.Tensor, "rows hidden"]
    ) -> Float[torch.Tensor, "rows words"]:
        """Logits from inputs of the projection, as the model makes them, in float32 at least."""
        import torch

        if self.is_bare:
            return self._projected(states)
        token = torch.zeros(1, 1, dtype=torch.long, device=self.device)
        with self._replaced(lambda _: self._projected(states)[None]):
            logits: torch.Tensor = self.model(token, use_cache=False).logits[0]
        return logits.to(torch.promote_types(logits.dtype, torch.float32))

    def _gives_projection(self) -> bool:
        """Whether a pass of one token gives the very tensor of its projection, unchanged."""
        import torch

        mark = torch.linspace(-1, 1, self.head.out_features, device=self.device)[None, None]
        given = mark.clone()
        token = torch.zeros(1, 1, dtype=torch.long, device=self.device)
        with self._replaced(lambda _: given), torch.inference_mode():
            logits = self.model(token, use_cache=False).logits
        return logits is given and torch.equal(given, mark)

    @contextmanager
    def _replaced(self, forward: Callable[[torch.Tensor], torch.Tensor]) -> Iterator[None]:
        """While open, this is done in place of the projection."""
        if self.head is None:
            yield
            return
        self.head.forward = forward
        try:
            yield
        finally:
            del self.head.forward  # the method of the class again

    def _pieces(self, hidden: torch.Tensor) -> Iterator[torch.Tensor]:
        """Logits of these positions, a piece of the vocabulary after another."""
        size = _PIECE if self.device.type == "cpu" else 8 * _PIECE
        for start in range(0, len(self.weight), size):
            yield self._projected(hidden, slice(start, start + size))

    def _projected(
        self, hidden: Float[torch.Tensor, "*rows hidden"], part: slice = slice(None)
    ) -> Float[torch.Tensor, "*rows words"]:
        """Logits; of bfloat16 factors, whose products are exact, on the bfloat16 units."""
        import torch

        exact = hidden.dtype == torch.bfloat16 and self.exact
        bias = None if self.bias is None else self.bias[part]
        with bfloat16_products() if exact else nullcontext():
            return torch.nn.functional.linear(hidden.to(self.weight), self.weight[part], bias)


def _summed(
    blocks: Iterable[Iterable[torch.Tensor]],
    position: Int[torch.Tensor, " targets"],
    token: Int[torch.Tensor, " targets"],
) -> tuple[Float64[torch.Tensor, " targets"], Bool[torch.Tensor, " targets"]]:
    """Log-probabilities and likeliest of `LmHead`, from the logits.

    Args:
        blocks: Logits of up to `_BLOCK` positions at a time, in pieces of the vocabulary.
        position: Position of each target.
        token: Token id of each target.
    """
    import torch

    values = torch.empty(len(token), dtype=torch.float64, device=token.device)
    likeliest = torch.empty(len(token), dtype=torch.bool, device=token.device)
    for number, pieces in enumerate(blocks):
        indices = (position // _BLOCK == number).nonzero()[:, 0]
        row, target = position[indices] - number * _BLOCK, token[indices]
        chosen = torch.empty(len(indices), dtype=torch.float64, device=token.device)
        totals, highs, first = [], [], 0
        for piece in pieces:
            inside = ((target >= first) & (target < first + piece.shape[1])).nonzero()[:, 0]
            chosen[inside] = piece[row[inside], target[inside] - first].double()
            first += piece.shape[1]
            highs.append(piece.amax(-1))
            base = highs[-1].masked_fill(highs[-1] == -torch.inf, 0)[:, None]
            totals.append((piece - base).exp_().sum(-1).log_() + base[:, 0])
        total, highest = torch.stack(totals).logsumexp(0), torch.stack(highs).amax(0)
        values[indices] = chosen - total[row].double()
        likeliest[indices] = chosen == highest[row].double()
    return values.cpu(), likeliest.cpu()


@contextmanager
def evaluating(model: Any) -> Iterator[None]:
    """No dropout while open; and on a CPU, `grouped_attention`, and no more than free memory."""
    training = model.training
    model.eval()
    device = next(model.parameters()).device.type
    try:
        with limited_memory(device), grouped_attention() if device == "cpu" else nullcontext():
            yield
    finally:
        model.train(training)


@contextmanager
def grouped_attention() -> Iterator[None]:
    """While open, `sdpa` does not copy keys and values for each query head.

    transformers spares that copy where there is no mask, since some kernels of a GPU cannot do
    both. That of a CPU can.
    """
    before = os.environ.get(_GROUPED)
    os.environ.setdefault(_GROUPED, "1")
    try:
        yield
    finally:
        if before is None:
            os.environ.pop(_GROUPED, None)


def probe_tokens(model: Any) -> list[int]:
    """17 token ids spread over the vocabulary: the first are special ones, seldom ever trained."""
    size = int(model.config.get_text_config().vocab_size)
    return [number * size // 17 for number in range(17)]


def rope_limit(model: Any) -> int:
    """Tokens beyond which a model turns all positions of a row otherwise than in a shorter row.

    Longrope (Phi-3 and later) has two sets of frequencies, and the longest row of a batch chooses
    for all of them. Dynamic scaling has one for every length. Other models: more than any row has.
    """
    config = model.config.get_text_config()
    turns = [1 << 30]
    for rope in _ropes(config):
        if rope.get("rope_type") == "longrope":
            turns.append(int(rope["original_max_position_embeddings"]))
        if "dynamic" in str(rope.get("rope_type")):
            turns.append(int(config.max_position_embeddings))
    return min(turns)


def rope_is_dynamic(model: Any) -> bool:
    """Whether positions beyond `rope_limit` are turned by the length of the longest row so far."""
    ropes = _ropes(model.config.get_text_config())
    return any("dynamic" in str(rope.get("rope_type")) for rope in ropes)


def _ropes(config: Any) -> list[dict[str, Any]]:
    """Settings of a model's rotations; some have others for each kind of layer."""
    rope = getattr(config, "rope_parameters", None) or {}
    return [rope, *(part for part in rope.values() if isinstance(part, dict))]


def padded(rows: Sequence[Sequence[int]]) -> Int[torch.Tensor, "rows longest"]:
    """Integer rows as one tensor, zeros on the right."""
    import torch

    filled = torch.zeros(len(rows), max(map(len, rows)), dtype=torch.long)
    for number, row in enumerate(rows):
        filled[number, : len(row)] = torch.tensor(row)
    return filled
