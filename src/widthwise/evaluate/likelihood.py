"""Log-likelihoods of token runs under a causal language model, in few and full batches.

Three savings, none of which changes the number: rows are padded on the right, where causal
attention never looks, so that no mask is needed; a beginning that many rows share is read once and
its key-value cache is copied; and the vocabulary projection, the widest product of a small model,
is done only at the positions that are scored, and in float32, because bfloat16 logits are so coarse
(1/8 at 16) that options would tie.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

_BATCH_TOKENS = 2048  # padded tokens a forward pass: keeps the cores busy, and memory small
_BATCH_SCORED = 1024  # scored tokens a forward pass: 1024 x 50 k words x 4 bytes = 200 MB of logits
_WORTH_SHARING = 32  # tokens: a shorter shared beginning costs more to copy than to read again


@dataclass(frozen=True)
class Run:
    """Tokens of which the last `scored` are scored, given those before them (at least one)."""

    tokens: tuple[int, ...]
    scored: int


def log_likelihoods(
    model: Any,
    groups: Sequence[Sequence[Run]],
    *,
    on_groups: Callable[[int], None] | None = None,
) -> list[list[float]]:
    """Sum of log-probabilities (nats) of the scored tokens of each run.

    Args:
        model: Any `AutoModelForCausalLM`; left as it was.
        groups: Runs that belong together (the options of an item); a group is never split over two
            batches, and the beginning that all runs of all groups share is read once.
        on_groups: Called after each batch with the number of groups done so far.
    """
    import torch

    shared = _shared_beginning([run for group in groups for run in group])
    results: list[list[float]] = [[] for _ in groups]
    done = 0
    with _evaluating(model), torch.inference_mode():
        head = _Head(model)
        cache = head.cache(groups[0][0].tokens[:shared]) if shared else None
        for batch in _batches(groups, shared):
            runs = [run for index in batch for run in groups[index]]
            values = iter(_batch(head, runs, shared, cache))
            for index in batch:
                results[index] = [next(values) for _ in groups[index]]
            done += len(batch)
            if on_groups is not None:
                on_groups(done)
    return results


def context_length(model: Any, tokenizer: Any) -> int:
    """Longest run of tokens that the model reads: of its config, else of its tokenizer."""
    config = model.config.get_text_config()
    length = getattr(config, "max_position_embeddings", None)
    return int(length or min(tokenizer.model_max_length, 1 << 20))


def _shared_beginning(runs: Sequence[Run]) -> int:
    """Number of tokens with which every run begins, all of them before the first that is scored.

    The input that predicts the first scored token stays out, since its output is needed.
    """
    first, last = min(run.tokens for run in runs), max(run.tokens for run in runs)
    limit = min(len(run.tokens) - run.scored - 1 for run in runs)
    same = 0
    while same < limit and first[same] == last[same]:
        same += 1
    return same if len(runs) > 1 and same >= _WORTH_SHARING else 0


def _batches(groups: Sequence[Sequence[Run]], shared: int) -> Iterator[list[int]]:
    """Indices of groups, longest first, in batches bounded in padded and in scored tokens."""
    longest = [max(len(run.tokens) for run in group) - shared for group in groups]
    batch: list[int] = []
    rows = scored = width = 0
    for index in sorted(range(len(groups)), key=lambda index: -longest[index]):
        more_rows = len({run.tokens[:-1] for run in groups[index]})
        more_scored = sum(run.scored for run in groups[index])
        wide = (rows + more_rows) * width > _BATCH_TOKENS
        if batch and (wide or scored + more_scored > _BATCH_SCORED):
            yield batch
            batch, rows, scored = [], 0, 0
        width = width if batch else longest[index]
        batch.append(index)
        rows, scored = rows + more_rows, scored + more_scored
    if batch:
        yield batch


def _batch(model: _Head, runs: Sequence[Run], shared: int, cache: Any) -> list[float]:
    """One forward pass; runs that differ in nothing but their last token share a row."""
    import torch

    inputs = list(dict.fromkeys(run.tokens[shared:-1] for run in runs))
    row_of = {tokens: row for row, tokens in enumerate(inputs)}
    width = max(len(tokens) for tokens in inputs)
    ids = torch.zeros(len(inputs), width, dtype=torch.long)
    for row, tokens in enumerate(inputs):
        ids[row, : len(tokens)] = torch.tensor(tokens)
    positions: list[int] = []
    for run in runs:
        end = row_of[run.tokens[shared:-1]] * width + len(run.tokens) - 1 - shared
        positions += range(end - run.scored, end)
    targets = torch.tensor([token for run in runs for token in run.tokens[-run.scored :]])
    owners = torch.tensor([owner for owner, run in enumerate(runs) for _ in range(run.scored)])
    where, inverse = torch.unique(torch.tensor(positions), return_inverse=True)
    logits = model.logits(ids, where, cache)
    inverse, targets = inverse.to(logits.device), targets.to(logits.device)
    total = torch.cat(
        [part.logsumexp(-1) for part in torch.split(logits, 256)]
    )  # small temporaries
    chosen = logits[inverse, targets].double() - total[inverse].double()
    sums = torch.zeros(len(runs), dtype=torch.float64)
    values: list[float] = sums.index_add(0, owners, chosen.cpu()).tolist()
    return values


class _Head:
    """A model whose vocabulary projection is done only where asked, and in float32.

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
            self.weight = self.head.weight.float()
            self.bias = None if self.head.bias is None else self.head.bias.float()

    def cache(self, tokens: Sequence[int]) -> Any:
        """Key-value cache of one row of tokens."""
        import torch

        with self._only(torch.zeros(1, dtype=torch.long, device=self.device)):
            ids = torch.tensor([list(tokens)], device=self.device)
            return self.model(ids, use_cache=True).past_key_values

    def logits(self, ids: torch.Tensor, where: torch.Tensor, cache: Any) -> torch.Tensor:
        """float32 logits `(n, vocabulary)` of `ids` `(rows, width)` at `n` flat positions."""
        kept: dict[str, Any] = {"use_cache": False}
        if cache is not None:
            kept = {"use_cache": True, "past_key_values": _repeated(cache, len(ids))}
        where = where.to(self.device)
        with self._only(where):
            logits: torch.Tensor = self.model(ids.to(self.device), **kept).logits.flatten(0, 1)
        return (logits if len(logits) == len(where) else logits[where]).float()

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
        """float32 logits; of bfloat16 factors, whose products are exact, on the bfloat16 units."""
        import torch

        exact = hidden.dtype == torch.bfloat16 and self.exact
        settings: Any = torch.backends.mkldnn.matmul  # type: ignore[attr-defined]  # set at run time
        before = settings.fp32_precision
        settings.fp32_precision = "bf16" if exact else before
        try:
            return torch.nn.functional.linear(hidden.float(), self.weight, self.bias)
        finally:
            settings.fp32_precision = before


def _repeated(cache: Any, rows: int) -> Any:
    """The cache of one row seen as that of many, without a copy: updates make new tensors."""
    cache = copy.copy(cache)
    cache.layers = [copy.copy(layer) for layer in cache.layers]
    for layer in cache.layers:
        layer.keys = layer.keys.expand(rows, -1, -1, -1)
        layer.values = layer.values.expand(rows, -1, -1, -1)
    return cache


@contextmanager
def _evaluating(model: Any) -> Iterator[None]:
    """No dropout while open."""
    training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(training)
