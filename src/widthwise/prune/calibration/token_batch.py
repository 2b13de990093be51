"""Token rows that are run together, as a model with or without a decoder of its own reads them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import EllipsisType
from typing import TYPE_CHECKING, Any

from ...errors import RunError

if TYPE_CHECKING:
    import torch
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class TokenBatch:
    """Token rows of one length, run together.

    Attributes:
        input_ids: Shape (rows, tokens).
        attention_mask: Of the same shape, 0 where padding stands; None where there is none.
        decoder: What the decoder of a model reads while its encoder reads these rows; None for a
            model of one stack of layers.
    """

    input_ids: Tensor
    attention_mask: Tensor | None = None
    decoder: TokenBatch | None = None

    @classmethod
    def of(cls, arguments: Mapping[str, Any]) -> TokenBatch:
        """The batch that keyword arguments of a model are."""
        ids = arguments.get("decoder_input_ids")
        mask = arguments.get("decoder_attention_mask")
        return cls(
            input_ids=arguments["input_ids"],
            attention_mask=arguments.get("attention_mask"),
            decoder=None if ids is None else cls(input_ids=ids, attention_mask=mask),
        )

    @property
    def arguments(self) -> dict[str, Tensor]:
        """Keyword arguments of a model."""
        given = {"input_ids": self.input_ids, "attention_mask": self.attention_mask}
        if self.decoder is not None:
            given["decoder_input_ids"] = self.decoder.input_ids
            given["decoder_attention_mask"] = self.decoder.attention_mask
        return {name: tensor for name, tensor in given.items() if tensor is not None}

    @property
    def parts(self) -> tuple[TokenBatch, ...]:
        """What each stack of layers reads."""
        return (self,) if self.decoder is None else (self, self.decoder)

    def kept(self, device: torch.device) -> Tensor | EllipsisType:
        """Index of the tokens that are no padding, among those of all rows; shape (tokens,)."""
        mask = self.attention_mask
        return ... if mask is None else mask.bool().reshape(-1).to(device)

    @property
    def ids(self) -> Tensor:
        """Tokens that are no padding, shape (tokens,)."""
        return self.input_ids.reshape(-1)[self.kept(self.input_ids.device)]

    @property
    def tokens(self) -> int:
        """Number of tokens that are no padding; of two parts that of the smaller."""
        return min(len(part.ids) for part in self.parts)

    def rows(self) -> list[TokenBatch]:
        """Its rows, each a batch."""
        return [
            TokenBatch.of({name: each[row : row + 1] for name, each in self.arguments.items()})
            for row in range(len(self.input_ids))
        ]

    def fullest_row(self) -> TokenBatch:
        """The row with the least padding."""
        masks = [part.attention_mask for part in self.parts if part.attention_mask is not None]
        row = int(sum(mask.sum(1) for mask in masks).argmax()) if masks else 0  # type: ignore[union-attr]
        return self.rows()[row]

    def divided(self, start: int) -> TokenBatch:
        """The batch of an encoder, which reads the first half of each row, and of its decoder.

        The decoder reads the second half behind the token `start`, without the last token, which it
        would have to guess: both read equally many.

        Raises:
            RunError: Rows are padded, or too short.
        """
        import torch

        half = self.input_ids.shape[1] // 2
        is_padded = self.attention_mask is not None and not bool(self.attention_mask.all())
        if is_padded or not half:
            raise RunError(
                "batches for an encoder and a decoder must hold decoder_input_ids as well, as "
                f"rows that are {'padded' if is_padded else 'of one token'} cannot be divided"
            )
        begin, end = self.input_ids[:, :half], self.input_ids[:, half : 2 * half - 1]
        ids = torch.cat([torch.full_like(begin[:, :1], start), end], dim=1)
        return TokenBatch(input_ids=begin, decoder=TokenBatch(input_ids=ids))
