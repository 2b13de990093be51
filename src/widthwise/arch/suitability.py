"""What a width does not suit of all that is done with a cut model later.

- Quantization in groups of 128: GPTQ and AWQ scale 128 inputs together by default, and down has as
  many inputs as the block has neurons; kernels take whole groups (vLLM refuses other widths: `The
  input size is not aligned with the quantized weight shape`, and Marlin by `min_thread_k = 128`).
  The scales of DeepSeek's FP8 stand for blocks of 128 x 128 weights.
- K types of llama.cpp (Q4_K, Q6_K ...): a row is super-blocks of `QK_K` = 256 weights; a row of
  down is as long as the block is wide. Rows that do not fit are stored in another type.
- Tensor parallelism over N devices: each gets an equal part of the neurons (vLLM's `divide` asserts
  it), so N must divide the width. With groups of 128 each part must be whole groups, so 128 N must
  divide it (vLLM: `is not divisible by weight quantization block_n = 128`); that is not told, as
  few dense models do.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ..stats import joined
from .architecture import GroupKind

GROUP, SUPER_BLOCK = 128, 256
_DEVICES = (2, 4, 8)


@dataclass(frozen=True, kw_only=True)
class CutWidths:
    """The widths that one kind of groups is cut to.

    Attributes:
        name: Of the kind; empty where there is no other.
        dense: The width before the cut.
        unaligned: The width before rounding.
        kept: The widths after the cut.
    """

    name: str
    dense: int
    unaligned: int
    kept: tuple[int, ...]


def unsuited(width: int, dense: int) -> tuple[str, ...]:
    """What a width does not suit, in a few words each.

    Nothing is said of multiples that even the dense width does not reach.

    >>> unsuited(1376, 1536), unsuited(1280, 1536)
    (('groups of 128 (GPTQ, AWQ, FP8 blocks)', "llama.cpp's K types (256)"), ())
    >>> unsuited(1382, 1536)[0]
    'tensor parallelism over 4 or 8 devices'
    """
    result = []
    devices = [str(count) for count in _DEVICES if width % count]
    if dense >= GROUP and devices:
        result.append(f"tensor parallelism over {_either(devices)} devices")
    if dense >= GROUP and width % GROUP:
        result.append(f"groups of {GROUP} (GPTQ, AWQ, FP8 blocks)")
    if dense >= SUPER_BLOCK and width % SUPER_BLOCK:
        result.append(f"llama.cpp's K types ({SUPER_BLOCK})")
    return tuple(result)


def unsuited_kinds(kinds: Sequence[GroupKind], widths: Sequence[int]) -> list[str]:
    """What the widths of the kinds of groups do not suit; of several kinds each by its name.

    >>> unsuited_kinds([GroupKind("mlp", "intermediate_size", 160)], [160])
    ['groups of 128 (GPTQ, AWQ, FP8 blocks)']
    """
    return [
        f"{kind.name} of width {width}: {use}" if len(kinds) > 1 else use
        for kind, width in zip(kinds, widths, strict=True)
        for use in unsuited(width, kind.width)
    ]


def suitability_note(kinds: Sequence[CutWidths]) -> str:
    """What the widths of a cut do not suit, and the alignment that does; empty where nothing.

    >>> suitability_note([CutWidths(name="", dense=2048, unaligned=1382, kept=(1376,))])
    "width 1376 does not suit groups of 128 (GPTQ, AWQ, FP8 blocks) or llama.cpp's K types (256); \
--align 256 gives 1280"
    """
    told: dict[tuple[str, ...], list[CutWidths]] = {}
    for kind in kinds:
        if uses := _unsuited(kind):
            told.setdefault(uses, []).append(kind)
    clauses = [
        f"{joined(list(map(_named, those)))} do{'es' * _is_one(those)} not suit {_either(uses)}"
        for uses, those in told.items()
    ]
    offer = _offer([kind for those in told.values() for kind in those])
    return "; ".join(filter(None, [*clauses, offer]))


def _unsuited(kind: CutWidths) -> tuple[str, ...]:
    """What one of its widths at least does not suit; nothing where the kind was not cut."""
    is_cut = set(kind.kept) != {kind.dense}
    return unsuited(math.gcd(*kind.kept), kind.dense) if is_cut else ()


def _is_one(kinds: Sequence[CutWidths]) -> bool:
    return len(kinds) == 1 and len(set(kinds[0].kept)) == 1


def _named(kind: CutWidths) -> str:
    name, widths = f" of {kind.name}" if kind.name else "", sorted(set(kind.kept))
    is_one = len(widths) == 1
    return f"width {widths[0]}{name}" if is_one else f"widths of {widths[0]} to {widths[-1]}{name}"


def _offer(kinds: Sequence[CutWidths]) -> str:
    """The alignments that suit more uses, with the widths that they give; the largest of equals."""
    offers = {}
    for step in (GROUP, SUPER_BLOCK):
        rounded = [kind.unaligned // step * step for kind in kinds]
        are_new = [set(kind.kept) != {width} for kind, width in zip(kinds, rounded, strict=True)]
        if any(are_new) and all(rounded) and any(kind.dense >= step for kind in kinds):
            offers[_widths(kinds, rounded)] = step
    return ", ".join(f"--align {step} gives {widths}" for widths, step in offers.items())


def _widths(kinds: Sequence[CutWidths], rounded: Sequence[int]) -> str:
    if any(len(set(kind.kept)) > 1 for kind in kinds):
        return "multiples of it"
    each = zip(kinds, rounded, strict=True)
    return joined([f"{kind.name} {width}".strip() for kind, width in each])


def _either(words: Sequence[str]) -> str:
    return " or ".join(filter(None, [", ".join(words[:-1]), *words[-1:]]))
