"""Factors of parameters, and networks that do not correspond."""

from __future__ import annotations

from typing import Any

import pytest
from mup_models import llama, wide

from widthwise.errors import LimitError
from widthwise.mup import Parametrization, parametrize


def factors(one: Parametrization) -> dict[str, tuple[str, float, float, float]]:
    """Of the first layer and of what is outside layers, by the last words of the name."""
    return {
        ".".join(w.name.split(".")[-2:]): (w.role, w.std, w.adam, w.sgd)
        for w in one.weights
        if ".layers.1." not in w.name
    }


def test_a_llama_gets_the_factors_of_table_3() -> None:
    found = factors(parametrize(wide(), llama()))
    assert found["embed_tokens.weight"] == ("input", 1, 1, 2)
    assert found["lm_head.weight"] == ("output", 0.5, 0.5, 0.5)
    assert found["norm.weight"] == found["input_layernorm.weight"] == ("vector", 1, 1, 2)
    for name in ("q_proj", "k_proj", "v_proj", "o_proj"):
        assert found[f"{name}.weight"] == ("hidden", 0.5**0.5, 0.5, 1)
    assert found["gate_proj.weight"] == ("hidden", 0.5**0.5, 0.5, 1.5)
    assert found["down_proj.weight"] == ("hidden", (1 / 3) ** 0.5, 1 / 3, pytest.approx(2 / 3))


def test_keys_and_values_go_by_their_own_heads() -> None:
    """Where their number stays, keys and values do not grow: their weights are outputs."""
    found = factors(parametrize(wide(num_key_value_heads=2), llama()))
    assert found["k_proj.weight"] == found["v_proj.weight"] == ("output", 0.5, 0.5, 0.5)
    assert found["q_proj.weight"] == found["o_proj.weight"] == ("hidden", 0.5**0.5, 0.5, 1)


def test_the_standard_parametrization_scales_initial_weights_only() -> None:
    found = factors(parametrize(wide(), llama(), kind="sp"))
    assert found["lm_head.weight"] == ("output", 0.5**0.5, 1, 1)
    assert found["q_proj.weight"] == ("hidden", 0.5**0.5, 1, 1)


def test_nothing_changes_at_the_base_width() -> None:
    one = parametrize(llama(), llama(), wide())
    assert {(w.std, w.adam, w.sgd) for w in one.weights} == {(1, 1, 1)}
    assert {w.role for w in one.weights} == {"input", "hidden", "output", "vector"}
    assert not one.attention


LINEAR = {"weight": (16, 16)}


@pytest.mark.parametrize(
    ("model", "base", "delta", "said"),
    [
        (LINEAR, LINEAR, None, "base must differ in width"),
        (LINEAR, {"weight": (8, 8)}, {"weight": (8, 8)}, "has a size of 16 in the model, and 8 in"),
        (LINEAR, {"other": (8, 8)}, None, "weight is in the model and not in base"),
        (LINEAR, {"weight": (8, 8), "bias": (8,)}, None, "bias is in base and not in the model"),
        (LINEAR, {"weight": (8, 8)}, {}, "delta must have parameters; got none"),
        (LINEAR, {"weight": (8,)}, None, "as many dimensions at all widths"),
        (LINEAR, {"weight": (8, -1)}, None, "whole numbers above 0"),
        (LINEAR, {"weight": 8}, None, "whole numbers above 0; got 8"),
        (LINEAR, "gpt2", None, "base must be a module, a config of transformers, or a mapping"),
        ({"emb": (9, 8)}, {"emb": (7, 8)}, None, "dimension 1, where base has 7; rows of"),
        ({"w": (8, 8, 8)}, {"w": (4, 4, 4)}, None, "nothing says what it is"),
        ({"expert": (8, 8, 8)}, {"expert": (4, 4, 4)}, None, "grows along its dimension 1"),
    ],
)
def test_networks_that_do_not_correspond_are_refused(
    model: Any, base: Any, delta: Any, said: str
) -> None:
    with pytest.raises(LimitError, match=said):
        parametrize(model, base, delta)
