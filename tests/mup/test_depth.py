"""Layers beside layers of a network of another depth."""

from __future__ import annotations

import pytest
import transformers as hf
from every_family import config_of
from mup_models import llama, wide

from widthwise.errors import LimitError
from widthwise.mup import parametrize
from widthwise.mup.axes import LINEAR
from widthwise.mup.depth import deeper_stacks, with_layers_of
from widthwise.mup.shapes import Shapes


def shapes(**stacks: int) -> Shapes:
    sizes = {f"{stack}.{i}.w": (i + 1, 2) for stack, n in stacks.items() for i in range(n)}
    return Shapes(sizes={**sizes, "head": (3, 2)}, axes=dict.fromkeys([*sizes, "head"], LINEAR))


def test_layers_are_those_at_the_same_place_in_proportion() -> None:
    model, base = shapes(a=6), shapes(a=2)
    assert deeper_stacks(model, base) == (("a",), 3.0)
    found = with_layers_of(model, base).sizes
    assert [found[f"a.{i}.w"][0] for i in range(6)] == [1, 1, 1, 2, 2, 2]
    assert found["head"] == (3, 2)
    assert with_layers_of(base, base) is base
    assert deeper_stacks(shapes(a=1), shapes(a=2))[1] == 0.5  # a shallower one, too


def test_stacks_that_grow_otherwise_are_refused() -> None:
    model, base = shapes(a=4, b=4), shapes(a=2, b=1)
    with pytest.raises(LimitError, match="a is 2 times as long, b is 4 times as long"):
        deeper_stacks(model, base)


def test_a_layer_of_another_kind_is_beside_the_nearest_of_its_kind() -> None:
    """Qwen3-Next: every fourth layer has attention, the others another mixer."""
    kinds = ["linear_attention"] * 3 + ["full_attention"]
    one = parametrize(
        config_of("qwen3_next", num_hidden_layers=8, layer_types=kinds * 2),
        config_of("qwen3_next", num_hidden_layers=4, layer_types=kinds),
    )
    names = {weight.name for weight in one.weights}
    assert "model.layers.7.self_attn.o_proj.weight" in names
    assert one.absorbed["model.layers.7.self_attn.o_proj.weight"] == 0.5
    assert one.absorbed["model.layers.6.linear_attn.out_proj.weight"] == 0.5


def test_what_the_base_has_no_layer_of_is_said() -> None:
    dense = hf.Qwen2Config(**wide().config.to_dict() | {"num_hidden_layers": 4})
    with pytest.raises(LimitError, match=r"layers.0 has .*: self_attn.k_proj.bias is"):
        parametrize(dense, llama(num_hidden_layers=2))
