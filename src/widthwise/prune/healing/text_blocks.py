"""The text of a healing: blocks to train on, gone through in a drawn order, and some held out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ...errors import RunError
from ..calibration.text import BLOCK_TOKENS, read_text

if TYPE_CHECKING:
    from ..calibration.text_mix import NamedText

HELD_SHARE, MOST_HELD = 16, 32
LEAST_HELD = 6  # of fewer, whose signs may all agree by chance once in 16, nothing is ever shown


@dataclass(frozen=True, kw_only=True, eq=False)
class TextBlocks:
    """Token rows of one text.

    Attributes:
        source: What it is, for people.
        names: What it is; of a mix, each of its texts.
        fingerprint: sha256 over all of its tokens.
        rows: Blocks to train on, shape (blocks, tokens).
        held_out: Blocks that are never trained on, of the same length.
    """

    source: str
    names: tuple[str, ...]
    fingerprint: str
    rows: Tensor
    held_out: Tensor

    @property
    def tokens(self) -> int:
        """Tokens to train on, each counted once."""
        return int(self.rows.numel())


def read_blocks(source: NamedText, tokenizer: Any, tokens: int) -> TextBlocks:
    """Text as `read_text` reads it, of which about every sixteenth block is held out.

    At most 32 blocks are, spread evenly. A document longer than a block may lie on both sides.

    Raises:
        RunError: It cannot be read, or holds fewer than twelve blocks.
    """
    wanted = max(LEAST_HELD, -(-tokens // BLOCK_TOKENS))
    held = min(MOST_HELD, max(LEAST_HELD, wanted // (HELD_SHARE - 1)))
    text = read_text(source, tokenizer, (wanted + held) * BLOCK_TOKENS)
    rows = torch.cat([batch.input_ids for batch in (*text.fit, *text.held_out)])
    if len(rows) < 2 * LEAST_HELD:
        raise RunError(
            f"{text.source}: has {rows.numel():,} tokens; a healing needs at least "
            f"{2 * LEAST_HELD * BLOCK_TOKENS:,}, and a million are usual"
        )
    trained, kept = split(rows, held)
    return TextBlocks(
        source=text.source,
        names=tuple(part.source for part in text.summaries),
        fingerprint=text.fingerprint,
        rows=trained,
        held_out=kept,
    )


def split(rows: Tensor, most: int = MOST_HELD) -> tuple[Tensor, Tensor]:
    """Rows to train on and rows held out: about every sixteenth, spread evenly."""
    held = min(most, max(LEAST_HELD, len(rows) // HELD_SHARE))
    chosen = torch.zeros(len(rows), dtype=torch.bool)
    chosen[torch.arange(held) * len(rows) // held] = True
    return rows[~chosen], rows[chosen]


def in_epochs(blocks: int, seed: int, start: int, count: int) -> Tensor:
    """Indices of `count` blocks from a place on, over the ends of epochs.

    Each epoch goes through all blocks, in an order of its own.
    """
    orders = []
    for epoch in range(start // blocks, (start + count - 1) // blocks + 1):
        generator = torch.Generator().manual_seed(seed * 1_000_003 + epoch)
        orders.append(torch.randperm(blocks, generator=generator))
    return torch.cat(orders)[start % blocks :][:count]
