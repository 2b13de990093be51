"""A batch of texts that are being written, whose rows come and go."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any

from .head import Budget, padded
from .kept import Kept, can_join
from .naming import given

if TYPE_CHECKING:
    import torch

_REFILL = 0.25  # share of the places that must be free before rows are moved and others put in


@dataclass
class Row:
    """A text: the prompt's tokens and those written so far.

    Attributes:
        ends: Whether it is over, asked after each new token.
        is_finite: Whether the model's output was finite all along; a text is over where it is not.
    """

    prompt: tuple[int, ...]
    ends: Callable[[Sequence[int]], bool]
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

    def step(self, waiting: deque[Row]) -> None:
        """Write one more token of every row, then take waiting ones in where places are free."""
        if self._kept is not None:
            self._continue(self._kept)
        self._make_room()
        while waiting and len(self._rows) < self.size and (self._joins or not self._rows):
            self._admit(waiting)
            self._make_room()

    def give_back(self) -> list[Row]:
        """Empty the table and halve its size: its rows, to be read again with what is written."""
        rows = [row for row in self._rows if not row.is_over]
        self._rows, self._kept = [], None
        self.size = max(1, self.size // 2)
        self._budget.halve()
        return rows

    def _continue(self, kept: Kept) -> None:
        """One more token of every row; one that is over stays as long as it is."""
        import torch

        last = torch.tensor([[row.new[-1]] for row in self._rows], device=self._device)
        seen = [[int(not row.is_over)] for row in self._rows]
        kept.seen = torch.cat([kept.seen, torch.tensor(seen, device=self._device)], dim=1)
        self._write(self._rows, last, kept)

    def _make_room(self) -> None:
        """Take rows that are over out, once they are enough."""
        places = [place for place, row in enumerate(self._rows) if not row.is_over]
        gone = len(self._rows) - len(places)
        if gone >= self.size * _REFILL or not places:
            self._kept = self._kept.chosen(places) if self._kept and places else None
            self._rows = [self._rows[place] for place in places]

    def _admit(self, waiting: deque[Row]) -> None:
        """Take as many waiting rows in as may be read together, and write a first token of each."""
        count, longest = 0, 0
        for row in islice(waiting, self.size - len(self._rows)):
            longest = max(longest, len(row.tokens))
            if count and longest * (count + 1) > self._budget.tokens:
                break
            count += 1
        rows = list(islice(waiting, count))
        read = self._read(rows)
        self._rows = [*self._rows, *rows]  # before they are joined, so that they can be given back
        for _ in rows:
            waiting.popleft()
        self._kept = read if self._kept is None else self._kept.joined(read)

    def _read(self, rows: list[Row]) -> Kept:
        """Read whole rows."""
        import torch

        length = max(len(row.tokens) for row in rows)
        lacks = torch.tensor([length - len(row.tokens) for row in rows], device=self._device)
        seen = (torch.arange(length, device=self._device)[None] >= lacks[:, None]).long()
        ids = padded([(*[0] * (length - len(row.tokens)), *row.tokens) for row in rows])
        kept = Kept.empty(self._model, seen, growing=self._joins)
        self._write(rows, ids.to(self._device), kept)
        return kept

    def _write(self, rows: Sequence[Row], ids: torch.Tensor, kept: Kept) -> None:
        """One forward pass, and the most probable next token of each row."""
        positions = (kept.seen.cumsum(1) - 1).clamp(min=0)[:, -ids.shape[1] :]
        logits = self._model(
            ids,
            attention_mask=kept.seen,
            position_ids=positions,
            **given(self._model, kept.cache),
            use_cache=True,
            logits_to_keep=1,
        ).logits[:, -1]
        highest, token = logits.float().max(-1)
        finite = highest.isfinite().tolist()
        for row, value, is_finite in zip(rows, token.tolist(), finite, strict=True):
            if not row.is_over:
                row.new.append(value)
                row.is_finite = is_finite
                row.is_over = not is_finite or row.ends(row.new)
