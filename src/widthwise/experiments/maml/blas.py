"""Large matrix products, all of them by SciPy's BLAS.

NumPy brings a BLAS of its own, whose threads stay awake for a while after each product. Where both
are called in turn, their threads push each other off the cores, and a step takes five times longer.
Small products, which one thread takes, may be NumPy's.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .inner_loop import Floats


@cache
def _functions(dtype: np.dtype[Any]) -> tuple[Any, Any, Any]:
    from scipy.linalg.blas import get_blas_funcs

    found = get_blas_funcs(("gemm", "symm", "syr2k"), dtype=dtype)
    return tuple(found)


def product(left: Floats, right: Floats) -> NDArray[Any]:
    """The matrix product of two matrices in rows (C order), in rows."""
    gemm, _, _ = _functions(left.dtype)
    return np.asarray(gemm(1.0, right.T, left.T).T)


def times_symmetric(rows: Floats, symmetric: Floats) -> NDArray[Any]:
    """Rows times a symmetric matrix in columns (Fortran order), of which the upper part is read."""
    _, symm, _ = _functions(rows.dtype)
    return np.asarray(symm(1.0, symmetric, rows.T).T)


def rank2_downdate(symmetric: Floats, left: Floats, right: Floats) -> NDArray[Any]:
    """Take left' right + right' left from a symmetric matrix, whose upper part is written over."""
    _, _, syr2k = _functions(symmetric.dtype)
    return np.asarray(syr2k(-1.0, left.T, right.T, beta=1.0, c=symmetric, overwrite_c=1))
