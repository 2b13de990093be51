"""A mixture of experts at every width: what `at` shows is what `apply` cuts, and it comes back."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from every_family import load, tiny_model
from family_trials import ids_of, logits
from nested_models import assert_untouched, bits, sizes

from widthwise import Nested, apply, make_plan, prune_checkpoint, refit, refits
from widthwise.errors import PlanError, TargetError
from widthwise.prune import PruneSpec
from widthwise.prune.spec import Target

# Stacked and gate first; a shared expert beside; dense layers first; interleaved and transposed;
# a module of its own for each of the two matrices.
MIXTURES = ("mixtral", "qwen2_moe", "deepseek_v3", "gpt_oss", "jetmoe")


@pytest.mark.parametrize("family", MIXTURES)
def test_every_width_equals_the_applied_plan(family: str) -> None:
    """Also at a width whose rows are no multiples of 16 bytes, where experts run one by one."""
    model = tiny_model(family)
    before, stated, run_by = bits(model), sizes(model), model.get_experts_implementation()
    with Nested(model) as nested:
        nested.sort("l2")
        for remove, align in (("40%", 8), ("40%", 1), ("60%", 1)):
            plan = make_plan(tiny_model(family), remove=remove, align=align, criterion="l2")
            cut = apply(tiny_model(family), plan)
            with nested.at(plan.kind_widths) as narrow:
                assert narrow is model
                assert sizes(model) == sizes(cut)
                got = logits(model)
            expected = logits(cut)
            # The same numbers added in another order: float32 rounding, grown by three layers.
            torch.testing.assert_close(got, expected, rtol=0, atol=1e-5 * expected.abs().max())
            assert nested.plan(plan.kind_widths).keep == plan.keep
            assert sizes(model) == stated
            assert model.get_experts_implementation() == run_by
    assert_untouched(model, before)


@pytest.mark.parametrize("family", ["qwen2_moe", "gpt_oss"])
def test_refitted_widths_equal_the_applied_refit(family: str) -> None:
    model = tiny_model(family)
    batches = [{"input_ids": ids_of(seed, 4, 40)} for seed in range(6)]
    specs = [
        PruneSpec(target=Target("remove", share), criterion="activation", align=8)
        for share in ("30%", "60%")
    ]
    made = refits(model, specs, batches)
    before = bits(model)
    with Nested(model) as nested:
        nested.sort_by(made)
        for each in made:
            expected = logits(apply(tiny_model(family), each.plan, each))
            with nested.at(each.plan.kind_widths) as narrow:
                torch.testing.assert_close(
                    logits(narrow), expected, rtol=0, atol=1e-5 * expected.abs().max()
                )
    assert_untouched(model, before)


def test_one_number_is_the_width_of_an_expert_and_the_others_follow() -> None:
    with Nested(tiny_model("qwen2_moe")) as nested:  # experts of width 24, shared of 40
        nested.sort()
        with nested.at(12) as narrow:
            assert narrow.config.moe_intermediate_size == 12
            assert narrow.config.shared_expert_intermediate_size == 20
        with nested.at((24, 8)) as narrow:
            assert narrow.config.moe_intermediate_size == 24
            assert narrow.config.shared_expert_intermediate_size == 8
        for wrong in ((24, 40, 1), (24,), (0, 8), (25, 8), 25, (12, 2.0)):
            with pytest.raises(TargetError), nested.at(wrong):  # type: ignore[arg-type]
                pass
        with nested.at((24, 40)), pytest.raises(PlanError, match="full width to sort"):
            nested.sort("l2")


def test_a_refit_to_an_odd_width_goes_layer_by_layer() -> None:
    model = tiny_model("qwen3_moe")
    run_by = model.get_experts_implementation()
    batches = [{"input_ids": ids_of(seed, 4, 40)} for seed in range(6)]
    done = refit(model, width="experts=13", text=batches, criterion="activation")
    assert {len(keep) for keep in done.plan.keep} == {13}
    assert model.get_experts_implementation() == run_by
    assert torch.isfinite(logits(apply(model, done.plan, done))).all()


def test_an_expert_of_an_odd_width_runs_where_it_is_loaded(tmp_path: Path) -> None:
    """torch has no product of all experts at once for rows that are no multiples of 16 bytes."""
    model = tiny_model("qwen3_moe")
    model.save_pretrained(tmp_path / "dense")
    plan = make_plan(tmp_path / "dense", width="experts=13", criterion="ppm")
    loaded = load("qwen3_moe", prune_checkpoint(tmp_path / "dense", tmp_path / "cut", plan))
    cut = apply(model, plan)
    assert torch.equal(logits(loaded), logits(cut))
    cut.save_pretrained(tmp_path / "saved")
    assert torch.equal(logits(load("qwen3_moe", tmp_path / "saved")), logits(cut))
    assert model.get_experts_implementation() != cut.get_experts_implementation()
