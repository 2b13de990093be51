"""Neurons that are chosen by their scores, in memory and on disk, as by the reference code."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import optipfair
import pytest
import torch
from checkpoint_files import load
from families import HIDDEN, LAYERS, WIDTH, tiny, tokens

from widthwise import activation_norms, apply, make_plan
from widthwise.cut import ModelWeights
from widthwise.errors import PlanError
from widthwise.prune import CALIBRATED, CRITERIA, ROW_CRITERIA, score_group

REFERENCE = {"ppm": "PPM", "vow": "VOW", "pon": "PON", "l2": "L2"}

REFERENCE_FAMILIES = ["llama", "qwen3", "gemma2", "olmo2", "cohere", "granite", "stablelm"]

KEPT = 29


@pytest.mark.parametrize("criterion", sorted(set(CRITERIA) - set(CALIBRATED)))
def test_plans_from_disk_and_memory_are_the_same(criterion: str, saved: Path) -> None:
    from_disk = make_plan(saved, width=KEPT, criterion=criterion)
    in_memory = make_plan(load(saved), width=KEPT, criterion=criterion)
    assert (from_disk.keep, from_disk.fingerprint) == (in_memory.keep, in_memory.fingerprint)


@pytest.mark.parametrize("criterion", ROW_CRITERIA)
def test_scores_do_not_depend_on_how_rows_are_chunked(
    criterion: str, llama: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = ModelWeights(llama)
    whole = score_group(weights, 1, criterion)
    monkeypatch.setattr("widthwise.cut.weights.CHUNK_BYTES", 7 * 2 * HIDDEN * 4)
    assert torch.equal(score_group(weights, 1, criterion), whole)


@pytest.mark.parametrize("criterion", [c for c in CRITERIA if c != "ppm_activation"])
def test_keep_sets_nest_across_widths(criterion: str, llama: Any) -> None:
    plans = [make_plan(llama, width=w, criterion=criterion) for w in (1, 13, 29, WIDTH - 1)]
    for narrow, wide in pairwise(plans):
        for small, large in zip(narrow.keep, wide.keep, strict=True):
            assert set(small) <= set(large)


def test_random_is_seeded_and_differs_between_layers_and_seeds(llama: Any) -> None:
    def keep(seed: int) -> Any:
        return make_plan(llama, width=20, criterion="random", seed=seed).keep

    assert keep(1) == keep(1)
    assert keep(1) != keep(2)
    assert len(set(keep(1))) == LAYERS


def test_all_zero_weights_keep_the_first_neurons(llama: Any) -> None:
    with torch.no_grad():
        for layer in llama.model.layers:
            layer.mlp.gate_proj.weight.zero_()
            layer.mlp.up_proj.weight.zero_()
    for criterion in ROW_CRITERIA:
        assert make_plan(llama, width=5, criterion=criterion).keep[0] == (0, 1, 2, 3, 4)


def test_an_unknown_criterion_is_refused(llama: Any) -> None:
    with pytest.raises(PlanError, match=r"criterion must be one of ppm, .*; got 'maw'"):
        make_plan(llama, width=5, criterion="maw")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("criterion", [c for c in CRITERIA if c != "ppm_activation"])
def test_cuda_selects_what_the_cpu_selects(criterion: str) -> None:
    model = tiny("llama", hidden_size=256, intermediate_size=1024).to(torch.bfloat16)
    on_cpu = make_plan(model, remove="40%", criterion=criterion)
    on_cuda = make_plan(model.to("cuda"), remove="40%", criterion=criterion)
    assert on_cuda == on_cpu


@pytest.mark.parametrize("family", REFERENCE_FAMILIES)
@pytest.mark.parametrize("criterion", REFERENCE)
def test_selections_are_those_of_optipfair(family: str, criterion: str) -> None:
    width = 32  # optipfair: I - int(40 / 100 * 53) = 53 - 21
    model = tiny(family, seed=5)
    for layer in range(LAYERS):
        scores = score_group(ModelWeights(model), layer, criterion).double()
        ranked = scores.sort(descending=True).values
        # No tie is involved: the gap at the cut is far above float32 rounding (6e-8 relative).
        assert (ranked[width - 1] - ranked[width]) / ranked[width] > 1e-6
    plan = make_plan(model, remove="40%", paper_widths=True, criterion=criterion)
    ours = apply(model, plan)
    theirs = optipfair.prune_model(
        model,  # changed in place
        neuron_selection_method=REFERENCE[criterion],
        pruning_percentage=40,
        show_progress=False,
    )
    assert plan.width == theirs.config.intermediate_size == width
    for (name, a), (_, b) in zip(ours.named_parameters(), theirs.named_parameters(), strict=True):
        assert torch.equal(a, b), name


def test_the_hybrid_selects_what_optipfair_selects() -> None:
    model, ids = tiny("llama", seed=5), tokens()
    norms = activation_norms(model, [{"input_ids": ids}])
    plan = make_plan(
        model,
        remove="40%",
        paper_widths=True,
        criterion="ppm_activation",
        activation_norms=norms,
    )
    ours = apply(model, plan)
    theirs = optipfair.prune_model(
        model,
        neuron_selection_method="MAW",  # its name for the hybrid, where data is given
        pruning_percentage=40,
        show_progress=False,
        dataloader=[{"input_ids": ids, "attention_mask": torch.ones_like(ids)}],
    )
    for (name, a), (_, b) in zip(ours.named_parameters(), theirs.named_parameters(), strict=True):
        assert torch.equal(a, b), name


def test_the_hybrid_needs_activation_norms(llama: Any) -> None:
    with pytest.raises(PlanError, match="needs activation norms"):
        make_plan(llama, width=5, criterion="ppm_activation")
