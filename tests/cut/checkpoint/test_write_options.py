"""How a result is stored: what is asked for in words becomes numbers, or is refused by name."""

from __future__ import annotations

from typing import Any

import pytest

from widthwise.cut.checkpoint import WriteOptions
from widthwise.errors import PlanError, TargetError


@pytest.mark.parametrize(
    ("size", "most_bytes"),
    [("5GB", 5 * 10**9), ("500MB", 500 * 10**6), ("3000B", 3000), (4096, 4096)],
)
def test_sizes_of_shards_are_counted_in_bytes(size: str | int, most_bytes: int) -> None:
    assert WriteOptions(max_shard_size=size).max_shard_bytes == most_bytes


@pytest.mark.parametrize(
    ("dtype", "stored"),
    [(None, None), ("float32", "F32"), ("float16", "F16"), ("bfloat16", "BF16")],
)
def test_dtypes_have_the_names_of_safetensors(dtype: str | None, stored: str | None) -> None:
    assert WriteOptions(dtype=dtype).stored_dtype == stored


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"layout": "ragged"}, PlanError, "layout must be padded or compact; got 'ragged'"),
        ({"dtype": "int8"}, TargetError, "--dtype must be one of float32, float16, bfloat16; got"),
        ({"max_shard_size": "85%"}, TargetError, "--max-shard-size must look like 5GB or 500MB"),
        ({"max_shard_size": "big"}, TargetError, "--max-shard-size must look like 5GB or 500MB"),
    ],
)
def test_what_cannot_be_stored_is_refused_by_name(
    options: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        WriteOptions(**options)
