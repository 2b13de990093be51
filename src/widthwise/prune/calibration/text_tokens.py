"""A named text as blocks of a model's tokens."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ...chat import chat_template_of
from ...errors import RunError
from ...io import is_numbers
from ...notices import notice
from .text_files import EMBEDDED_TEXT, embedded_streams, open_streams, round_robin
from .text_folder import listed
from .text_mix import TextShare
from .text_rows import NUMBERS, RowReader

_PASSAGE = 16  # tokens
_LEAST_DIFFERENT = 0.5  # of passages; sources have .9 of theirs, prose nearly all
_MOST_FOREIGN = 0.05  # of tokens; English and code have .0005, Russian by an English tokenizer .09


@dataclass(frozen=True)
class TokenBlocks:
    """The beginning of a text in blocks of tokens.

    Attributes:
        name: What it is called, with what was taken of it.
        tokens: Tokens that were read, of which the last may fill no block.
        rows: The blocks, each of as many tokens.
    """

    name: str
    tokens: int
    rows: list[list[int]]


def token_blocks(
    text: TextShare, tokenizer: Any, most: int, size: int, *, closed: bool
) -> TokenBlocks:
    """The first blocks of a text, whatever its share of a mix is.

    Args:
        text: The text.
        tokenizer: The model's; its chat template, if it has one, writes conversations.
        most: Most blocks.
        size: Tokens of a block.
        closed: Whether every block also ends as a text of the tokenizer ends.

    Raises:
        RunError: It cannot be read, or is no text.
    """
    name = text.name or EMBEDDED_TEXT
    reader = RowReader(chat_template_of(tokenizer))
    pieces = round_robin(
        embedded_streams() if text.name is None else open_streams(text.name, reader)
    )
    ids = _token_ids(pieces, tokenizer, most * size, name)
    if reader.left_out:
        reader.notes[f"also left out once opened: {listed(reader.left_out)}"] = None
    if reader.notes:
        name = f"{name} ({'; '.join(reader.notes)})"
        notice(f"Text of {name}.")
    for warning in _warnings(ids, tokenizer):
        notice(f"Warning: {name}: {warning}.")
    start, end = _around(tokenizer)
    end = end if closed else []
    step = size - len(start) - len(end)
    rows = [start + ids[i : i + step] + end for i in range(0, len(ids) - step + 1, step)]
    return TokenBlocks(name, len(ids), rows[:most])


def _token_ids(pieces: Iterable[str], tokenizer: Any, tokens: int, name: str) -> list[int]:
    ids: list[int] = []
    read: list[str] = []
    for piece in pieces:
        read.append(piece)
        piece = piece.encode("utf8", "replace").decode("utf8")  # JSON may hold halves of characters
        ids += tokenizer(piece + "\n\n", add_special_tokens=False, verbose=False)["input_ids"]
        if len(ids) >= tokens:
            break
    if ids and is_numbers("".join(read)):
        raise RunError(f"{name}: {NUMBERS}")
    return ids[:tokens]


def _warnings(ids: Sequence[int], tokenizer: Any) -> Iterator[str]:
    """What makes tokens of a text a poor sample of what a model reads."""
    passages = [tuple(ids[i : i + _PASSAGE]) for i in range(0, len(ids) - _PASSAGE + 1, _PASSAGE)]
    different = len(set(passages)) / max(1, len(passages))
    if passages and different < _LEAST_DIFFERENT:
        yield (
            f"it repeats itself, only {different:.1%} of its passages of {_PASSAGE} tokens are "
            "different, so its held-out half says little about other text; take more varied text"
        )
    counts = Counter(ids)
    unknown = getattr(tokenizer, "unk_token_id", None)
    foreign = sum(
        count
        for token, count in counts.items()
        if token == unknown or "\N{REPLACEMENT CHARACTER}" in tokenizer.decode([token])
    )
    if foreign > _MOST_FOREIGN * len(ids):
        yield (
            f"{foreign / len(ids):.0%} of its tokens are unknown to the tokenizer or only parts of "
            "a character, so it is in a language or in signs that the model hardly knows"
        )


def _around(tokenizer: Any) -> tuple[list[int], list[int]]:
    """What the tokenizer puts before a text (BOS), with which blocks must begin, and behind it."""
    bare = tokenizer("a", add_special_tokens=False)["input_ids"]
    whole = tokenizer("a")["input_ids"]
    if not bare or bare[0] not in whole:
        return [], []
    begin = whole.index(bare[0])
    return list(whole[:begin]), list(whole[begin + len(bare) :])
