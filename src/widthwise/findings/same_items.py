"""Whether two scores are of the same items, asked in the same way."""

from __future__ import annotations

from ..study import Record

_SAME = ("metric", "shots", "task_version", "source", "max_new_tokens", "until", "floors")
_NAMES = {"source": "samples", "floors": "floors, so other items", "task_version": "task versions"}


def why_not_paired(own: Record, other: Record) -> str:
    """Why two scores of one task cannot be compared item by item; "" if they can."""
    if own.unit != other.unit:
        return f"{own.unit} and {other.unit}"
    if not own.items or not other.items:
        return "no items are stored"
    if own.settings.get("until") is None and len(own.items) != len(other.items):
        return f"{len(own.items):,} and {len(other.items):,} items"
    if own.settings.get("floor_rule") != other.settings.get("floor_rule"):
        return "floors of different versions; going on with the older study renews them"
    shared = min(len(own.floor_items), len(other.floor_items))
    if own.floor != other.floor or own.floor_items[:shared] != other.floor_items[:shared]:
        return "other floors, so other items"
    for name in _SAME:
        if own.settings.get(name) != other.settings.get(name):
            return f"other {_NAMES.get(name, name.replace('_', ' '))}"
    return ""
