"""The published loop as machine code. This file needs numba and is imported when it is used."""

from __future__ import annotations

from collections.abc import Callable
from math import exp, log
from typing import Any, ParamSpec, TypeVar, cast

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

from .sampling import FIRST, GOLDEN, SECOND

P = ParamSpec("P")
R = TypeVar("R")

_AHEAD = 4  # rows asked for before they are visited
_LINE = 64  # bytes of a cache line
_TO_WRITE, _KEEP, _DATA = 1, 3, 1  # arguments of llvm.prefetch

# Sums may be taken in any order, so that they are done 8 or 16 at a time; NaN and Inf keep their
# meaning, so that a run that diverges is noticed.
_OPTIONS: dict[str, Any] = {
    "nogil": True,
    "fastmath": {"reassoc", "contract", "nsz", "arcp"},
    "error_model": "numpy",
}


def _compiled(function: Callable[P, R]) -> Callable[P, R]:
    """Compile a function at its first call, and cache it on disk where that is possible."""
    try:
        return cast(Callable[P, R], njit(cache=True, **_OPTIONS)(function))
    except RuntimeError:  # neither beside the code nor in the user's cache folder
        return cast(Callable[P, R], njit(**_OPTIONS)(function))


def _prefetch_row(_typing: Any, matrix: Any, _row: Any) -> Any:
    """Ask for a row of a matrix before it is needed; nothing waits for it, and no number changes.

    Words are visited in no order, and most of a step was spent waiting for their rows.
    """
    return types.void(matrix, types.intp), _code


def _code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    matrix = context.make_array(signature.args[0])(context, builder, arguments[0])
    word, number = ir.IntType(64), ir.IntType(32)
    unpack: Any = cgutils.unpack_tuple
    step, between = unpack(builder, matrix.strides)
    length = builder.mul(unpack(builder, matrix.shape)[1], between)
    begin = builder.add(builder.ptrtoint(matrix.data, word), builder.mul(arguments[1], step))
    pointer = ir.IntType(8).as_pointer()
    kind = ir.FunctionType(ir.VoidType(), [pointer, number, number, number])
    ask = builder.module.declare_intrinsic("llvm.prefetch", [pointer], kind)
    how = [number(value) for value in (_TO_WRITE, _KEEP, _DATA)]
    with cgutils.for_range_slice(builder, word(0), length, word(_LINE), word) as (offset, _):
        builder.call(ask, [builder.inttoptr(builder.add(begin, offset), pointer), *how])
    return context.get_dummy_value()


prefetch_row: Any = intrinsic(_prefetch_row)  # called in compiled code as prefetch_row(matrix, row)


@_compiled
def _draw(key: Any, number: Any, threshold: Any, other: Any) -> Any:
    """One of the draws of `sampling.draw`."""
    z = key + GOLDEN * np.uint64(number)
    z = (z ^ (z >> np.uint64(30))) * FIRST
    z = (z ^ (z >> np.uint64(27))) * SECOND
    z ^= z >> np.uint64(31)
    index = ((z >> np.uint64(32)) * np.uint64(len(other))) >> np.uint64(32)
    return np.int32(index) if (z & np.uint64(4294967295)) < threshold[index] else other[index]


@_compiled
def _choose(words: Any, centre: Any, key: Any, first: Any, odds: Any) -> None:
    """Fill in the targets of a step: the centre, and words drawn from `first` on."""
    words[0] = centre
    for d in range(1, len(words)):
        words[d] = _draw(key, first + d - 1, odds[0], odds[1])


@_compiled
def _visit(row: Any, hidden: Any, error: Any, label: Any, rate: Any, keep: Any) -> Any:
    """Move a target's row and add its part of the contexts' error.

    Returns exp(-|logit|), and the loss less the logarithm of 1 plus that.
    """
    logit = rate - rate  # a zero of the weights' precision
    for c in range(len(row)):
        logit += hidden[c] * row[c]
    odds = exp(-abs(logit))
    pull = rate * (label - (1.0 if logit > 0 else odds) / (1.0 + odds))
    for c in range(len(row)):
        old = row[c]
        error[c] += hidden.dtype.type(pull) * old
        row[c] = keep * old + hidden.dtype.type(pull) * hidden[c]
    return odds, max((1.0 - 2.0 * label) * logit, 0.0)


@_compiled
def train_centres(weights: Any, block: Any, odds: Any, numbers: Any, stretch: Any) -> Any:
    """CBOW's steps for a stretch of centres; the i-th one's draws begin at i * negative.

    Args:
        weights: Matrices E and O.
        block: Fields ids, low, high and key of the block.
        odds: Fields threshold and other of the alias table.
        numbers: Negatives, and in the weights' precision the rate and 1 - rate * decay.
        stretch: First centre, and the one after the last.
    """
    (embeddings, outputs), (ids, low, high, key) = weights, block
    negative, rate, keep = numbers
    hidden, error = np.empty_like(embeddings[0]), np.empty_like(embeddings[0])
    words = np.empty(negative + 1, dtype=np.int32)
    loss, centres = 0.0, 0
    for i in range(stretch[0], stretch[1]):
        contexts = high[i] - low[i] - 1
        if contexts < 1:
            continue
        hidden[:] = 0
        error[:] = 0
        for j in range(low[i], high[i]):
            if j != i:
                hidden += embeddings[ids[j]]
        hidden /= contexts
        _choose(words, ids[i], key, i * negative, odds)
        product = 1.0  # of 1 + odds over the targets; at most 2^1001
        for d in range(negative + 1):
            word = words[d]
            if d + _AHEAD <= negative:
                prefetch_row(outputs, words[d + _AHEAD])
            if d == 0 or word != ids[i]:
                label = 1.0 if d == 0 else 0.0
                chance, part = _visit(outputs[word], hidden, error, label, rate, keep)
                product *= 1.0 + chance
                loss += part
        loss += log(product)
        error /= contexts
        for j in range(low[i], high[i]):
            if j != i:
                row = embeddings[ids[j]]
                for c in range(len(row)):
                    row[c] = keep * row[c] + error[c]
        centres += 1
    return loss, centres
