"""Results of `widthwise word2vec`."""

from __future__ import annotations

from ..run_format import run_format
from .networks import check_network
from .training import Word2vecResult


def _check(result: Word2vecResult) -> None:
    check_network(result.network, result.width)
    if result.score is not None:
        bits = result.score.bits()
        if not len(bits) == result.score.asked > 0 or bits.sum() != result.score.right:
            raise ValueError("its outcomes are not those of its questions")


FORMAT = run_format(
    Word2vecResult,
    command="word2vec",
    value="score",
    check=_check,
    begun="*-seed-*.safetensors",
)
load = FORMAT.load
