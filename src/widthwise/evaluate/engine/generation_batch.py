"""A batch of texts that are being written, whose rows come and go."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any

from .cache_trial import CacheUse
from .kv_cache import PaddedKVCache, cache_of, given
from .lm_head import TokenBudget

if TYPE_CHECKING:
    import torch

_REFILL = 0.25  # share of the places that must be free before rows are moved and others put in


@dataclass
class BatchRow:
    """A text: the prompt's tokens and those written so far."""

    prompt: tuple[int, ...]
    ends: Callable[[Sequence[int]], bool]  # whether it is over, asked after each new token
    new: list[int] = field(default_factory=list)
    is_over: bool = False
    is_finite: bool = True  # whether the model's output was finite; else the text is over

    @property
    def tokens(self) -> tuple[int, ...]:
        return (*self.prompt, *self.new)


class GenerationBatch(ABC):
    """Rows that are written at the same time.

    Attributes:
        size: Rows at most.
    """

    def __init__(self, model: Any, size: int, budget: TokenBudget) -> None:
        self.size = size
        self._model = model
        self._device = next(model.parameters()).device
        self._budget = budget
        self._rows: list[BatchRow] = []

    @property
    def is_empty(self) -> bool:
        return not self._rows

    @abstractmethod
    def step(self, waiting: deque[BatchRow]) -> None:
        """Write one more token of every row, then take waiting ones in where places are free."""

    def give_back(self) -> list[BatchRow]:
        """Empty the batch and halve its size; return its rows, to be read again."""
        rows = [row for row in self._rows if not row.is_over]
        self._forget()
        self.size = max(1, self.size // 2)
        self._budget.halve()
        return rows

    def _forget(self) -> None:
        self._rows = []

    def _last(self) -> torch.Tensor:
        """The last token of every row, shape (rows, 1)."""
        import torch

        return torch.tensor([[row.new[-1]] for row in self._rows], device=self._device)


class JoinedBatch(GenerationBatch):
    """Rows of any length, padded on the left to one, and one key-value cache of them all.

    A row that is over keeps its place, and is computed in vain, until enough are over to make it
    worth moving the others together.
    """

    _kept: PaddedKVCache | None = None

    def step(self, waiting: deque[BatchRow]) -> None:
        import torch

        if self._kept is not None:
            seen = [[int(not row.is_over)] for row in self._rows]
            seen_now = torch.tensor(seen, device=self._device)
            _write(self._rows, self._kept.next(self._model, self._last(), seen_now))
        self._make_room()
        while waiting and len(self._rows) < self.size:
            self._admit(waiting)
            self._make_room()

    def _forget(self) -> None:
        super()._forget()
        self._kept = None

    def _make_room(self) -> None:
        """Take rows that are over out, once they are enough."""
        rows = [index for index, row in enumerate(self._rows) if not row.is_over]
        gone = len(self._rows) - len(rows)
        if gone >= self.size * _REFILL or not rows:
            self._kept = self._kept.chosen(rows) if self._kept and rows else None
            self._rows = [self._rows[index] for index in rows]

    def _admit(self, waiting: deque[BatchRow]) -> None:
        """Take as many waiting rows in as may be read together, and write a first token of each."""
        count, longest = 0, 0
        for row in islice(waiting, self.size - len(self._rows)):
            longest = max(longest, len(row.tokens))
            if count and longest * (count + 1) > self._budget.tokens:
                break
            count += 1
        rows = list(islice(waiting, count))
        read, logits = PaddedKVCache.of(self._model, [row.tokens for row in rows])
        _write(rows, logits)
        self._rows = [*self._rows, *rows]  # before they are joined, so that they can be given back
        for _ in rows:
            waiting.popleft()
        self._kept = read if self._kept is None else self._kept.joined(read)


class EqualBatch(GenerationBatch):
    """Rows of one length, without padding; others come in when all of them are over.

    Args:
        model, size, budget: Arguments of `GenerationBatch`.
        caches: Whether the model's own cache is used; else whole texts are read for each token.
    """

    def __init__(self, model: Any, size: int, budget: TokenBudget, *, caches: bool) -> None:
        super().__init__(model, size, budget)
        self._caches = caches
        self._cache: Any = None

    def step(self, waiting: deque[BatchRow]) -> None:
        if self._rows:
            if not self._caches:
                self._rows = [row for row in self._rows if not row.is_over]
            self._read(self._last() if self._caches else self._texts(self._rows))
        while waiting and not self._rows:
            self._admit(waiting)
        if all(row.is_over for row in self._rows):
            self._forget()

    def _forget(self) -> None:
        super()._forget()
        self._cache = None

    def _admit(self, waiting: deque[BatchRow]) -> None:
        """Take as many waiting rows of one length in as may be read together, and read them."""
        rows: list[BatchRow] = []
        for row in islice(waiting, self.size):
            size = len(row.tokens)
            if rows and (size != len(rows[0].tokens) or size * len(rows) >= self._budget.tokens):
                break
            rows.append(row)
        texts = self._texts(rows)
        self._rows = rows
        for _ in rows:
            waiting.popleft()
        self._read(texts)

    def _texts(self, rows: Sequence[BatchRow]) -> torch.Tensor:
        import torch

        return torch.tensor([row.tokens for row in rows], device=self._device)

    def _read(self, ids: torch.Tensor) -> None:
        """One forward pass, and the most probable next token of each row."""
        cache = given(self._model, self._cache) if self._cache is not None else {}
        out = self._model(ids, use_cache=self._caches, logits_to_keep=1, **cache)
        self._cache = cache_of(out) if self._caches else None
        _write(self._rows, out.logits[:, -1])


def batch_of(model: Any, use: CacheUse, size: int, budget: TokenBudget) -> GenerationBatch:
    """An empty batch of the kind that is right for a model."""
    if use == "joined":
        return JoinedBatch(model, size, budget)
    return EqualBatch(model, size, budget, caches=use == "own")


def _write(rows: Sequence[BatchRow], logits: torch.Tensor) -> None:
    """The most probable next token of each row that is not over."""
    highest, token = logits.float().max(-1)
    finite = highest.isfinite().tolist()
    for row, value, is_finite in zip(rows, token.tolist(), finite, strict=True):
        if not row.is_over:
            row.new.append(value)
            row.is_finite = is_finite
            row.is_over = not is_finite or row.ends(row.new)
