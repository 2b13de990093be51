"""Gated blocks that a cut leaves as they are, since their width is another one than is cut."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .architecture import Architecture

# A matrix of a block in a layer: `gate_proj.weight`, and `gate_proj.linear.weight` in some towers.
_MATRIX = re.compile(
    r"(?P<stem>.+?)\.\d+\.(?:.+\.)?(?P<part>gate_proj|gate_up_proj|down_proj|w[123])\.(?:\w+\.)?weight"
)
_GATED = ({"gate_proj"}, {"gate_up_proj"}, {"w1", "w3"})


def left_alone(architecture: Architecture) -> dict[str, tuple[int, ...]]:
    """Stacks of layers with gated blocks that are not cut, such as those of a vision tower.

    Returns: For the begin of the names of each stack the widths of its blocks, ascending.
    """
    parts: dict[str, set[str]] = {}
    widths: dict[str, set[int]] = {}
    for name, spec in architecture.tensors.items():
        match = _MATRIX.fullmatch(name)
        if not match or match["stem"] in architecture.stems:
            continue
        parts.setdefault(match["stem"], set()).add(match["part"])
        if match["part"] in ("down_proj", "w2"):
            widths.setdefault(match["stem"], set()).add(spec.shape[-1])
    return {
        stem: tuple(sorted(widths[stem]))
        for stem, found in parts.items()
        if stem in widths and any(gated <= found for gated in _GATED)
    }


def left_alone_note(architecture: Architecture) -> str:
    """A clause that names them, or "" where there are none."""
    stacks = [
        f"{stem} (of width {', '.join(map(str, widths))})"
        for stem, widths in left_alone(architecture).items()
    ]
    if not stacks:
        return ""
    return f"gated blocks of other parts are left as they are: {'; '.join(stacks)}"
