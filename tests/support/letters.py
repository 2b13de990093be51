"""A tokenizer of characters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


class Letters:
    """A tokenizer of characters; with or without tokens that begin and end every text."""

    def __init__(self, beginning: tuple[int, ...] = (), end: tuple[int, ...] = ()) -> None:
        self.beginning, self.end = beginning, end

    def __call__(self, text: str, add_special_tokens: bool = True, **_: Any) -> dict[str, Any]:
        start, end = (self.beginning, self.end) if add_special_tokens else ((), ())
        return {"input_ids": [*start, *(ord(letter) for letter in text), *end]}

    def decode(self, ids: Sequence[int]) -> str:
        return "".join(map(chr, ids))
