"""The pace of a machine is measured for any model; how fast it is is not looked at."""

from __future__ import annotations

import math
from dataclasses import fields
from pathlib import Path

import pytest
import torch
from every_family import tiny_model
from tiny_gguf import save_llama

from widthwise.cut import ModelWeights
from widthwise.cut.checkpoint import resolve_model
from widthwise.prune import CutWork, measured_pace


def is_a_pace(pace: CutWork) -> bool:
    found = [getattr(pace, each.name) for each in fields(pace)]
    return all(0 < each < math.inf for each in found)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
@pytest.mark.parametrize("family", ["llama", "mixtral", "phi3", "t5", "nemotron"])
def test_every_kind_of_work_has_a_pace(family: str, dtype: torch.dtype) -> None:
    weights = ModelWeights(tiny_model(family))
    assert is_a_pace(measured_pace(weights, dtype, "cpu"))


def test_weights_on_disk_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WIDTHWISE_CACHE", str(tmp_path / "cache"))
    source = resolve_model(save_llama(tmp_path / "whole.gguf", 96))
    with source.checkpoint:
        assert is_a_pace(measured_pace(source.checkpoint, torch.float32, "cpu"))
