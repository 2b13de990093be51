"""Values of dataclasses from plain JSON, with every type seen to."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from math import isfinite
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints


def from_plain(kind: Any, found: Any, name: str = "a run") -> Any:
    """What `dataclasses.asdict` and JSON made of a value, made that value again.

    Args:
        kind: Its type: a dataclass, a number, text, a tuple, a literal, or one of these or None.
        found: Of JSON: objects, lists, numbers, text, None.
        name: What it is called in errors.

    Raises:
        TypeError: It is no such value; a number that is not finite is none.

    Example:
        >>> from_plain(tuple[int, ...], [1, 2]), from_plain(float | None, None)
        ((1, 2), None)
        >>> from_plain(float, None, "accuracy")
        Traceback (most recent call last):
        TypeError: accuracy must be a finite number, not None
    """
    origin, parts = get_origin(kind), get_args(kind)
    if is_dataclass(kind):
        return _dataclass(kind, found, name)
    if origin in (Union, UnionType):
        (one,) = (part for part in parts if part is not NoneType)
        return None if found is None else from_plain(one, found, name)
    if origin is tuple:
        return _tuple(parts, found, name)
    if origin is Literal:
        fits, told = found in parts, f"one of {', '.join(map(str, parts))}"
    elif kind is float:
        fits = _is_number(found) and isfinite(found)
        told = "a finite number"
    elif kind is int:
        fits, told = _is_number(found) and not isinstance(found, float), "a whole number"
    else:
        fits, told = isinstance(found, kind), {str: "text", bool: "true or false"}[kind]
    if not fits:
        raise TypeError(f"{name} must be {told}, not {str(found)[:40]}")
    return float(found) if kind is float else found


def _dataclass(kind: Any, found: Any, name: str) -> Any:
    known = {field.name for field in fields(kind)}
    if not isinstance(found, dict) or set(found) != known:
        odd = sorted(set(found) ^ known) if isinstance(found, dict) else str(found)[:40]
        raise TypeError(f"{name} has unknown or missing fields: {odd}")
    kinds = get_type_hints(kind)
    return kind(**{key: from_plain(kinds[key], found[key], key) for key in found})


def _tuple(parts: tuple[Any, ...], found: Any, name: str) -> tuple[Any, ...]:
    if not isinstance(found, list):
        raise TypeError(f"{name} must be a list, not {str(found)[:40]}")
    kinds = [parts[0]] * len(found) if parts[-1] is Ellipsis else parts
    if len(kinds) != len(found):
        raise TypeError(f"{name} must be {len(kinds)} values, not {len(found)}")
    return tuple(from_plain(kind, one, name) for kind, one in zip(kinds, found, strict=True))


def _is_number(found: Any) -> bool:
    return isinstance(found, int | float) and not isinstance(found, bool)
