"""How many bytes a GGUF file of a checkpoint will have at most, by shapes alone."""

from __future__ import annotations

import re
from typing import Any, Literal

from ...arch import Architecture, default_alignment
from ..checkpoint import Checkpoint
from .converter import words_bytes
from .file_types import FILE_TYPES, MIXED, PLAIN
from .quantize import block_size, row_bytes, written_kind

_AROUND = 160  # bytes of a tensor in the head of the file and before its numbers, at most
_METADATA = 32_768  # settings and the chat template
_MORE_BITS = re.compile(r"v_proj|qkv|kv_b|query_key_value|c_attn|down_proj|dense_4h_to_h|w2\b|wv\b")


def most_export_bytes(
    checkpoint: Checkpoint, file_type: str, width: int | tuple[int, ...] | None = None
) -> int:
    """Most bytes that `export_gguf` writes of a checkpoint, perhaps cut to a width before.

    Tensors that llama.cpp may give more bits are counted with these, so that a file of a type with
    several kinds has somewhat less.

    Args:
        checkpoint: The model.
        file_type: One of `FILE_TYPES`.
        width: As for `counts_at`; None for the model as it is.
    """
    architecture = checkpoint.architecture
    widths = architecture.widths_at(width) if isinstance(width, int) else width
    whole = widths or architecture.dense_widths
    downs, outputs = {group.down for group in architecture.groups}, _outputs(architecture)
    total = _METADATA + words_bytes(checkpoint)
    for name in architecture.tensors:
        if name in architecture.tied:
            continue
        shape = architecture.cut_spec(name, whole).shape
        role: Literal["down", "output", ""] = (
            "down" if name in downs else "output" if name in outputs else ""
        )
        total += _AROUND + most_tensor_bytes(name, shape, file_type, role)
    return total


def block_width(file_type: str, width: int) -> int:
    """Multiple of neurons whose rows of down_proj fill the blocks of a type.

    Where the blocks do not fill the rows of the model as it is, the usual multiple.

    >>> block_width("q8_0", 1536), block_width("q4_k_m", 1536), block_width("q4_k_m", 1500)
    (32, 256, 16)
    """
    block, usual = block_size(_kind(file_type)), default_alignment(width)
    return max(block, usual) if width % block == 0 else usual


def _kind(file_type: str) -> Any:
    from gguf import GGMLQuantizationType as Kind

    return Kind[FILE_TYPES[file_type][1]]


def most_tensor_bytes(
    name: str, shape: tuple[int, ...], file_type: str, role: Literal["down", "output", ""] = ""
) -> int:
    """Most bytes that a tensor of a checkpoint has in a GGUF file.

    Args:
        name: Its name in the checkpoint.
        shape: Its shape.
        file_type: One of `FILE_TYPES`.
        role: Whether it is a down_proj, or gives the logits; "" for any other.
    """
    from gguf import GGMLQuantizationType as Kind

    rows, columns = 1, shape[-1] if shape else 1
    for size in shape[:-1]:
        rows *= size
    if len(shape) < 2:
        return 4 * columns
    kinds = [_kind(file_type)]
    if file_type not in PLAIN and role == "output" and kinds[0] != Kind.Q8_0:
        kinds.append(Kind.Q6_K)
    if file_type in MIXED and (role == "down" or _MORE_BITS.search(name)):
        kinds.append(Kind.Q6_K)
    written = (written_kind(kind, columns) for kind in kinds)
    return rows * max(row_bytes(kind, columns) for kind in written)


def _outputs(architecture: Architecture) -> set[str]:
    """Names of the tensors that give logits: the head, or the table where there is none."""
    table = architecture.table
    shape = architecture.tensors[table].shape if table else ()
    heads = {
        name
        for name, spec in architecture.tensors.items()
        if name not in (table, *architecture.tied) and spec.shape == shape
    }
    return heads or {table}
