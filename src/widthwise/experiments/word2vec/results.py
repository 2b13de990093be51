"""Results of `widthwise word2vec`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from ...io import from_plain
from ...runs import result_format

if TYPE_CHECKING:
    from .training import Word2vecResult

Key: TypeAlias = tuple[str, "int | None", int]  # network, width, seed


def _decode(fields: dict[str, Any]) -> Word2vecResult:
    from .networks import check_network
    from .training import Word2vecResult

    result: Word2vecResult = from_plain(Word2vecResult, fields)
    check_network(result.network, result.width)
    if (result.score is None) != (result.reason is not None):
        raise ValueError("a run is missing exactly when a reason is given")
    if result.score is not None:
        bits = result.score.bits()
        if not len(bits) == result.score.asked > 0 or bits.sum() != result.score.right:
            raise ValueError("its outcomes are not those of its questions")
    return result


def _key(result: Word2vecResult) -> Key:
    return result.network, result.width, result.seed


FORMAT = result_format(_decode, key=_key, command="word2vec")
load = FORMAT.load
