"""Dataclasses from plain JSON, with every type checked, and arrays from NumPy archives."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import fields, is_dataclass
from functools import cache
from math import isfinite
from pathlib import Path
from types import NoneType, UnionType
from typing import (
    TYPE_CHECKING,
    Any,
    Literal,
    NoReturn,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

from ..errors import RunError

if TYPE_CHECKING:
    from numpy.typing import NDArray

_WORDS = {float: "a finite number", int: "a whole number", str: "text", bool: "true or false"}


class PlainTypeError(TypeError):
    """A value that is not what its type says.

    Args:
        name: The name of the value.
        wanted: What it must be, in words.
        value: The value.
    """

    def __init__(self, name: str, wanted: str, value: Any) -> None:
        super().__init__(f"{name} must be {wanted}, not {str(value)[:40]}")
        self.name, self.value = name, value

    @property
    def is_too_large(self) -> bool:
        """Whether it is a number, but none that float64 holds."""
        return isinstance(self.value, int) and abs(self.value) > sys.float_info.max


def read_arrays(path: Path, names: Sequence[str]) -> dict[str, NDArray[Any]]:
    """Some arrays of a NumPy archive (.npz); nothing in it is run.

    Raises:
        KeyError: An array is missing.
        ValueError: The file is something else, or holds pickles.
    """
    import numpy as np

    with open(path, "rb") as file:
        archive = np.load(file, allow_pickle=False)
        if not isinstance(archive, np.lib.npyio.NpzFile):
            raise ValueError("a single array")
        with archive:
            return {name: np.asarray(archive[name]) for name in names}


def from_json(kind: Any, line: str, name: str) -> Any:
    """A dataclass from a line of JSON that holds its fields; see `from_plain`.

    Raises:
        RunError: It is no such line; the sentence begins with "a" and the `name`.
    """
    try:
        data = json.loads(line, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise RunError(f"a {name} is not JSON: {error}") from error
    try:
        return from_plain(kind, data, f"a {name}")
    except PlainTypeError as error:
        if error.is_too_large:
            raise RunError(f"a {name} has a {error.name} that is out of range") from error
        raise RunError(f"a {name} has {error.name} {str(error.value)[:40]}: {error}") from error
    except TypeError as error:
        raise RunError(str(error)) from error


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no number")


def from_plain(kind: Any, value: Any, name: str = "a run") -> Any:
    """Decode a value that `dataclasses.asdict` and JSON encoded.

    A dataclass must have all its fields and no others. The metadata of a field may say otherwise:
    one with `{"added_later": True}` may be absent, and has its default then. `{"name": ...}` is
    what errors call its value instead of the field's name.

    Args:
        kind: Its type: a dataclass, a number, text, true or false, a literal, a tuple, a mapping
            from text, one of these or None; `Any` takes what is there.
        value: A value of JSON: objects, lists, numbers, text, None.
        name: Its name in errors; an entry of a mapping has its key added.

    Raises:
        TypeError: It is no such value; a number that is not finite is none.

    Example:
        >>> from_plain(tuple[int, ...], [1, 2]), from_plain(float | None, None)
        ((1, 2), None)
        >>> from_plain(Mapping[str, float], {"mmlu": None}, "accuracy of")
        Traceback (most recent call last):
        widthwise.io.decode.PlainTypeError: accuracy of mmlu must be a finite number, not None
    """
    origin, parts = get_origin(kind), get_args(kind)
    if kind is Any:
        return value
    if is_dataclass(kind):
        return _dataclass(kind, value, name)
    if origin in (Union, UnionType):
        (inner,) = (part for part in parts if part is not NoneType)
        return None if value is None else from_plain(inner, value, name)
    if origin is tuple:
        return _tuple(parts, value, name)
    if origin in (dict, Mapping):
        _check(isinstance(value, dict), name, "an object", value)
        return {key: from_plain(parts[1], each, f"{name} {key}") for key, each in value.items()}
    if origin is Literal:
        words = f"one of {', '.join(map(str, parts))}"
        _check(
            any(type(value) is type(part) and value == part for part in parts), name, words, value
        )
        return value
    _check(_fits(kind, value), name, _WORDS[kind], value)
    return float(value) if kind is float else value


def _fits(kind: type, value: Any) -> bool:
    if isinstance(value, bool):
        return kind is bool
    if kind in (float, int) and isinstance(value, int | float):
        return isinstance(value, kind | int) and abs(value) <= sys.float_info.max
    return isinstance(value, kind)


def _check(fits: bool, name: str, wanted: str, value: Any) -> None:
    if not fits:
        raise PlainTypeError(name, wanted, value)


@cache
def _fields(kind: type) -> dict[str, tuple[Any, str, bool]]:
    """Type of each field, its name in errors, and whether it may be absent."""
    types = get_type_hints(kind)
    return {
        each.name: (
            types[each.name],
            each.metadata.get("name", each.name),
            each.metadata.get("added_later", False),
        )
        for each in fields(kind)
    }


def _dataclass(kind: Any, value: Any, name: str) -> Any:
    known = _fields(kind)
    required = {key for key, (_, _, added_later) in known.items() if not added_later}
    if not isinstance(value, dict) or not required <= set(value) <= set(known):
        odd: Any = str(value)[:40]
        if isinstance(value, dict):
            odd = sorted((set(value) - set(known)) | (required - set(value)))
        raise TypeError(f"{name} has unknown or missing fields: {odd}")
    values = {}
    for key, each in value.items():
        field_kind, field_name, _ = known[key]
        values[key] = from_plain(field_kind, each, field_name)
    return kind(**values)


def _tuple(parts: tuple[Any, ...], value: Any, name: str) -> tuple[Any, ...]:
    _check(isinstance(value, list), name, "a list", value)
    if parts == (float, Ellipsis) and {*map(type, value)} <= {float, int}:
        with suppress(OverflowError):  # the usual case, and fast for many numbers
            numbers = tuple(map(float, value))
            if all(map(isfinite, numbers)):
                return numbers
    if parts == (int, Ellipsis) and {*map(type, value)} == {int}:  # likewise
        return tuple(value)
    kinds = [parts[0]] * len(value) if parts[-1] is Ellipsis else parts
    if len(kinds) != len(value):
        raise TypeError(f"{name} must be {len(kinds)} values, not {len(value)}")
    return tuple(from_plain(kind, each, name) for kind, each in zip(kinds, value, strict=True))
