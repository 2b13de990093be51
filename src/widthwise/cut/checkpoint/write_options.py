"""How a pruned checkpoint is stored."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import Literal, TypedDict

from ...arch import Target
from ...errors import PlanError, TargetError

DTYPES = {"float32": "F32", "float16": "F16", "bfloat16": "BF16"}

Layout = Literal["padded", "compact"]


def stored_dtype(dtype: str | None) -> str | None:
    """safetensors name of `"float32"`, `"float16"` or `"bfloat16"`; None stays None."""
    if dtype is not None and dtype not in DTYPES:
        raise TargetError(f"--dtype must be one of {', '.join(DTYPES)}; got {dtype!r}")
    return DTYPES[dtype] if dtype else None


class StoreOptions(TypedDict, total=False):
    """Keyword arguments that stand for `WriteOptions`."""

    dtype: str | None
    max_shard_size: str | int
    layout: Layout
    force: bool
    command: str | None
    tie_embeddings: bool


@dataclass(frozen=True, kw_only=True)
class WriteOptions:
    """How a result is written.

    Attributes:
        dtype: `"float32"`, `"float16"` or `"bfloat16"` for all floating tensors; None keeps the
            parent's.
        max_shard_size: Largest weight file (`"5GB"`, `"500MB"`, or bytes); a larger tensor has a
            file of its own.
        layout: How layers of unequal widths are stored. `"padded"`: with zeros up to the widest, a
            plain checkpoint that costs what the widest costs. `"compact"`: each in its own size,
            with a file of code, for `from_pretrained(..., trust_remote_code=True)` only.
        force: Whether a folder that exists is replaced.
        command: Command line to quote in the model card.
        tie_embeddings: Whether a `.gguf` file has one copy of the vocabulary where its parent has
            two of the same.

    Raises:
        PlanError, TargetError: One of them is out of range.
    """

    dtype: str | None = None
    max_shard_size: str | int = "5GB"
    layout: Layout = "padded"
    force: bool = False
    command: str | None = None
    tie_embeddings: bool = False

    def __post_init__(self) -> None:
        if self.layout not in ("padded", "compact"):
            raise PlanError(f"layout must be padded or compact; got {self.layout!r}")
        stored_dtype(self.dtype)
        _shard_limit(self.max_shard_size)

    @property
    def stored_dtype(self) -> str | None:
        """safetensors name of the dtype."""
        return stored_dtype(self.dtype)

    @property
    def max_shard_bytes(self) -> int:
        """Most bytes of tensors in a file."""
        return _shard_limit(self.max_shard_size)


def _shard_limit(text: str | int) -> int:
    """Bytes of `"5GB"`, `"500MB"` or a plain number."""
    limit: Target | None = None
    with suppress(TargetError):
        limit = Target("size", str(text))
    if limit is None or limit.is_share:
        raise TargetError(f"--max-shard-size must look like 5GB or 500MB; got {str(text)[:40]!r}")
    return int(limit.amount)
