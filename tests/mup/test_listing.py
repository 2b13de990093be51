"""The table of a parametrization."""

from __future__ import annotations

from mup_models import llama, wide

from widthwise.mup import parametrize


def test_the_table_joins_layers_that_are_alike() -> None:
    text = str(parametrize(wide(), llama()))
    assert len(text.splitlines()) == 13
    assert "model.layers.*.mlp.down_proj.weight" in text
    base = {f"layers.{i}.mlp.weight": (8, 8) for i in range(3)}
    apart = str(parametrize({**base, "layers.1.mlp.weight": (8, 4)}, base))
    assert "layers.1.mlp.weight" in apart
    assert "*" not in apart
