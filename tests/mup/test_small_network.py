"""The GLU transformer in muP and in the standard parametrization."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from widthwise.mup import CoordinateCheck, TrainingSetup, coordinate_check, glu_family, small_start


def glu(kind: str, *, tied: bool = False) -> CoordinateCheck:
    """The default case of the command, with one width and one seed less."""
    family = glu_family(tied=tied)
    return coordinate_check(
        lambda width, seed: small_start(family, width, seed, lr=0.01, kind=kind),  # type: ignore[arg-type]
        widths=(64, 128, 256),
        seeds=3,
    )


@pytest.mark.parametrize("tied", [False, True])
def test_mup_keeps_a_transformer_moving_alike_and_the_standard_one_does_not(tied: bool) -> None:
    ours, standard = glu("mup", tied=tied), glu("sp", tied=tied)
    assert len(ours.layers) == 25  # two are logits, two the stream
    assert "fail" not in {ours.verdict(layer) for layer in range(25)}
    # what is left at these widths: slopes of the order of n^(-1/2) corrections
    assert max(abs(rate.slope.value) for rate in ours.changes) < 0.15
    assert standard.overall_verdict == "fail"
    place = standard.layers.index("lm_head")
    assert standard.verdict(place) == "fail"
    assert standard.interval(place)[0] > 0


def test_in_completep_a_deeper_network_moves_alike_and_without_it_does_not() -> None:
    """Of the standard kind, what layers add is not divided by their number."""
    found = {}
    for kind in ("mup", "sp"):
        found[kind] = coordinate_check(
            partial(deep_start, kind=kind), widths=(2, 4, 8, 16), seeds=3, axis="depth"
        )
    ours, standard = found["mup"], found["sp"]
    assert ours.layers == standard.layers
    assert ours.layers == ("model.embed_tokens", "model.layers.last", "model.norm", "lm_head")
    assert ours.overall_verdict == "pass"
    assert [standard.verdict(1), standard.start_verdict(1)] == ["fail", "fail"]
    assert standard.changes[1].slope.value > 0.5  # the sum of what all layers add


def deep_start(layers: int, seed: int, *, kind: Any) -> TrainingSetup:
    return small_start(glu_family().deep(layers), 32, seed, lr=0.01, kind=kind)


def test_muon_in_mup_keeps_a_transformer_moving_alike() -> None:
    """And with the rate of AdamW's width it does not: what the standard kind gives it."""
    found = {
        kind: coordinate_check(
            partial(small_start, glu_family(), lr=0.01, kind=kind, optimizer="muon"),  # type: ignore[arg-type]
            widths=(64, 128, 256),
            seeds=3,
        )
        for kind in ("mup", "sp")
    }
    ours = found["mup"]
    assert "fail" not in {ours.verdict(layer) for layer in range(len(ours.layers))}
    assert max(abs(rate.slope.value) for rate in ours.changes) < 0.15
    place = ours.layers.index("model.layers.1.mlp.gate_proj")
    assert found["sp"].changes[place].slope.value > ours.changes[place].slope.value
    assert found["sp"].overall_verdict == "fail"
