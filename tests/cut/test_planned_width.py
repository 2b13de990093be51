"""How wide a model becomes: what a plan says, known before any neuron is chosen."""

from __future__ import annotations

import json
from typing import Any

import pytest
from every_family import tiny_model

from widthwise import Plan, PruneSpec, make_plan
from widthwise.cut import ModelWeights
from widthwise.errors import PlanError, TargetError
from widthwise.prune import planned_width

ASKED: list[dict[str, Any]] = [
    {"remove": "40%", "align": 8},
    {"width": 9},
    {"params": "80%"},
    {"size": "40%", "dtype": "bfloat16"},
]


@pytest.mark.parametrize("family", ["llama", "qwen3_moe", "qwen2_moe"])
@pytest.mark.parametrize("asked", ASKED, ids=lambda asked: next(iter(asked)))
def test_it_says_what_the_plan_says_of_any_neurons(family: str, asked: dict[str, Any]) -> None:
    """The oracle is the plan itself, made by reading all weights."""
    model = tiny_model(family)
    weights = ModelWeights(model)
    plan = make_plan(model, criterion="random", **asked)
    found = planned_width(weights.name, weights.architecture, PruneSpec.of(**asked))
    assert found == plan.sizes
    assert (found.width, found.removed, found.uniform) == (plan.width, plan.removed, plan.uniform)
    *lines, digest = str(plan).splitlines()
    assert digest == f"  plan   sha256 {plan.digest[:16]}"
    assert str(found).splitlines() == [
        line.removesuffix(", criterion random (seed 0)") for line in lines
    ]


def test_a_width_out_of_range_is_refused() -> None:
    weights = ModelWeights(tiny_model("llama"))
    with pytest.raises(TargetError, match="width must be in"):
        planned_width("tiny", weights.architecture, PruneSpec.of(width=10_000))


@pytest.mark.parametrize("family", ["llama", "qwen3_moe"])
def test_its_json_is_no_plan_and_says_how_to_get_one(family: str) -> None:
    plan = make_plan(tiny_model(family), remove="40%", align=8, criterion="ppm")
    data = json.loads(plan.sizes.to_json())
    assert {name: data[name] for name in set(data) & set(json.loads(plan.to_json()))} == {
        name: data[name] for name in data if name != "width"
    }
    assert data["width"] == plan.width
    assert ("kinds" in data) == (family == "qwen3_moe")
    with pytest.raises(PlanError, match=r"a width and no neurons.*plan -o FILE"):
        Plan.from_json(plan.sizes.to_json())
