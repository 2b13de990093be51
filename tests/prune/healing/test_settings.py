"""What a healing is asked for: ranges, the learning rate's schedule, where and how to compute."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from widthwise.errors import RunError
from widthwise.prune.healing import HealSettings, settings
from widthwise.prune.healing.settings import HealingRequest, rate_at


@pytest.mark.parametrize(
    "wrong",
    [{"tokens": 0}, {"minutes": -1.0}, {"temperature": 0.0}, {"hidden": -0.1},
     {"learning_rate": float("nan")}, {"lora": 0}, {"batch_tokens": 0}, {"micro_tokens": 0}],
)  # fmt: skip
def test_settings_out_of_range_are_refused(wrong: dict[str, Any]) -> None:
    (name,) = wrong
    with pytest.raises(RunError, match=f"{name} of a healing must be"):
        HealSettings(**wrong)


def test_of_a_long_text_no_more_is_read_than_is_of_use() -> None:
    assert HealSettings().to_read("cpu") == 1_000_000
    assert HealSettings(tokens=5, minutes=30).to_read("cpu") == 5
    assert HealSettings(minutes=30).most_tokens is None
    read = [HealSettings(minutes=m).to_read(d) for m, d in ((30, "cpu"), (15, "cpu"), (30, "cuda"))]
    assert read[0] == 2 * read[1] < read[2]


def test_the_schedule_at_its_ends() -> None:
    assert rate_at(0.0, 1.0) == 1.0
    assert rate_at(0.0, 1.0, warmed=0.5) == 0.5
    assert rate_at(1.0, 1.0) == pytest.approx(0.05)
    assert rate_at(2.0, 1.0) == pytest.approx(0.05)


@pytest.mark.parametrize(
    "wrong",
    [
        {"tokens": 1.5}, {"batch_tokens": float("nan")}, {"micro_tokens": 0.5}, {"lora": True},
        {"tokens": 10**12 + 1}, {"batch_tokens": 10**18}, {"lora": 10**30}, {"minutes": 1e300},
        {"seed": -1}, {"minutes": float("inf")}, {"temperature": 1e-9}, {"learning_rate": "fast"},
    ],
)  # fmt: skip
def test_settings_out_of_range_are_refused_by_name(wrong: dict[str, Any]) -> None:
    with pytest.raises(RunError, match=f"{next(iter(wrong))} of a healing must be"):
        HealSettings(**wrong)


def asked(**options: Any) -> HealingRequest:
    return HealingRequest(out=Path("out"), settings=HealSettings(), start=0.0, **options)


def test_the_device_is_cuda_where_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    for there, place in ((True, "cuda"), (False, "cpu")):
        monkeypatch.setattr(torch.cuda, "is_available", lambda there=there: there)
        assert asked().place == place
    assert (asked(device="cuda:1").place, asked(device="cuda:1").kind_of_device) == (
        "cuda:1",
        "cuda",
    )


def test_the_dtype_is_bfloat16_where_there_are_units_for_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(settings, "has_bfloat16", lambda device: device == "cuda")
    assert asked(device="cuda:1").compute_dtype == "bfloat16"
    assert asked(device="cpu").compute_dtype == "float32"
    assert asked(device="cpu", dtype="bfloat16").compute_dtype == "bfloat16"
