"""Plans: frozen values that survive a round trip and refuse everything that is not one."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from every_family import tiny_model
from hypothesis import given
from hypothesis import strategies as st

from widthwise import Plan, make_plan
from widthwise.errors import OutputError, PlanError

GOOD: dict[str, Any] = {
    "parent": "parent",
    "fingerprint": "f" * 64,
    "model_type": "llama",
    "hidden_size": 4,
    "intermediate_size": 7,
    "asked": "--width 3",
    "unaligned": 3,
    "alignment": 1,
    "parent_parameters": 100,
    "parameters": 60,
    "parent_bytes": 200,
    "weight_bytes": 120,
    "criterion": "ppm",
    "seed": None,
    "keep": ((0, 2, 6), (1, 2, 3)),
}


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    size = draw(st.integers(1, 40))
    layer = st.sets(st.integers(0, size - 1), min_size=1, max_size=size)
    keep = draw(st.lists(layer, min_size=1, max_size=4))
    return Plan(
        **{
            **GOOD,
            "parent": draw(st.text(max_size=20)),
            "intermediate_size": size,
            "seed": draw(st.none() | st.integers()),
            "keep": tuple(tuple(sorted(k)) for k in keep),
        }
    )


@given(plans())
def test_json_round_trip(plan: Plan) -> None:
    again = Plan.from_json(plan.to_json())
    assert again == plan
    assert again.digest == plan.digest
    assert hash(again) == hash(plan)


@given(plans(), plans())
def test_different_plans_have_different_digests(a: Plan, b: Plan) -> None:
    assert (a.keep == b.keep) == (a.digest == b.digest)


def test_a_plan_prints_what_was_asked_and_got() -> None:
    text = str(Plan(**{**GOOD, "unaligned": 4, "alignment": 3}))
    assert "asked  --width 3, criterion ppm" in text
    assert "width 3 of 7, 0.750x of 1.750x, 57.1% of neurons removed, 4 rounded down to" in text
    assert "60 of 100 parameters (60.0% of dense), 120 of 200 bytes (60.0%)" in text
    wider = str(Plan(**{**GOOD, "weight_bytes": 240}))  # stored in float32, of a bfloat16 parent
    assert "240 of 200 bytes (120.0%)" in wider


def test_a_plan_of_unequal_layers_tells_their_widths() -> None:
    plan = Plan(**{**GOOD, "keep": ((0, 2, 6), (1,), (0, 1, 2, 3, 4))})
    assert plan.widths == (3, 1, 5)
    assert not plan.uniform
    assert (plan.width, plan.mean_width, plan.expansion_ratio) == (5, 3.0, 0.75)
    assert "width 1 to 5 by layers, 3 in the mean, of 7, 0.750x of 1.750x, 57.1%" in str(plan)
    assert "rounded" not in str(plan)  # the widths are not what the target was rounded to
    even = Plan(**GOOD)
    assert even.uniform
    assert (even.width, even.mean_width, even.widths) == (3, 3.0, (3, 3))


def test_a_plan_is_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Plan(**GOOD).criterion = "l2"  # type: ignore[misc]


BAD_KEEP = [
    (((0, 2, 7), (1, 2, 3)), r"must be in \[0, 6\]; got 7 in layer 0"),
    (((0, 2, 6), (-1, 2, 3)), r"must be in \[0, 6\]; got -1 in layer 1"),
    (((0, 2, 6), (1, 1, 3)), "without duplicates; layer 1 does not"),
    (((2, 0, 6), (1, 2, 3)), "must ascend"),
    (((0, 2, 6), ()), "layer 1 must keep at least one neuron; got none"),
    (((), ()), "at least one"),
    ((), "at least one layer"),
    (((0, 2, 6.0), (1, 2, 3)), "whole numbers"),
    (((0, 2, True), (1, 2, 3)), "whole numbers"),
]


@pytest.mark.parametrize(("keep", "message"), BAD_KEEP)
def test_bad_indices_are_refused(keep: Any, message: str) -> None:
    with pytest.raises(PlanError, match=message):
        Plan(**{**GOOD, "keep": keep})


BAD_JSON = [
    ("", "must be JSON"),
    ("[]", "exactly the fields"),
    ('{"keep": []}', "exactly the fields"),
    (json.dumps({**GOOD, "format": 1, "extra": 1}), r"wrong here: \['extra'\]"),
    (json.dumps({**GOOD, "format": 3}), "format must be 1; got 3"),
    (json.dumps({**GOOD, "format": 1, "seed": "x"}), "seed must be"),
    (json.dumps({**GOOD, "format": 1, "keep": 3}), "keep must be a list"),
    (json.dumps({**GOOD, "format": 1, "keep": [["a", "b", "c"]]}), "keep must be a whole number"),
    (json.dumps({**GOOD, "format": 1, "hidden_size": "4"}), "hidden_size must be"),
    (json.dumps({**GOOD, "format": 1, "parent": None}), "parent must be text"),
]


@pytest.mark.parametrize(("text", "message"), BAD_JSON)
def test_bad_files_are_refused_with_their_name(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    path.write_text(text)
    with pytest.raises(PlanError, match=rf"plan\.json.*{message}"):
        Plan.load(path)


def test_unreadable_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(PlanError, match="cannot read the plan"):
        Plan.load(tmp_path / "absent.json")
    (tmp_path / "binary.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(PlanError, match="cannot read the plan"):
        Plan.load(tmp_path / "binary.json")


def test_save_and_load(llama: Any, tmp_path: Path) -> None:
    plan = make_plan(llama, width=9, criterion="ppm")
    plan.save(tmp_path / "plan.json")
    assert Plan.load(tmp_path / "plan.json") == plan
    assert [p.name for p in tmp_path.iterdir()] == ["plan.json"]
    with pytest.raises(OutputError, match="was not written"):
        plan.save(tmp_path / "no" / "plan.json")


def test_what_is_no_file_is_not_read(tmp_path: Path) -> None:
    """A device or a pipe would never end, or never begin."""
    for path in (Path("/dev/zero"), tmp_path, tmp_path / "none"):
        with pytest.raises(PlanError, match="cannot read the plan: there is no such file"):
            Plan.load(path)


def test_a_plan_of_a_mixture_tells_what_a_token_passes() -> None:
    plan = make_plan(tiny_model("qwen3_moe"), remove="40%", align=8, criterion="ppm")
    assert plan.active is not None
    assert plan.active < plan.parameters
    assert f"{plan.active:,} of {plan.parent_active:,} parameters are active" in str(plan)
    assert Plan.from_json(plan.to_json()) == plan
    first = json.loads(plan.to_json())
    del first["active"], first["parent_active"]  # as the first plans of mixtures were
    old = Plan.from_json(json.dumps(first))
    assert (old.active, old.keep, old.digest) == (None, plan.keep, plan.digest)
    assert "active" not in str(old)
