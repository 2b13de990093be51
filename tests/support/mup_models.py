"""A small network and a wide one of the same kind."""

from __future__ import annotations

from typing import Any

from families import tiny

WIDE = {"hidden_size": 64, "intermediate_size": 159, "num_attention_heads": 8}  # 2, 3, 2 times


def llama(**changes: Any) -> Any:
    return tiny("llama", **changes)


def wide(**changes: Any) -> Any:
    return llama(**{**WIDE, "num_key_value_heads": 4, **changes})
