"""Weights by rows, their fingerprint, and plans that belong to others."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from families import tiny

from widthwise import apply, apply_, make_plan, prune_checkpoint
from widthwise.cut import ModelWeights, fingerprint
from widthwise.errors import PlanError, UnsupportedModelError

KEPT = 29


def test_a_plan_for_other_weights_is_refused_before_anything_changes(llama: Any) -> None:
    other = tiny("llama", seed=1)
    before = copy.deepcopy(other.state_dict())
    with pytest.raises(PlanError, match="whose GLU weights are not those of"):
        apply_(other, make_plan(llama, width=KEPT, criterion="ppm"))
    assert all(torch.equal(v, before[n]) for n, v in other.state_dict().items())
    with pytest.raises(PlanError, match=r"layers 3; .* has 2"):
        apply(tiny("llama", num_hidden_layers=2), make_plan(llama, width=KEPT, criterion="ppm"))


def test_the_fingerprint_outlives_a_wider_dtype(llama: Any) -> None:
    narrow = llama.to(torch.bfloat16)
    before = fingerprint(ModelWeights(narrow))
    assert fingerprint(ModelWeights(narrow.to(torch.float32))) == before


def test_a_model_without_data_is_refused() -> None:
    with torch.device("meta"):
        model = tiny("llama")
    with pytest.raises(UnsupportedModelError, match="holds no data"):
        make_plan(model, width=5, criterion="ppm")


def test_a_model_without_glu_is_refused() -> None:
    import transformers as hf

    model = hf.AutoModelForCausalLM.from_config(
        hf.GPT2Config(n_embd=32, n_layer=2, n_head=2, vocab_size=50)
    )
    with pytest.raises(UnsupportedModelError, match="GLU block"):
        make_plan(model, width=5, criterion="ppm")


def test_a_plan_for_another_checkpoint_is_refused(saved: Path, tmp_path: Path) -> None:
    plan = make_plan(tiny("llama", seed=3), width=KEPT, criterion="ppm")
    with pytest.raises(PlanError, match="whose GLU weights are not those of"):
        prune_checkpoint(saved, tmp_path / "out", plan)
    assert not (tmp_path / "out").exists()
