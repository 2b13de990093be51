"""Where and in what a healing computes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from widthwise.prune import opened_model
from widthwise.prune.healing import HealSettings, request
from widthwise.prune.healing.request import HealingRequest


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
    assert opened_model.has_bfloat16("cuda")
    monkeypatch.setattr(request, "has_bfloat16", lambda device: device == "cuda")
    assert asked(device="cuda:1").compute_dtype == "bfloat16"
    assert asked(device="cpu").compute_dtype == "float32"
    assert asked(device="cpu", dtype="bfloat16").compute_dtype == "bfloat16"
