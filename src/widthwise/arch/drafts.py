"""Draft layers, which guess tokens ahead (multi-token prediction): their names and settings."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

from .sections import copied_sections

if TYPE_CHECKING:
    from ..io import TensorSpec
    from .architecture import Architecture

_NAME = re.compile(
    r"(^|_)(mtps?|nextn|eagle\d?|medusa|hydra|draft(er)?|speculat(or|ive)|multi_token)(_|\d|$)",
    re.I,
)
_KEY = re.compile(r"(^|_)(mtp|nextn|multi_token)(_|$)", re.IGNORECASE)
_COUNT = re.compile(r"(^|_)(num|n|layers|modules|depth)(_|$)")


def draft_root(name: str) -> str | None:
    """Begin of a name up to the part that says "draft" (`"model.mtp_layers."`), or None."""
    parts = name.split(".")
    for i, part in enumerate(parts[:-1]):
        if _NAME.search(part):
            return ".".join(parts[: i + 1]) + "."
    return None


def announced_drafts(config: Mapping[str, Any]) -> int:
    """Number of draft layers or modules that a config announces."""
    values = [value for part in copied_sections(config) for value in _settings(part).values()]
    return max((value for value in values if type(value) is int), default=0)


def carries_drafts(architecture: Architecture) -> bool:
    """Whether a cut holds draft layers: narrower ones, or others that no width decides."""
    return architecture.drafts is not None or (
        not architecture.left_out and any(draft_root(name) for name in architecture.tensors)
    )


def without_draft_settings(config: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of a config that announces no draft layers: counts 0, lists empty, switches off."""
    parts = copied_sections(config)
    for part in parts:
        part |= {name: type(value)() for name, value in _settings(part).items()}
    return parts[0]


def split_drafts(
    config: Mapping[str, Any],
    tensors: Mapping[str, TensorSpec],
    stem: str,
    layers: int,
    hidden: int,
    widths: Collection[int],
) -> tuple[dict[str, TensorSpec], dict[str, TensorSpec]]:
    """The tensors of the model, and those of draft layers that hold a block of its width.

    Args:
        config: The parsed config.json.
        tensors: Every stored tensor.
        stem: Name before the number of the layers that are cut.
        layers: Number of these layers.
        hidden: Size of the residual stream.
        widths: Widths of the groups that are cut.
    """
    wide = {
        shape
        for width in widths
        for rows in (width, 2 * width)
        for shape in ((rows, hidden), (hidden, rows))
    }
    roots = {
        root
        for name, spec in tensors.items()
        if spec.shape[-2:] in wide and (root := draft_root(name))
    }
    # Stored as layers behind the last one (DeepSeek, GLM), where the config announces them.
    roots |= {f"{stem}.{layers + number}." for number in range(announced_drafts(config))}
    drafted = {n: s for n, s in tensors.items() if roots and n.startswith(tuple(roots))}
    return {n: s for n, s in tensors.items() if n not in drafted}, drafted


def draft_note(architecture: Architecture, criterion: str = "a criterion of weights alone") -> str:
    """A sentence on what a cut makes of draft layers, or "" where there are none.

    Args:
        architecture: The model.
        criterion: How the neurons of draft layers are chosen.
    """
    drafts, left_out = architecture.drafts, architecture.left_out
    if left_out:
        which = _listed(left_out, architecture.stem)
        return f"draft layers ({which}) are left out: {architecture.left_out_because}"
    if drafts is None:
        return ""
    return (
        f"draft layers ({_listed(drafts.tensors, architecture.stem)}) are kept at the width that "
        f"the config states: transformers does not run them, so their neurons are chosen by "
        f"{criterion}, and they are not refitted; numbers of parameters are without them, bytes "
        "are with them"
    )


def _listed(tensors: Mapping[str, TensorSpec], stem: str) -> str:
    """Where draft layers are, and how large."""
    beyond = {".".join(name.split(".")[: stem.count(".") + 2]) for name in tensors}
    named = {(draft_root(name) or "").removesuffix(".") for name in tensors} - {""}
    size = sum(spec.nbytes for spec in tensors.values())
    return f"{', '.join(sorted(named or beyond))}: {len(tensors)} tensors, {size:,} bytes"


def _settings(part: Mapping[str, Any]) -> dict[str, Any]:
    """Counts, lists and switches of a section that say that there are draft layers."""
    return {
        key: value
        for key, value in part.items()
        if _KEY.search(key)
        and (
            (value is True and key.startswith(("use_", "enable_", "with_", "has_")))
            or (type(value) is int and value > 0 and _COUNT.search(key))
            or (isinstance(value, list) and value)
        )
    }
