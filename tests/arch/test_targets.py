"""Targets: integer arithmetic, alignment downwards, budgets never exceeded."""

from __future__ import annotations

from typing import Any

import pytest
from every_family import tiny_model
from families import tiny
from hypothesis import given
from hypothesis import strategies as st
from small_configs import llama32, of

from widthwise.arch import Architecture, Target, counts_at, default_alignment, paper_width, resolve
from widthwise.cut import ModelWeights
from widthwise.errors import TargetError


@pytest.fixture(scope="module")
def one_b() -> Architecture:
    return of(llama32("1B"))


@pytest.fixture(scope="module")
def small() -> Architecture:
    return of(tiny("llama"))


GOT = [  # H = 2048, I = 8192, default alignment 128
    ("to", "2.4x", 4915, 4864),
    ("to", "2", 4096, 4096),
    ("remove", "40%", 4915, 4864),
    ("remove", "10%", 7372, 7296),
    ("width", "4864", 4864, 4864),
    ("width", "4900", 4900, 4864),
    ("params", "900M", 4775, 4736),
    ("size", "1.7GB", 4267, 4224),
]


@pytest.mark.parametrize(("kind", "text", "unaligned", "width"), GOT)
def test_a_request_becomes_the_largest_width_within_it(
    kind: Any, text: str, unaligned: int, width: int, one_b: Architecture
) -> None:
    got = resolve(one_b, Target(kind, text))
    assert (got.unaligned, got.width, got.alignment) == (unaligned, width, 128)
    assert got.asked == f"--{kind} {text}"
    assert resolve(one_b, Target(kind, text), align=1).width == unaligned


def test_budgets_are_met_as_closely_as_whole_neurons_allow(one_b: Architecture) -> None:
    width = resolve(one_b, Target("params", "900M"), align=1).width
    assert counts_at(one_b, width).parameters <= 900_000_000
    assert counts_at(one_b, width + 1).parameters > 900_000_000
    width = resolve(one_b, Target("size", "1.7GB"), align=1).width
    assert counts_at(one_b, width).weight_bytes <= 1_700_000_000
    assert counts_at(one_b, width + 1).weight_bytes > 1_700_000_000


def test_a_size_is_meant_in_the_dtype_that_is_stored(one_b: Architecture) -> None:
    narrow = resolve(one_b, Target("size", "3.4GB"), align=1, dtype="F32").width
    assert narrow == resolve(one_b, Target("size", "1.7GB"), align=1).width


@pytest.mark.parametrize("kind", ["params", "size"])
def test_a_share_is_of_the_dense_model_and_met_as_closely_as_whole_neurons_allow(
    kind: Any, one_b: Architecture
) -> None:
    def cost(width: int) -> int:
        counts = counts_at(one_b, width)
        return counts.parameters if kind == "params" else counts.weight_bytes

    got = resolve(one_b, Target(kind, "85%"))
    dense = cost(one_b.intermediate_size)
    assert cost(got.unaligned) * 100 <= dense * 85 < cost(got.unaligned + 1) * 100
    assert got.asked == f"--{kind} 85%"
    assert resolve(one_b, Target(kind, "85.0 %")).unaligned == got.unaligned


def test_a_share_of_the_bytes_is_of_the_parent_as_it_is_stored(
    one_b: Architecture, small: Architecture
) -> None:
    got = resolve(one_b, Target("size", "95%"), dtype="F32", align=1)  # the parent is bfloat16
    asked = counts_at(one_b).weight_bytes * 95 // 100
    assert counts_at(one_b, got.width, dtype="F32").weight_bytes <= asked
    assert counts_at(one_b, got.width + 1, dtype="F32").weight_bytes > asked
    with pytest.raises(TargetError, match=r"85%, which is .* must be below .* in BF16"):
        resolve(small, Target("size", "85%"), dtype="BF16")  # of a float32 parent


@pytest.mark.parametrize("kind", ["params", "size"])
@pytest.mark.parametrize(
    ("text", "meant"), [("75", "75%"), ("99.5", "99.5%"), ("0.75", "75%"), (".5", "50%")]
)
def test_a_number_that_is_likely_a_share_is_asked_about(
    kind: Any, text: str, meant: str, one_b: Architecture
) -> None:
    with pytest.raises(TargetError, match=rf"is too small: .*; did you mean {meant}\?$"):
        resolve(one_b, Target(kind, text))
    for other in ("100", "75k", "75000"):
        with pytest.raises(TargetError, match=r"is too small: even with one neuron .*\w$"):
            resolve(one_b, Target("params", other))
    with pytest.raises(TargetError, match=r"params 1%, which is .* is too small: .*parameters$"):
        resolve(one_b, Target("params", "1%"))


@given(
    percent=st.integers(1, 99),
    align=st.sampled_from([None, 1, 8, 10, 64]),
)
def test_alignment_rounds_down_by_less_than_itself(percent: int, align: int | None) -> None:
    architecture = of(_cached())
    try:
        got = resolve(architecture, Target("remove", f"{percent}%"), align=align)
    except TargetError:
        return  # below one multiple of the alignment
    assert got.width % got.alignment == 0
    assert 0 <= got.unaligned - got.width < got.alignment
    assert got.unaligned * 100 <= (100 - percent) * architecture.intermediate_size


def _cached(store: list[Any] = []) -> Any:  # noqa: B006  (one model for all examples)
    if not store:
        store.append(tiny("llama", intermediate_size=1000))
    return store[0]


def test_default_alignments() -> None:
    sizes = {8192: 128, 11008: 128, 4096: 64, 4864: 64, 1536: 16, 512: 8, 511: 1, 53: 1}
    assert {size: default_alignment(size) for size in sizes} == sizes


def test_paper_widths() -> None:
    assert [paper_width(8192, p) for p in range(10, 70, 10)] == [7373, 6554, 5735, 4916, 4096, 3277]
    assert paper_width(100, 29) == 72  # int(0.29 * 100) is 28 in floating point
    assert paper_width(100, 99.99) == 1


def test_paper_widths_need_a_share(one_b: Architecture) -> None:
    assert resolve(one_b, Target("remove", "10%"), paper_widths=True).width == 7373
    with pytest.raises(TargetError, match="--paper-widths can only be used with --remove"):
        resolve(one_b, Target("to", "2.4x"), paper_widths=True)


BAD_TEXT = [
    ("to", "wide", "must look like 2.4x"),
    ("to", "-1x", "must look like 2.4x"),
    ("to", "0x", "must be above 0"),
    ("to", "nan", "must look like"),
    ("to", "1e3", "must look like"),
    ("remove", "40", "must look like 40%"),
    ("remove", "100%", "below 100%"),
    ("remove", "140%", "below 100%"),
    ("width", "4.5", "must look like 4864"),
    ("width", "0", "must be above 0"),
    ("width", "-3", "must be above 0"),
    ("params", "many", "must look like 900M"),
    ("size", "1.7GBs", "must look like 1.7GB"),
    ("size", "", "must look like 1.7GB"),
    ("params", "100%", "below 100%"),
    ("size", "120%", "below 100%"),
    ("params", "0%", "must be above 0"),
    ("params", "-5%", "must look like 900M or 85%"),
    ("params", "85%%", "must look like 900M or 85%"),
    ("to", "85%", "must look like 2.4x"),
    ("width", "85%", "must look like 4864"),
]


@pytest.mark.parametrize(("kind", "text", "message"), BAD_TEXT)
def test_nonsense_is_refused(kind: Any, text: str, message: str) -> None:
    with pytest.raises(TargetError, match=message):
        Target(kind, text)


OUT_OF_RANGE = [
    ("width", "53", r"width must be in \[1, 52\]"),
    ("to", "1.66x", r"width must be in \[1, 52\]"),
    ("to", "0.01x", r"asks for 0"),
    ("remove", "0%", r"width must be in \[1, 52\]"),
    ("params", "1K", r"is too small: even with one neuron"),
    ("params", "1G", r"must be below the model's own"),
    ("size", "10B", r"is too small"),
    ("params", "0.001%", r"0.001%, which is [0-9,]+ parameters, is too small"),
]


@pytest.mark.parametrize(("kind", "text", "message"), OUT_OF_RANGE)
def test_widths_out_of_range_are_refused(
    kind: Any, text: str, message: str, small: Architecture
) -> None:
    with pytest.raises(TargetError, match=message):
        resolve(small, Target(kind, text))


def test_a_width_below_the_alignment_says_what_to_pass(small: Architecture) -> None:
    with pytest.raises(TargetError, match="pass --exact or a smaller --align"):
        resolve(small, Target("width", "7"), align=8)
    with pytest.raises(TargetError, match="--align must be at least 1"):
        resolve(small, Target("width", "7"), align=0)


@pytest.mark.parametrize(
    ("width", "message"),
    [
        ("experts=512", r"width must be in \[1, 23\], as the model has 24; .* asks for 512"),
        ("experts=0", "must be above 0"),
        ("experts=8,mlp=3", "the model has no mlp; it has experts of width 24, shared of width 40"),
        ("experts=8,experts=9", "name each kind of block once"),
        ("=8", "name each kind of block once"),
        ("experts=8,", "name each kind of block once"),
        ("experts=8,shared", "must look like 4864; got ''"),
    ],
)
def test_widths_of_kinds_that_no_model_has_are_refused(width: str, message: str) -> None:
    architecture = ModelWeights(tiny_model("qwen2_moe")).architecture
    with pytest.raises(TargetError, match=message):
        resolve(architecture, Target("width", width))


@pytest.mark.parametrize(
    "target", [Target("width", "1"), Target("remove", "40%"), Target("to", "2x")]
)
def test_one_neuron_cannot_be_removed(target: Target) -> None:
    """It was "width must be in [1, 0]"."""
    with pytest.raises(TargetError, match="has 1 neuron, so that none can be removed"):
        resolve(of(tiny("llama", intermediate_size=1)), target)
