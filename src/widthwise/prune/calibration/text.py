"""Calibration text as tokens of a model: blocks, half of them held out."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import EllipsisType
from typing import TYPE_CHECKING, Any, TypedDict

from ...chat import chat_template_of
from ...cut import CalibrationSource
from ...cut.checkpoint import check_tokens
from ...errors import RunError
from ...io import is_numbers
from ...notices import notice
from ..opened_model import OpenedModel
from .text_files import EMBEDDED_TEXT, embedded_streams, open_streams, round_robin
from .text_rows import NUMBERS, RowReader

if TYPE_CHECKING:
    from torch import Tensor

BLOCK_TOKENS = 512
BATCH_BLOCKS = 8
TOKENS = 65_536
LEAST_KINDS = 16  # different tokens, below which no text is a text
TextSource = str | Path | Iterable[dict[str, "Tensor"]] | None


@dataclass(frozen=True, kw_only=True)
class TokenBatch:
    """Token rows of one length, run together.

    Attributes:
        input_ids: Shape (rows, tokens).
        attention_mask: Of the same shape, 0 where padding stands; None where there is none.
    """

    input_ids: Tensor
    attention_mask: Tensor | None = None

    @property
    def kept(self) -> Tensor | EllipsisType:
        """Index of the tokens that are no padding, among those of all rows; shape (tokens,)."""
        return ... if self.attention_mask is None else self.attention_mask.bool().reshape(-1)

    @property
    def ids(self) -> Tensor:
        """Tokens that are no padding, shape (tokens,)."""
        return self.input_ids.reshape(-1)[self.kept]


@dataclass(frozen=True, kw_only=True)
class CalibrationText:
    """Calibration text as tokens.

    Attributes:
        source: What it is, for people.
        fingerprint: sha256 over its tokens, padding left out.
        fit: The half that sums are fitted to.
        held_out: The half that they are judged on.
    """

    source: str
    fingerprint: str
    fit: tuple[TokenBatch, ...]
    held_out: tuple[TokenBatch, ...]

    @property
    def tokens(self) -> int:
        """Tokens of both halves."""
        return sum(len(batch.ids) for batch in (*self.fit, *self.held_out))

    @property
    def summary(self) -> CalibrationSource:
        """What a calibration or a refit remembers of it."""
        return CalibrationSource(
            source=self.source,
            fingerprint=self.fingerprint,
            fit_tokens=sum(len(batch.ids) for batch in self.fit),
            held_out_tokens=sum(len(batch.ids) for batch in self.held_out),
        )

    def check_vocabulary(self, rows: int, tokenizer: Any) -> None:
        """Raise RunError where a token has no row in a model's embedding table of so many rows."""
        for batch in (*self.fit, *self.held_out):
            if int(batch.input_ids.max()) >= rows:
                check_tokens(batch.input_ids.flatten().tolist(), rows, tokenizer, self.source)


class TextOptions(TypedDict, total=False):
    """Keyword arguments that stand for a `TextRequest`.

    Attributes:
        text: A file or folder of text, a data set of the hub, or batches (keyword arguments of the
            model, of which every second is held out); None for the embedded text.
        tokens: Most tokens to take of a text that is no batches.
        tokenizer: Tokenizer of a model in memory; by default that of its checkpoint.
    """

    text: TextSource
    tokens: int
    tokenizer: Any


@dataclass(frozen=True, kw_only=True, eq=False)
class TextRequest:
    """Which text a model is calibrated on; the fields are those of `TextOptions`.

    Raises:
        RunError: It is named, and not there; or too few tokens of it are asked for.
    """

    text: TextSource = None
    tokens: int = TOKENS
    tokenizer: Any = None

    def __post_init__(self) -> None:
        if self.text is None or isinstance(self.text, str | Path):
            check_source(self.text, self.tokens)

    @classmethod
    def of(cls, asked: TextOptions) -> TextRequest:
        """The request that some keyword arguments describe, which are taken out of them."""
        names = [name for name in TextOptions.__annotations__ if name in asked]
        return cls(**{name: asked.pop(name) for name in names})  # type: ignore[misc]

    def read(self, model: OpenedModel) -> CalibrationText:
        """The text as tokens of a model's tokenizer.

        Raises:
            RunError: It cannot be read, is too short, or holds a token without an embedding.
        """
        if not (self.text is None or isinstance(self.text, str | Path)):
            return text_of(self.text)
        tokenizer = self.tokenizer or model.tokenizer
        text = read_text(self.text, tokenizer, self.tokens)
        text.check_vocabulary(model.embedding_rows, tokenizer)
        return text


def text_of(batches: Iterable[dict[str, Tensor]], source: str = "batches") -> CalibrationText:
    """Calibration text from keyword arguments of a model; every second batch is held out.

    Raises:
        RunError: Fewer than two batches with tokens, or hardly any different tokens.
    """
    made = [
        TokenBatch(input_ids=batch["input_ids"], attention_mask=batch.get("attention_mask"))
        for batch in batches
    ]
    made = [batch for batch in made if len(batch.ids)]
    if len(made) < 2:
        raise RunError(
            "calibration needs at least two batches that are not all padding, one to fit and one "
            f"to hold out; got {len(made)}"
        )
    return _text(source, made[::2], made[1::2])


def read_text(source: str | Path | None, tokenizer: Any, tokens: int = TOKENS) -> CalibrationText:
    """Calibration text, its first half to fit and its second half held out.

    Args:
        source: A file of text or JSON lines, also packed as .gz, or of Parquet, a folder of such
            files, a data set of the hub (`"org/name"` or `"org/name:subset"`, its split train);
            None for the embedded text. Of rows, a conversation, a question with its answer or a
            column of text is taken, and `CalibrationText.source` names which.
        tokenizer: The model's own; its chat template, if it has one, writes conversations.
        tokens: Most tokens to take, in blocks of `BLOCK_TOKENS`; files and subjects take turns.

    Raises:
        RunError: It cannot be read, holds token ids or other data that is no text, does not tell
            which of its columns is the text, or holds fewer tokens than two blocks.
    """
    check_source(source, tokens)
    name = EMBEDDED_TEXT if source is None else str(source)
    reader = RowReader(chat_template_of(tokenizer))
    pieces = round_robin(
        embedded_streams() if source is None else open_streams(str(source), reader)
    )
    ids = _token_ids(pieces, tokenizer, tokens, name)
    if reader.notes:
        name = f"{name} ({'; '.join(reader.notes)})"
        notice(f"Text of {name}.")
    start = _prefix(tokenizer)
    size = BLOCK_TOKENS - len(start)
    blocks = [start + ids[i : i + size] for i in range(0, len(ids) - size + 1, size)]
    blocks = blocks[: tokens // BLOCK_TOKENS]
    if len(blocks) < 2:
        raise RunError(
            f"{name}: has only {len(ids):,} tokens of text; at least {2 * BLOCK_TOKENS:,} are "
            f"needed, and {TOKENS:,} are usual"
        )
    half = len(blocks) // 2
    return _text(name, _batches(blocks[:half]), _batches(blocks[half:]))


def check_source(source: str | Path | None, tokens: int = TOKENS) -> None:
    """Refuse a text that cannot be read, as far as neither tokenizer nor network tell.

    Arguments as for `read_text`.

    Raises:
        RunError: Too few tokens, an empty name, or no such file or folder.
    """
    if tokens < 2 * BLOCK_TOKENS:
        raise RunError(f"--tokens must be at least {2 * BLOCK_TOKENS}; got {tokens}")
    if source is None:
        return
    if not str(source).strip():
        raise RunError("a text must be named: a file, a folder or a data set; got an empty name")
    open_streams(str(source), RowReader())  # opened when they are read


def _text(
    source: str, fit: Sequence[TokenBatch], held_out: Sequence[TokenBatch]
) -> CalibrationText:
    digest, kinds = hashlib.sha256(), set()
    for batch in (*fit, *held_out):
        kept = batch.ids.cpu().long()
        digest.update(kept.numpy().tobytes())
        kinds.update(kept.tolist())
    if len(kinds) < LEAST_KINDS:
        raise RunError(
            f"{source}: cannot be used to calibrate, because it repeats only {len(kinds)} "
            f"different token{'s' if len(kinds) > 1 else ''}"
        )
    return CalibrationText(
        source=source, fingerprint=digest.hexdigest(), fit=tuple(fit), held_out=tuple(held_out)
    )


def _batches(blocks: Sequence[list[int]]) -> list[TokenBatch]:
    import torch

    groups = (blocks[i : i + BATCH_BLOCKS] for i in range(0, len(blocks), BATCH_BLOCKS))
    return [TokenBatch(input_ids=torch.tensor(group)) for group in groups]


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


def _prefix(tokenizer: Any) -> list[int]:
    """What the tokenizer puts before a text (BOS), with which every block must begin."""
    bare = tokenizer("a", add_special_tokens=False)["input_ids"]
    whole = tokenizer("a")["input_ids"]
    return list(whole[: whole.index(bare[0])]) if bare and bare[0] in whole else []
