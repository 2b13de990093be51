"""What a GGUF file says of the model in it, without its architecture being known here."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..io import remembered_sha256
from .gguf_file import architecture_of, checked_reader
from .wheels import digests

_DOWN = re.compile(r"\.ffn_down.*\.weight$")  # the name of its weights
_FILE_TYPE, _TOKENS = "general.file_type", "tokenizer.ggml.tokens"


@dataclass(frozen=True, kw_only=True)
class GgufFacts:
    """Shapes and type of a model, as its file states them.

    Attributes:
        context: Longest text in tokens; None where it is not stated.
        tokens: Tokens of the vocabulary; 0 where there are none.
        width: Neurons of a block, the mean of its layers, or of one routed expert.
        hidden_size: Entries of the residual stream.
        file_type: Type of most tensors (`"q4_k_m"`); None where it is not stated.
    """

    context: int | None
    tokens: int
    width: int
    hidden_size: int
    file_type: str | None


def gguf_facts(path: Path) -> GgufFacts:
    """Read what a file states of its model; no weight is read.

    Raises:
        CheckpointError: Not a GGUF file, or a truncated one.
        UnsupportedModelError: One without a model, or of several parts.
    """
    reader = checked_reader(path)
    own = architecture_of(reader)

    def stated(name: str) -> Any:
        field = reader.get_field(f"{own}.{name}")
        return None if field is None else field.contents()

    words = reader.get_field(_TOKENS)
    context = stated("context_length")
    return GgufFacts(
        context=None if context is None else int(context),
        tokens=0 if words is None else int(words.parts[4][0]),
        width=_mean(stated("expert_feed_forward_length") or stated("feed_forward_length")),
        hidden_size=int(stated("embedding_length") or 0),
        file_type=_file_type(reader.get_field(_FILE_TYPE)),
    )


def block_sizes(path: Path) -> dict[str, int]:
    """The sizes of the blocks of a file, by the names of a config; empty where blocks are not
    alike, or hold experts.

    Raises:
        CheckpointError, UnsupportedModelError: As `gguf_facts`.
    """
    downs = {
        tuple(map(int, tensor.shape))
        for tensor in checked_reader(path).tensors
        if _DOWN.search(str(tensor.name))
    }
    if len(downs) != 1 or len(shape := downs.pop()) != 2:
        return {}
    return dict(zip(("intermediate_size", "hidden_size"), shape, strict=True))


def gguf_digest(path: Path) -> str:
    """The SHA-256 of a file, read again only where it has changed.

    Raises:
        OSError: It cannot be read.
    """
    return remembered_sha256(path, digests())


def _mean(widths: int | Sequence[int] | None) -> int:
    """One width, of a number or of one for each layer."""
    if not isinstance(widths, Sequence):
        return int(widths or 0)
    return round(sum(widths) / len(widths))


def _file_type(field: Any) -> str | None:
    """The name of a type by its number; None of one that the package gguf does not know."""
    from gguf import LlamaFileType

    if field is None or field.contents() not in {int(kind) for kind in LlamaFileType}:
        return None
    return LlamaFileType(field.contents()).name.partition("_")[2].lower()  # behind MOSTLY or ALL
