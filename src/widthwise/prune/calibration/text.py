"""Calibration text as tokens of a model: blocks, half of them held out."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
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
from .token_batch import TokenBatch

if TYPE_CHECKING:
    from torch import Tensor

BLOCK_TOKENS = 512
BATCH_BLOCKS = 8
TOKENS = 65_536
LEAST_KINDS = 16  # different tokens, below which no text is a text
TextSource = str | Path | Iterable[dict[str, "Tensor"]] | None


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
        """Tokens of both halves that each stack of layers reads."""
        return sum(batch.tokens for batch in (*self.fit, *self.held_out))

    @property
    def parts(self) -> Iterator[TokenBatch]:
        """All that is read, of a pair of stacks what each reads for itself."""
        return (part for batch in (*self.fit, *self.held_out) for part in batch.parts)

    @property
    def summary(self) -> CalibrationSource:
        """What a calibration or a refit remembers of it."""
        return CalibrationSource(
            source=self.source,
            fingerprint=self.fingerprint,
            fit_tokens=sum(batch.tokens for batch in self.fit),
            held_out_tokens=sum(batch.tokens for batch in self.held_out),
        )

    def refuse_uneven(self) -> None:
        """Raise RunError where an encoder reads more or fewer tokens than its decoder."""
        for half in (self.fit, self.held_out):
            counts = zip(*([len(part.ids) for part in batch.parts] for batch in half), strict=True)
            if len(sums := {sum(each) for each in counts}) > 1:
                raise RunError(
                    "moments are kept of texts of which encoder and decoder read equally many "
                    f"tokens, and these batches give them {min(sums):,} and {max(sums):,}; refit "
                    "on the batches themselves"
                )

    def check_vocabulary(self, rows: int, tokenizer: Any) -> None:
        """Raise RunError where a token has no row in a model's embedding table of so many rows."""
        for part in self.parts:
            if int(part.input_ids.max()) >= rows:
                check_tokens(part.input_ids.flatten().tolist(), rows, tokenizer, self.source)


class TextOptions(TypedDict, total=False):
    """Keyword arguments that stand for a `TextRequest`.

    Attributes:
        text: A file or folder of text, a data set of the hub, or batches (keyword arguments of the
            model, of which every second is held out); None for the embedded text. Where a model has
            an encoder and a decoder, and batches hold no `decoder_input_ids`, the encoder reads the
            first half of each row, and the decoder the second half behind its start token.
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
            return _for_stacks(text_of(self.text), model)
        tokenizer, architecture = self.tokenizer or model.tokenizer, model.weights.architecture
        is_encoder = not architecture.is_causal and len(architecture.stacks) == 1
        text = read_text(self.text, tokenizer, self.tokens, closed=is_encoder)
        text.check_vocabulary(model.embedding_rows, tokenizer)
        return _for_stacks(text, model)


def _for_stacks(text: CalibrationText, model: OpenedModel) -> CalibrationText:
    """A text as the stacks of a model read it."""
    fit, held_out = (
        [for_stacks(batch, model) for batch in half] for half in (text.fit, text.held_out)
    )
    has_pair = len(model.weights.architecture.stacks) > 1
    return _text(text.source, fit, held_out) if has_pair else text


def for_stacks(batch: TokenBatch, model: OpenedModel) -> TokenBatch:
    """A batch as the encoder and the decoder of a model read it; as it is for any other model.

    Raises:
        RunError: It cannot be divided, or holds what a decoder reads where there is none.
    """
    name, has_pair = model.weights.name, len(model.weights.architecture.stacks) > 1
    if batch.decoder is not None and not has_pair:
        raise RunError(
            f"the batches hold decoder_input_ids, but {name} has no decoder behind an encoder; "
            "leave them out"
        )
    if batch.decoder is not None or not has_pair:
        return batch
    config: Any = model.by_layers.module.config
    settings = ("decoder_start_token_id", "bos_token_id")  # in the order of transformers
    start = next((v for s in settings if (v := getattr(config, s, None)) is not None), None)
    if start is None:
        raise RunError(
            f"the config of {name} must state decoder_start_token_id, with which its decoder "
            "begins; or calibrate on batches that hold decoder_input_ids"
        )
    return batch.divided(int(start))


def text_of(batches: Iterable[dict[str, Tensor]], source: str = "batches") -> CalibrationText:
    """Calibration text from keyword arguments of a model; every second batch is held out.

    Raises:
        RunError: Fewer than two batches with tokens, or hardly any different tokens.
    """
    made = [batch for each in batches if (batch := TokenBatch.of(each)).tokens]
    if len(made) < 2:
        raise RunError(
            "calibration needs at least two batches that are not all padding, one to fit and one "
            f"to hold out; got {len(made)}"
        )
    return _text(source, made[::2], made[1::2])


def read_text(
    source: str | Path | None, tokenizer: Any, tokens: int = TOKENS, *, closed: bool = False
) -> CalibrationText:
    """Calibration text, its first half to fit and its second half held out.

    Args:
        source: A file of text or JSON lines, also packed as .gz, or of Parquet, a folder of such
            files, a data set of the hub (`"org/name"` or `"org/name:subset"`, its split train);
            None for the embedded text. Of rows, a conversation, a question with its answer or a
            column of text is taken, and `CalibrationText.source` names which.
        tokenizer: The model's own; its chat template, if it has one, writes conversations.
        tokens: Most tokens to take, in blocks of `BLOCK_TOKENS`; files and subjects take turns.
        closed: Whether every block also ends as a text of the tokenizer ends, as encoders read it.

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
    start, end = _around(tokenizer)
    end = end if closed else []
    size = BLOCK_TOKENS - len(start) - len(end)
    blocks = [start + ids[i : i + size] + end for i in range(0, len(ids) - size + 1, size)]
    blocks = blocks[: tokens // BLOCK_TOKENS]
    if len(blocks) < 2:
        raise RunError(
            f"{name}: has only {len(ids):,} tokens of text; at least {2 * BLOCK_TOKENS:,} are "
            f"needed, and {TOKENS:,} are usual"
        )
    half = len(blocks) // 2
    return _text(name, _batches(blocks[:half]), _batches(blocks[half:]))


def least_tokens(half: int) -> int:
    """Tokens of text that give each half so many, as halves are whole blocks.

    >>> least_tokens(512), least_tokens(4864)
    (1024, 10240)
    """
    return 2 * BLOCK_TOKENS * -(-half // BLOCK_TOKENS)


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
    for part in (part for batch in (*fit, *held_out) for part in batch.parts):
        kept = part.ids.cpu().long()
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


def _around(tokenizer: Any) -> tuple[list[int], list[int]]:
    """What the tokenizer puts before a text (BOS), with which blocks must begin, and behind it."""
    bare = tokenizer("a", add_special_tokens=False)["input_ids"]
    whole = tokenizer("a")["input_ids"]
    if not bare or bare[0] not in whole:
        return [], []
    begin = whole.index(bare[0])
    return list(whole[:begin]), list(whole[begin + len(bare) :])
