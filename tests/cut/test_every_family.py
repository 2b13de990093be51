"""Every family that widthwise cuts: by stream and in memory the same bits, reloaded, exact."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers as hf
from every_family import DENSE, MIXTURES, VOCAB, tiny_model

from widthwise.arch import counts_at
from widthwise.cut import ModelWeights, Plan, apply
from widthwise.cut.checkpoint import Checkpoint
from widthwise.prune import make_plan, prune_checkpoint


def without(model: Any, plan: Plan) -> Any:
    """The dense model, its columns of down zero where the plan keeps no neuron."""
    masked = copy.deepcopy(model)
    architecture = ModelWeights(masked).architecture
    parameters = dict(masked.named_parameters())
    for index, group in enumerate(architecture.groups):
        cut, down = architecture.cuts[group.down], parameters[group.down].data
        down = down[index - cut.group] if cut.stacked else down
        gone = sorted(set(range(architecture.width_of(index))) - set(plan.keep[index]))
        down.index_fill_(cut.axis, torch.tensor(gone), 0)
    return masked


def logits(model: Any) -> torch.Tensor:
    ids = torch.randint(3, VOCAB, (2, 20), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        answer: torch.Tensor = model(input_ids=ids, use_cache=False).logits
    return answer


@pytest.mark.parametrize("family", [*DENSE, *MIXTURES])
def test_a_family_is_cut_exactly(family: str, tmp_path: Path) -> None:
    model = tiny_model(family)
    model.save_pretrained(tmp_path / "dense")
    with Checkpoint(tmp_path / "dense") as checkpoint:
        stored = checkpoint.architecture
    plan = make_plan(tmp_path / "dense", remove="40%", align=8)
    assert make_plan(model, remove="40%", align=8).keep == plan.keep
    out = prune_checkpoint(tmp_path / "dense", plan=plan, out=tmp_path / "narrow")
    narrow = hf.AutoModelForCausalLM.from_pretrained(out).eval()
    in_memory = dict(apply(model, plan).named_parameters())
    assert [*in_memory] == [name for name, _ in narrow.named_parameters()]
    assert all(torch.equal(p, in_memory[name]) for name, p in narrow.named_parameters())
    count = sum(parameter.numel() for parameter in narrow.parameters())
    assert plan.parameters == count
    assert counts_at(stored).parameters == sum(p.numel() for p in model.parameters())
    masked, dense = logits(without(model, plan)), logits(model)
    # Sums of the same numbers in another order: float32 rounding, grown by three layers.
    torch.testing.assert_close(logits(narrow), masked, rtol=0, atol=1e-5 * masked.abs().max())
    assert (dense - masked).abs().max() > 0.01 * dense.abs().max()  # the cut shows
