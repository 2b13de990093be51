"""Calibration text as tokens of a model: blocks, half of them held out."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

from ...cut import CalibrationSource
from ...cut.checkpoint import check_tokens
from ...errors import RunError
from ...notices import notice
from ..opened_model import OpenedModel
from .text_files import open_streams
from .text_mix import TextShare, apportioned, is_named, texts_of
from .text_rows import RowReader
from .text_tokens import token_blocks
from .token_batch import TokenBatch

if TYPE_CHECKING:
    from torch import Tensor

    from .text_mix import NamedText

BLOCK_TOKENS = 512
BATCH_BLOCKS = 8
TOKENS = 65_536
LEAST_KINDS = 16  # different tokens, below which no text is a text
TextSource = str | Path | Sequence[tuple[str | Path, float]] | Iterable[dict[str, "Tensor"]] | None


@dataclass(frozen=True, kw_only=True)
class CalibrationText:
    """Calibration text as tokens.

    Attributes:
        source: What it is, for people.
        fingerprint: sha256 over its tokens, padding left out.
        fit: The half that sums are fitted to.
        held_out: The half that they are judged on.
        mixed: The texts that it is a mix of, whose halves its own are; empty where it is one.
    """

    source: str
    fingerprint: str
    fit: tuple[TokenBatch, ...]
    held_out: tuple[TokenBatch, ...]
    mixed: tuple[CalibrationText, ...] = ()

    @property
    def tokens(self) -> int:
        """Tokens of both halves that each stack of layers reads."""
        return sum(batch.tokens for batch in (*self.fit, *self.held_out))

    @property
    def parts(self) -> Iterator[TokenBatch]:
        """All that is read, of a pair of stacks what each reads for itself."""
        return (part for batch in (*self.fit, *self.held_out) for part in batch.parts)

    @property
    def summaries(self) -> tuple[CalibrationSource, ...]:
        """What a calibration or a refit remembers of it, and of each text of a mix."""
        return tuple(
            CalibrationSource(
                source=text.source,
                fingerprint=text.fingerprint,
                fit_tokens=sum(batch.tokens for batch in text.fit),
                held_out_tokens=sum(batch.tokens for batch in text.held_out),
            )
            for text in self.mixed or (self,)
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
        text: A file or folder of text, a data set of the hub, or several that are mixed by their
            shares of the tokens (`"my-code/:0.7,embedded:0.3"`, or pairs of a name and a share); or
            batches (keyword arguments of the model, of which every second is held out); None for
            the embedded text. Where a model has
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
        if is_named(self.text):
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
        if not is_named(self.text):
            return _for_stacks(text_of(self.text), model)
        texts = texts_of(self.text)
        if len(texts) == 1 and texts[0].name is not None:
            notice(
                f"Warning: {texts[0]} is the only calibration text, so the cut keeps what text of "
                "its kind needs and may lose more on other text; mix in the embedded text with "
                f"{texts[0]}:0.7,embedded:0.3."
            )
        tokenizer, architecture = self.tokenizer or model.tokenizer, model.weights.architecture
        is_encoder = not architecture.is_causal and len(architecture.stacks) == 1
        text = read_text(self.text, tokenizer, self.tokens, closed=is_encoder)
        text.check_vocabulary(model.embedding_rows, tokenizer)
        return _for_stacks(text, model)


def _for_stacks(text: CalibrationText, model: OpenedModel) -> CalibrationText:
    """A text as the stacks of a model read it."""
    if text.mixed:
        return _mixed(text.source, [_for_stacks(each, model) for each in text.mixed])
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
    source: NamedText, tokenizer: Any, tokens: int = TOKENS, *, closed: bool = False
) -> CalibrationText:
    """Calibration text, its first half to fit and its second half held out; of a mix, each text's.

    Args:
        source: A file of text or JSON lines, also packed as .gz, or of Parquet, a folder of such
            files, a data set of the hub (`"org/name"` or `"org/name:subset"`, its split train);
            None for the embedded text; or several of these with shares, as `texts_of` takes them.
            Of rows, a conversation, a question with its answer or a column of text is taken, and
            `CalibrationText.source` names which.
        tokenizer: The model's own; its chat template, if it has one, writes conversations.
        tokens: Most tokens to take, in blocks of `BLOCK_TOKENS`; files and subjects take turns.
        closed: Whether every block also ends as a text of the tokenizer ends, as encoders read it.

    Raises:
        RunError: It cannot be read, holds token ids or other data that is no text, does not tell
            which of its columns is the text, or holds fewer tokens than two blocks or its share.
    """
    check_source(source, tokens)
    texts = texts_of(source)
    if len(texts) == 1:
        return _halved(texts[0], tokenizer, tokens // BLOCK_TOKENS, closed=closed)
    read = []
    for each, half in zip(texts, _halves(texts, tokens), strict=True):
        text = _halved(each, tokenizer, 2 * half, closed=closed)
        asked = 2 * half * BLOCK_TOKENS
        if text.tokens < asked:
            raise RunError(
                f"{text.source}: has only {text.tokens:,} tokens of text, in whole blocks of "
                f"{BLOCK_TOKENS}; its share, {each.share:.0%} of {tokens:,} tokens, is {asked:,}: "
                "take fewer tokens, a smaller share, or more text"
            )
        read.append(text)
    names = (f"{each.share:.0%} {text.source}" for each, text in zip(texts, read, strict=True))
    return _mixed("; ".join(names), read)


def _halved(text: TextShare, tokenizer: Any, most: int, *, closed: bool) -> CalibrationText:
    """The first blocks of one text, at most so many."""
    blocks = token_blocks(text, tokenizer, most, BLOCK_TOKENS, closed=closed)
    half = len(blocks.rows) // 2
    if not half:
        raise RunError(
            f"{blocks.name}: has only {blocks.tokens:,} tokens of text; at least "
            f"{2 * BLOCK_TOKENS:,} are needed, and {TOKENS:,} are usual"
        )
    return _text(blocks.name, _batches(blocks.rows[:half]), _batches(blocks.rows[half:]))


def _halves(texts: Sequence[TextShare], tokens: int) -> list[int]:
    """Blocks of each text of a mix in each half.

    Raises:
        RunError: One gets none.
    """
    half = tokens // BLOCK_TOKENS // 2
    blocks = apportioned([each.share for each in texts], half)
    if 0 in blocks:
        few = texts[blocks.index(0)]
        raise RunError(
            f"{few}: {few.share:.2g} of {tokens:,} tokens is less than a block of {BLOCK_TOKENS} "
            "in each half of the text; take more tokens, or give it a larger share"
        )
    return blocks


def least_tokens(half: int) -> int:
    """Tokens of text that give each half so many, as halves are whole blocks.

    >>> least_tokens(512), least_tokens(4864)
    (1024, 10240)
    """
    return 2 * BLOCK_TOKENS * -(-half // BLOCK_TOKENS)


def check_source(source: NamedText, tokens: int = TOKENS) -> None:
    """Refuse a text that cannot be read, as far as neither tokenizer nor network tell.

    Arguments as for `read_text`.

    Raises:
        RunError: Too few tokens, an empty name, no such file or folder, or shares of a mix that
            do not make a whole.
    """
    if tokens < 2 * BLOCK_TOKENS:
        raise RunError(f"--tokens must be at least {2 * BLOCK_TOKENS}; got {tokens}")
    texts = texts_of(source)
    for name in (each.name for each in texts if each.name is not None):
        if not name.strip():
            raise RunError(
                "a text must be named: a file, a folder or a data set; got an empty name"
            )
        open_streams(name, RowReader())  # opened when they are read
    _halves(texts, tokens)


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


def _mixed(source: str, texts: Sequence[CalibrationText]) -> CalibrationText:
    """Several texts as one, half by half."""
    fit, held_out = (
        [batch for text in texts for batch in getattr(text, half)] for half in ("fit", "held_out")
    )
    return replace(_text(source, fit, held_out), mixed=tuple(texts))


def _batches(blocks: Sequence[list[int]]) -> list[TokenBatch]:
    import torch

    groups = (blocks[i : i + BATCH_BLOCKS] for i in range(0, len(blocks), BATCH_BLOCKS))
    return [TokenBatch(input_ids=torch.tensor(group)) for group in groups]
