"""The coordinate check: planted slopes, muP against the standard parametrization, refusals."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import torch
from mup_models import llama
from planted_slopes import checked, planted

from widthwise.errors import LimitError
from widthwise.mup import TrainingSetup, coordinate_check, glu_family, parametrize


@pytest.mark.parametrize(
    ("power", "noise", "verdict"),
    [
        (0.0, 0.02, "pass"),
        (0.5, 0.02, "fail"),
        (-0.5, 0.02, "fail"),
        (0.15, 0.02, "undecided"),  # on the edge of the margin
        (0.0, 0.5, "undecided"),  # nothing can be said
    ],
)
def test_a_planted_slope_is_found(power: float, noise: float, verdict: str) -> None:
    found = checked(power, noise)
    low, high = found.interval(0)
    assert low <= power <= high
    assert found.layers == ("0",)
    assert found.verdict(0) == found.overall_verdict == verdict


@pytest.mark.parametrize(
    ("power", "outputs", "verdict"),
    [
        (0.0, 1, "pass"),
        (0.5, 1, "fail"),
        (-0.5, 1, "pass"),  # as a head does in muP
        (-0.5, None, "fail"),  # activations of all layers between must not vanish
        (0.5, None, "fail"),
        (0.0, None, "pass"),
    ],
)
def test_sizes_before_training_are_looked_at(
    power: float, outputs: int | None, verdict: str
) -> None:
    found = checked(0.0, start=power, outputs=outputs)
    low, high = found.start_interval(0) or (0, 0)
    assert low <= power <= high
    assert found.start_verdict(0) == found.overall_verdict == verdict
    assert found.verdict(0) == "pass"


def growing_heads(width: int, seed: int, *, applied: bool) -> TrainingSetup:
    """Two heads that grow with the width, at rates of muP, with its scale of attention or not."""

    def made(width: int) -> Any:
        heads = {"num_attention_heads": 2, "num_key_value_heads": 2, "head_dim": width // 2}
        sizes = {"hidden_size": width, "intermediate_size": 2 * width, "num_hidden_layers": 1}
        return llama(**sizes, **heads, initializer_range=0.1, attn_implementation=how)

    how = "eager" if seed % 2 else "sdpa"  # both are seen
    torch.manual_seed(seed)
    model = made(width)
    one = parametrize(model, made(32), made(64))
    one.init_(model, 0.1, torch.Generator().manual_seed(seed))
    torch.nn.init.zeros_(model.lm_head.weight)
    if not applied:  # undone: 1/sqrt(d) as the class has it
        for layer in model.model.layers:
            layer.self_attn.scaling *= (width / 32) ** 0.5
    tokens = torch.randint(101, (4, 16), generator=torch.Generator().manual_seed(0))
    return TrainingSetup(
        model=model,
        optimizer=torch.optim.AdamW(one.groups(model, lr=0.02, eps=1e-15)),
        loss=lambda: model(tokens, labels=tokens).loss,
    )


def test_a_wrong_scale_of_attention_fails_by_its_logits_alone() -> None:
    found = {
        applied: coordinate_check(
            partial(growing_heads, applied=applied), widths=(64, 128, 256), seeds=3
        )
        for applied in (True, False)
    }
    place = found[True].layers.index("model.layers.0.self_attn (logits)")
    assert found[True].verdict(place) != "fail"
    assert found[False].verdict(place) == "fail"
    assert found[False].interval(place)[1] == pytest.approx(0.5, abs=0.25)
    for one in found.values():
        start = one.start_interval(place)
        assert start is not None
        assert start[1] < 0.15  # it may shrink


def test_what_cannot_be_checked_is_refused() -> None:
    with pytest.raises(LimitError, match="at least two numbers above 0, ascending"):
        checked(0.0, widths=(16,))
    with pytest.raises(LimitError, match="at least 2 seeds"):
        checked(0.0, seeds=1)
    with pytest.raises(LimitError, match="steps must be at least 1"):
        checked(0.0, steps=0)
    with pytest.raises(LimitError, match="at width 16 in 2 steps the output of 0 did not"):
        coordinate_check(planted(-400.0), widths=(16, 32), seeds=2, steps=2)
    with pytest.raises(LimitError, match="must stay finite; at width 16 in 2 steps"):
        coordinate_check(planted(31.9), widths=(16, 32), seeds=2, steps=2)  # past float32
    with pytest.raises(LimitError, match="multiple of 16; got 40"):
        glu_family().at(40)


def test_the_share_of_networks_that_are_trained_is_told() -> None:
    told: list[float] = []
    coordinate_check(planted(0.5), widths=(16, 32), seeds=2, steps=1, progress=told.append)
    assert told == [0.25, 0.5, 0.75, 1.0]
