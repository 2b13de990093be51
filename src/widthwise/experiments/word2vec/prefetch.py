"""A row of a matrix asked for before it is needed. This file needs numba, as the loops do.

Words are visited in no order, and their rows lie in memory that is slow to answer: most of a step
was spent waiting. Numbers are the same with and without.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

_LINE = 64  # bytes of a cache line
_TO_WRITE, _KEEP, _DATA = 1, 3, 1  # arguments of llvm.prefetch


def _prefetch_row(_typing: Any, matrix: Any, _row: Any) -> Any:
    """Ask for a row of a matrix; nothing waits for it."""
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
