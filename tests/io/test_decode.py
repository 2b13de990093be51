"""Plain JSON becomes values of dataclasses, or an error that names what is wrong."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest

from widthwise.io import from_plain, read_arrays


@dataclass(frozen=True, kw_only=True)
class Part:
    value: float | None
    items: tuple[float, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Whole:
    name: str
    kind: Literal["a", 1]
    n: int
    right: bool
    parts: Mapping[str, Part] = field(metadata={"name": "part"})
    settings: Mapping[str, Any]
    pair: tuple[int, str]
    floor: float | None = field(default=None, metadata={"added_later": True})


WHOLE = Whole(
    name="x",
    kind="a",
    n=3,
    right=True,
    parts={"one": Part(value=0.5, items=(1.0, 2.5))},
    settings={"seed": 0, "deep": {"list": [1, None]}},
    pair=(1, "b"),
)


def plain(**changes: Any) -> dict[str, Any]:
    data: dict[str, Any] = json.loads(json.dumps(asdict(WHOLE)))
    return {**data, **changes}


def test_what_json_made_of_a_value_is_that_value_again() -> None:
    assert from_plain(Whole, plain()) == WHOLE
    assert from_plain(Whole, plain(floor=0.25)).floor == 0.25


def test_a_field_that_was_added_later_may_be_absent() -> None:
    old = plain()
    del old["floor"]
    assert from_plain(Whole, old) == WHOLE
    del old["n"]
    with pytest.raises(TypeError, match=r"^a run has unknown or missing fields: \['n'\]$"):
        from_plain(Whole, old)


def test_another_default_may_not_be_absent() -> None:
    with pytest.raises(TypeError, match=r"^part one has unknown or missing fields: \['items'\]$"):
        from_plain(Whole, plain(parts={"one": {"value": 1.0}}))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"extra": 1}, r"a run has unknown or missing fields: \['extra'\]"),
        ({"name": 1}, "name must be text, not 1"),
        ({"kind": True}, "kind must be one of a, 1, not True"),
        ({"n": True}, "n must be a whole number, not True"),
        ({"n": 3.0}, r"n must be a whole number, not 3\.0"),
        ({"right": 1}, "right must be true or false, not 1"),
        ({"floor": float("nan")}, "floor must be a finite number, not nan"),
        ({"floor": 10**400}, "floor must be a finite number, not 1000"),
        ({"parts": []}, r"part must be an object, not \[\]"),
        ({"parts": {"two": 1}}, "part two has unknown or missing fields: 1"),
        ({"parts": {"two": {"value": True, "items": []}}}, "value must be a finite number"),
        ({"parts": {"two": {"value": 1, "items": [1.0, float("inf")]}}}, "items must be a finite"),
        ({"pair": [1]}, "pair must be 2 values, not 1"),
        ({"pair": 1}, "pair must be a list, not 1"),
    ],
)
def test_anything_else_is_named(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(TypeError, match=f"^{words}"):
        from_plain(Whole, plain(**changes))


def test_whole_numbers_become_numbers() -> None:
    found = from_plain(Part, {"value": 1, "items": [0, 1.5]})
    assert found == Part(value=1.0, items=(0.0, 1.5))
    assert all(type(value) is float for value in (found.value, *found.items))


def test_arrays_of_an_archive_are_read_and_pickles_are_not(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    np.savez(path, numbers=np.arange(3), words=np.array(["a"]))
    arrays = read_arrays(path, ("numbers",))
    assert {name: array.tolist() for name, array in arrays.items()} == {"numbers": [0, 1, 2]}
    with pytest.raises(KeyError, match="others"):
        read_arrays(path, ("others",))
    np.savez(path, numbers=np.array([{}], dtype=object))
    with pytest.raises(ValueError, match="allow_pickle"):
        read_arrays(path, ("numbers",))
    np.save(tmp_path / "a.npy", np.arange(3))
    with pytest.raises(ValueError, match="a single array"):
        read_arrays(tmp_path / "a.npy", ("numbers",))
