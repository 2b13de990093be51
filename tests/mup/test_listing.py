"""The table of a parametrization."""

from __future__ import annotations

from typing import Any

from families import tiny

from widthwise.mup import parametrize

WIDE = {"hidden_size": 64, "intermediate_size": 159, "num_attention_heads": 8}  # 2, 3, 2 times


def llama(**changes: Any) -> Any:
    return tiny("llama", **changes)


def wide(**changes: Any) -> Any:
    return llama(**{**WIDE, "num_key_value_heads": 4, **changes})


def test_the_table_joins_layers_that_are_alike() -> None:
    text = str(parametrize(wide(), llama()))
    assert len(text.splitlines()) == 13
    assert "model.layers.*.mlp.down_proj.weight" in text
    base = {f"layers.{i}.mlp.weight": (8, 8) for i in range(3)}
    apart = str(parametrize({**base, "layers.1.mlp.weight": (8, 4)}, base))
    assert "layers.1.mlp.weight" in apart
    assert "*" not in apart
