"""Criteria: hand-computed scores, laws, and the selections of the paper's library."""

from __future__ import annotations

import math
from itertools import pairwise
from pathlib import Path
from typing import Any

import optipfair
import pytest
import torch
from families import HIDDEN, LAYERS, WIDTH, tiny, tokens

from widthwise import activation_norms, apply, make_plan
from widthwise.cut import ModelWeights
from widthwise.errors import PlanError, RunError
from widthwise.prune import CRITERIA, ROW_CRITERIA, keep_highest, ppm_activation, score_layer
from widthwise.prune.criteria import l2, max_abs, pon, ppm, vow

GATE = torch.tensor([[1.0, -3.0], [2.0, 4.0], [0.0, 0.0]])
UP = torch.tensor([[-1.0, 2.0], [-2.0, -5.0], [0.0, 0.0]])


def test_scores_by_hand() -> None:
    # Rows of gate: [1, -3], [2, 4], [0, 0]; of up: [-1, 2], [-2, -5], [0, 0].
    assert ppm(GATE, UP).tolist() == [(1 + 3) + (2 + 1), (4 + 2) + (-2 + 5), 0]
    assert max_abs(GATE, UP).tolist() == [3 + 2, 4 + 5, 0]
    assert vow(GATE, UP).tolist() == [8 + 4.5, 2 + 4.5, 0]  # (a - b)^2 / 2 for two values
    assert pon(GATE, UP).tolist() == [4 * 3, 6 * 7, 0]
    expected = [math.sqrt(10) + math.sqrt(5), math.sqrt(20) + math.sqrt(29), 0]
    assert l2(GATE, UP).tolist() == pytest.approx(expected, rel=1e-7)  # float32 rounding


def test_the_hybrid_by_hand() -> None:
    down = torch.tensor([[2.0, 0.0, 1.0], [-2.0, 1.0, 0.0]])
    # Peak to peak: gate [4, 6, 0] of 6, up [3, 3, 0] of 3, down columns [4, 1, 1] of 4.
    share = [4 / 6 + 3 / 3 + 4 / 4, 6 / 6 + 3 / 3 + 1 / 4, 0 + 0 + 1 / 4]
    got = ppm_activation(GATE, UP, down, torch.tensor([1.0, 2.0, 4.0]))
    # 1e-8 in the denominators and float32: relative 1e-6 covers both.
    assert got.tolist() == pytest.approx([share[0], 2 * share[1], 4 * share[2]], rel=1e-6)


def test_of_equal_scores_the_lower_index_is_kept() -> None:
    assert keep_highest(torch.tensor([1.0, 5.0, 5.0, 5.0, 7.0]), 3) == [1, 2, 4]
    assert keep_highest(torch.zeros(1000), 7) == list(range(7))


@pytest.mark.parametrize("criterion", ROW_CRITERIA)
def test_permuting_neurons_permutes_scores(criterion: str) -> None:
    generator = torch.Generator().manual_seed(3)
    gate, up = torch.randn(2, 41, 19, generator=generator)
    order = torch.randperm(41, generator=generator)
    scores = ROW_CRITERIA[criterion](gate, up)
    assert torch.equal(ROW_CRITERIA[criterion](gate[order], up[order]), scores[order])


@pytest.mark.parametrize("criterion", ROW_CRITERIA)
def test_scores_do_not_depend_on_how_rows_are_chunked(
    criterion: str, llama: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = ModelWeights(llama)
    whole = score_layer(weights, 1, criterion)
    monkeypatch.setattr("widthwise.cut.weights.CHUNK_BYTES", 7 * 2 * HIDDEN * 4)
    assert torch.equal(score_layer(weights, 1, criterion), whole)


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


REFERENCE = {"ppm": "PPM", "vow": "VOW", "pon": "PON", "l2": "L2"}
REFERENCE_FAMILIES = ["llama", "qwen3", "gemma2", "olmo2", "cohere", "granite", "stablelm"]


@pytest.mark.parametrize("family", REFERENCE_FAMILIES)
@pytest.mark.parametrize("criterion", REFERENCE)
def test_selections_are_those_of_optipfair(family: str, criterion: str) -> None:
    width = 32  # optipfair: I - int(40 / 100 * 53) = 53 - 21
    model = tiny(family, seed=5)
    for layer in range(LAYERS):
        scores = score_layer(ModelWeights(model), layer, criterion).double()
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


def test_calibration_text_is_for_a_model_on_disk(llama: Any) -> None:
    with pytest.raises(PlanError, match="pass activation_norms"):
        make_plan(llama, width=5, criterion="ppm_activation", calibration=Path("text"))


def test_the_hybrid_needs_activation_norms(llama: Any) -> None:
    with pytest.raises(PlanError, match="needs activation norms"):
        make_plan(llama, width=5, criterion="ppm_activation")


def test_activation_norms_ignore_padding_and_batching(llama: Any) -> None:
    ids = tokens(length=12)
    whole = activation_norms(llama, [{"input_ids": ids}])
    apart = activation_norms(llama, [{"input_ids": row[None]} for row in ids])
    padded = torch.nn.functional.pad(ids, (0, 5))
    mask = torch.nn.functional.pad(torch.ones_like(ids), (0, 5))
    masked = activation_norms(llama, [{"input_ids": padded, "attention_mask": mask}])
    for layer in range(LAYERS):
        # Same numbers from other matrix shapes: float32 accumulates differently, 1e-5 relative.
        torch.testing.assert_close(apart[layer], whole[layer], rtol=1e-5, atol=1e-7)
        torch.testing.assert_close(masked[layer], whole[layer], rtol=1e-5, atol=1e-7)


def test_activation_norms_match_a_direct_computation(llama: Any) -> None:
    ids = tokens()
    seen: list[torch.Tensor] = []
    block = llama.model.layers[1].mlp
    handle = block.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    norms = activation_norms(llama, [{"input_ids": ids}])
    handle.remove()
    with torch.inference_mode():
        inner = torch.nn.functional.silu(block.gate_proj(seen[0])) * block.up_proj(seen[0])
    torch.testing.assert_close(norms[1], inner.flatten(0, 1).norm(dim=0), rtol=1e-5, atol=0)


def test_no_calibration_text_is_an_error(llama: Any) -> None:
    with pytest.raises(RunError, match="at least one batch"):
        activation_norms(llama, [])
