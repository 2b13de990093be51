"""Results of `widthwise maml`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from ...io import from_plain
from ...runs import result_format

if TYPE_CHECKING:
    from .train import MamlResult

Key: TypeAlias = tuple[str, "int | None", int]  # network, width, seed


def _decode(fields: dict[str, Any]) -> MamlResult:
    from .train import MamlResult, recipe_of

    result: MamlResult = from_plain(MamlResult, fields)
    recipe_of(result.network, result.width)  # sees that there is such a network
    if (result.test is None) != (result.reason is not None):
        raise ValueError("a run is missing exactly when a reason is given")
    if result.test is not None and not 0 <= result.test.accuracy <= 1:
        raise ValueError(f"an accuracy must be from 0 to 1, not {result.test.accuracy:g}")
    return result


def _key(result: MamlResult) -> Key:
    return result.network, result.width, result.seed


FORMAT = result_format(_decode, key=_key, command="maml")
load = FORMAT.load
