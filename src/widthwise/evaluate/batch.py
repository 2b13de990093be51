"""A batch of texts that are being written, whose rows come and go."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .head import Budget, padded
from .kept import Kept, can_join

if TYPE_CHECKING:
    import torch

_REFILL = 0.25  # share of the places that must be free before rows are moved and others put in


@dataclass
class Row:
    """A text: prompt `index`, its tokens, at most `limit` new ones, and those written so far."""

    index: int
    prompt: tuple[int, ...]
    limit: int
    new: list[int] = field(default_factory=list)
    is_over: bool = False
    is_finite: bool = True

    @property
    def tokens(self) -> tuple[int, ...]:
        return (*self.prompt, *self.new)


class Table:
    """Rows padded on the left to one length, and their key-value cache.

    A row that is over keeps its place, and is computed in vain, until enough are over to make it
    worth moving the others together.

    Attributes:
        size: Rows at most.
    """

    def __init__(self, model: Any, size: int, budget: Budget) -> None:
        self.size = size
        self._model = model
        self._device = next(model.parameters()).device
        self._budget = budget
        self._joins = can_join(model)
        self._rows: list[Row] = []
        self._kept: Kept | None = None

    @property
    def is_empty(self) -> bool:
        return not self._rows

    def admit(self, waiting: deque[Row]) -> None:
        """Take waiting rows in where places are free, and write a first new token of each."""
        while waiting and len(self._rows) < self.size and (self._joins or not self._rows):
            free = self.size - len(self._rows)
            taken = [waiting[0]]
            for row in list(waiting)[1:free]:
                longest = max(len(taken[0].tokens), len(row.tokens))
                if longest * (len(taken) + 1) > self._budget.tokens:
                    break
                taken.append(row)
            self._read(taken)
            for _ in taken:
                waiting.popleft()

    def step(self) -> None:
        """Write one more token of every row."""
        import torch

        if self._kept is None:
            return
        last = torch.tensor([[row.new[-1]] for row in self._rows], device=self._device)
        seen = self._kept.seen
        self._kept.seen = torch.cat([seen, seen.new_ones(len(self._rows), 1)], dim=1)
        self._write(self._rows, last, self._kept)

    def take_out(self, is_over: Callable[[Row], bool]) -> list[Row]:
        """Rows that have just come to their end."""
        ended = [row for row in self._rows if not row.is_over and is_over(row)]
        for row in ended:
            row.is_over = True
        places = [place for place, row in enumerate(self._rows) if not row.is_over]
        gone = len(self._rows) - len(places)
        if gone >= self.size * _REFILL or not places:
            self._rows = [self._rows[place] for place in places]
            self._kept = self._kept.chosen(places) if self._kept and places else None
        return ended

    def give_back(self) -> list[Row]:
        """Empty the table and halve its size: its rows, to be read again with what is written."""
        rows = [row for row in self._rows if not row.is_over]
        self._rows, self._kept = [], None
        self.size = max(1, self.size // 2)
        self._budget.halve()
        return rows

    def _read(self, rows: list[Row]) -> None:
        """Read whole rows, and join them to those that are there."""
        import torch

        length = max(len(row.tokens) for row in rows)
        lacks = torch.tensor([length - len(row.tokens) for row in rows], device=self._device)
        seen = (torch.arange(length, device=self._device)[None] >= lacks[:, None]).long()
        ids = padded([(*[0] * (length - len(row.tokens)), *row.tokens) for row in rows])
        kept = Kept.empty(self._model, seen, growing=self._joins)
        self._write(rows, ids.to(self._device), kept)
        self._kept = kept if self._kept is None else self._kept.joined(kept)
        self._rows = [*self._rows, *rows]

    def _write(self, rows: Sequence[Row], ids: torch.Tensor, kept: Kept) -> None:
        """One forward pass, and the most probable next token of each row."""
        positions = (kept.seen.cumsum(1) - 1).clamp(min=0)[:, -ids.shape[1] :]
        logits = self._model(
            ids,
            attention_mask=kept.seen,
            position_ids=positions,
            past_key_values=kept.cache,
            use_cache=True,
            logits_to_keep=1,
        ).logits[:, -1]
        highest, token = logits.float().max(-1)
        for row, value, finite in zip(
            rows, token.tolist(), highest.isfinite().tolist(), strict=True
        ):
            row.new.append(value)
            row.is_finite = row.is_finite and finite
