"""Types of GGUF: which one is written, and that it holds the numbers."""

from __future__ import annotations

import gguf
import numpy as np
import pytest
from gguf import GGMLQuantizationType as Kind

from widthwise.cut.gguf import quantize
from widthwise.cut.gguf.quantize import block_size, quantized, written_kind


def test_a_type_stays_where_rows_fill_its_blocks() -> None:
    assert written_kind(Kind.Q8_0, 64) == Kind.Q8_0
    assert written_kind(Kind.F32, 7) == Kind.F32
    assert written_kind(Kind.F16, 7) == Kind.F16


def test_rows_that_fill_no_block_take_the_type_that_llama_cpp_takes() -> None:
    assert written_kind(Kind.Q4_K, 96) == Kind.Q5_0
    assert written_kind(Kind.Q6_K, 96) == Kind.Q8_0
    assert written_kind(Kind.Q4_1, 40) == Kind.F16


def test_types_that_need_a_matrix_of_importance_are_not_written() -> None:
    """llama.cpp would end the process."""
    for kind in (Kind.IQ1_S, Kind.IQ1_M, Kind.IQ2_XXS, Kind.IQ2_XS):
        assert written_kind(kind, 512) == Kind.Q4_0


def test_without_llama_cpp_types_of_256_become_smaller_ones(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(quantize, "_llama", lambda: None)
    assert written_kind(Kind.Q4_K, 512) == Kind.Q5_0
    assert written_kind(Kind.Q8_0, 512) == Kind.Q8_0


@pytest.mark.parametrize("kind", [Kind.Q4_0, Kind.Q5_1, Kind.Q8_0, Kind.F16, Kind.F32, Kind.Q4_K])
def test_what_is_written_holds_the_numbers(kind: Kind) -> None:
    if kind == Kind.Q4_K:
        pytest.importorskip("xllamacpp")
    rows = np.random.default_rng(0).normal(size=(3, 512)).astype(np.float32)
    written = quantized(rows, kind)
    assert written.shape == (3, 512 // block_size(kind) * gguf.GGML_QUANT_SIZES[kind][1])
    plain = {Kind.F32: np.float32, Kind.F16: np.float16}.get(kind, np.uint8)
    back = gguf.quants.dequantize(written.view(plain), kind)
    error = float(np.sqrt(np.square(back - rows).mean() / np.square(rows).mean()))
    # A step of 4 bits over the range of 32 normal numbers, about 4.2: 4.2 / 15 / root 12.
    assert error < 0.11
