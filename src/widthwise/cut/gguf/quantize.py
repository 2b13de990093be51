"""Numbers written in the types of GGUF, by llama.cpp's own code where a package carries it."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Rows = NDArray[np.float32]

# What llama.cpp itself takes where rows do not fill the blocks of 256 of a type; Q4_0 for others.
_SMALLER_BLOCKS = {"Q4_K": "Q5_0", "Q5_K": "Q5_1", "Q6_K": "Q8_0"}
# Types that llama.cpp writes by a matrix of importance only, and ends the process without one.
_BY_IMPORTANCE = ("IQ1_S", "IQ1_M", "IQ2_XXS", "IQ2_XS", "IQ2_S")
_LIBRARY = "xllamacpp"


def row_bytes(kind: Any, columns: int) -> int:
    """Bytes of a row of so many numbers, which fill the blocks of the type."""
    import gguf

    size, nbytes = gguf.GGML_QUANT_SIZES[kind]
    return int(columns // size * nbytes)


def block_size(kind: Any) -> int:
    """Numbers of one row that a type writes together."""
    import gguf

    return int(gguf.GGML_QUANT_SIZES[kind][0])


def bytes_each(kind: Any) -> float:
    """Bytes that a number has in a type."""
    return row_bytes(kind, block_size(kind)) / block_size(kind)


def written_kind(kind: Any, columns: int) -> Any:
    """The type in which rows can be written that are read in another.

    It is the same where rows fill its blocks and something at hand writes it; else that with
    smaller blocks which llama.cpp takes; else F16, which writes rows of any length.
    """
    from gguf import GGMLQuantizationType as Kind

    smaller = Kind[_SMALLER_BLOCKS.get(kind.name, "Q4_0")]
    for each in (kind, smaller):
        if columns % block_size(each) == 0 and _writer(each) is not None:
            return each
    return Kind.F16


def has_llama() -> bool:
    """Whether llama.cpp's own code is at hand."""
    return _llama() is not None


def quantized(rows: Rows, kind: Any) -> NDArray[np.uint8]:
    """Rows in the bytes of a type that `written_kind` gave."""
    import numpy as np

    write = _writer(kind)
    assert write is not None
    result = write(np.ascontiguousarray(rows, dtype=np.float32))
    return result.view(np.uint8).reshape(len(rows), -1)


def _writer(kind: Any) -> Callable[[Rows], NDArray[Any]] | None:
    """What writes a type; None where nothing at hand does."""
    import gguf
    import numpy as np

    if kind.name == "F32":
        return lambda rows: rows
    if kind.name == "F16":
        return lambda rows: rows.astype(np.float16)
    is_by_llama = kind.name != "BF16" and kind.name not in _BY_IMPORTANCE
    if is_by_llama and (library := _llama()) is not None:
        return lambda rows: _by_llama(library, rows, kind)
    try:
        gguf.quants.quantize(np.zeros((1, block_size(kind)), dtype=np.float32), kind)
    except NotImplementedError:
        return None
    return lambda rows: gguf.quants.quantize(rows, kind)


def _by_llama(library: Any, rows: Rows, kind: Any) -> NDArray[Any]:
    import numpy as np

    out = np.empty((len(rows), row_bytes(kind, rows.shape[1])), dtype=np.uint8)
    written = library.ggml_quantize_chunk(
        int(kind), rows.ctypes.data, out.ctypes.data, 0, len(rows), rows.shape[1], None
    )
    assert written == out.nbytes
    return out


@lru_cache(maxsize=1)
def _llama() -> Any:
    """llama.cpp's library in the package xllamacpp, or None without it."""
    spec = find_spec(_LIBRARY)
    folders = [] if spec is None else list(spec.submodule_search_locations or ())
    files = [file for folder in folders for file in Path(folder).glob("*.so")]
    for file in files:
        library = ctypes.CDLL(str(file))
        if hasattr(library, "ggml_quantize_chunk"):
            function = library.ggml_quantize_chunk
            long, pointer = ctypes.c_int64, ctypes.c_void_p
            function.argtypes = [ctypes.c_int, pointer, pointer, long, long, long, pointer]
            function.restype = ctypes.c_size_t
            return library
    return None
