"""What is asked for: a spec, or the keyword arguments that stand for one."""

from __future__ import annotations

from typing import Any

import pytest
from families import tiny

from widthwise import PruneSpec, Target, allowed_widths, calibrate, make_plan, per_layer, refit
from widthwise.errors import PlanError, TargetError
from widthwise.prune import resolve_target, spec_of


def test_keyword_arguments_stand_for_a_spec() -> None:
    spec = PruneSpec.of(size="45KB", criterion="random", seed=3, align=1, dtype="bfloat16")
    assert spec == PruneSpec(
        target=Target("size", "45KB"), criterion="random", seed=3, align=1, stored_dtype="BF16"
    )
    assert make_plan(tiny("llama"), spec) == make_plan(
        tiny("llama"), size="45KB", criterion="random", seed=3, align=1, dtype="bfloat16"
    )


def test_the_criterion_is_activation_where_none_is_named() -> None:
    assert PruneSpec(target=Target("width", "9")).criterion == "activation"
    assert spec_of(None, {"width": 9}).criterion == "activation"
    assert spec_of(None, {"width": 9, "criterion": "l2"}).criterion == "l2"


@pytest.mark.parametrize("function", [make_plan, refit, allowed_widths])
def test_a_spec_and_keyword_arguments_exclude_each_other(function: Any) -> None:
    with pytest.raises(TypeError, match="not both; remove seed"):
        function(tiny("llama"), PruneSpec(target=Target("width", "9"), criterion="ppm"), seed=1)


@pytest.mark.parametrize("function", [make_plan, refit, allowed_widths, calibrate])
def test_a_keyword_that_nobody_knows_is_refused(function: Any) -> None:
    with pytest.raises(TypeError, match="unexpected keyword argument 'widht'"):
        function(tiny("llama"), widht=9)


@pytest.mark.parametrize(
    ("function", "typed", "meant"),
    [
        (refit, "token", "tokens"),
        (per_layer, "sequental", ""),
        (per_layer, "cost", "costs"),
        (make_plan, "calibraton", "calibration"),
        (allowed_widths, "token", ""),
        (allowed_widths, "criterium", "criterion"),
    ],
)
def test_a_mistyped_keyword_names_the_function_and_the_nearest_one(
    function: Any, typed: str, meant: str
) -> None:
    """`resolve_target() got ...` was said, of a function that the user never called."""
    with pytest.raises(TypeError) as caught:
        function(tiny("llama"), width=9, **{typed: 1})
    said = f"{function.__name__}() got an unexpected keyword argument {typed!r}"
    assert str(caught.value) == said + (f"; did you mean {meant}?" if meant else "")


@pytest.mark.parametrize(
    ("asked", "error", "message"),
    [
        ({}, TargetError, "in exactly one way: --to, --remove, --width, --params, --size"),
        ({"width": 9, "to": "2x"}, TargetError, "in exactly one way"),
        ({"width": 9, "criterion": "size"}, PlanError, "criterion must be one of ppm"),
        ({"width": 9, "seed": -1}, PlanError, "seed must be a whole number"),
        ({"width": 9, "align": 0}, TargetError, "align"),
        ({"width": 9, "dtype": "int8"}, TargetError, "--dtype must be one of"),
    ],
)
def test_what_no_model_allows_is_refused(asked: Any, error: type, message: str) -> None:
    with pytest.raises(error, match=message):
        PruneSpec.of(**asked)


def test_a_target_is_the_one_that_is_given() -> None:
    assert resolve_target(remove="40%", width=None) == Target("remove", "40%")
