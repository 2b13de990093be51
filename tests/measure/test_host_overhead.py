"""The host's share: a skeleton asks for what the model asks for, and takes next to no time."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
from families import FAMILIES, tiny
from torch.utils._python_dispatch import TorchDispatchMode

from widthwise.measure import host_time, run_pass, workload
from widthwise.measure.host_overhead import layerless_copy


class Asked(TorchDispatchMode):
    """Names of all operations, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.names.append(str(func))
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("family", list(FAMILIES))
def test_a_skeleton_asks_for_the_same(family: str) -> None:
    model = tiny(family)
    asked = []
    for one in (model, layerless_copy(model)):
        with torch.inference_mode(), Asked() as mode:
            run_pass(one, workload("3x2x2"))
        asked.append(mode.names)
    assert asked[0] == asked[1]
    assert sum(p.numel() for p in layerless_copy(model).parameters()) < 3 * 10**4


def test_long_rotations_are_no_hindrance() -> None:
    """Their factors are given one by one for the numbers of a real head."""
    rope = {"rope_type": "longrope", "short_factor": [1.0] * 8, "long_factor": [2.0] * 8}
    rope |= {"rope_theta": 1e4, "original_max_position_embeddings": 32}
    model = tiny("phi3", hidden_size=64, head_dim=16, rope_parameters=rope)
    assert host_time(model, workload("3x2")).reason is None


def test_the_shortest_pass_counts_without_the_first() -> None:
    """Three looks at the clock a pass, at 1, 3, 6, 10 ...: each interval is longer by one."""
    ticks = itertools.accumulate(itertools.count(1))
    took = host_time(tiny("llama"), workload("9x40"), clock=lambda: next(ticks))
    # the second pass has the 4th to the 6th look: 5 and 6 apart, the second for 7 steps
    assert (took.prefill_sec, took.step_sec) == (5, 6 / 7)
    assert host_time(tiny("llama"), workload("9x1")).step_sec is None


def test_what_cannot_be_made_so_small_is_said(llama: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(llama.config, "num_attention_heads", 3)  # with 2 of keys: no multiple
    took = host_time(llama, workload("3x2"))
    assert took.prefill_sec is None
    assert took.reason is not None
    assert took.reason.startswith("no skeleton: ")
