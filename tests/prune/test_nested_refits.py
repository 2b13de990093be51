"""One model at every refitted width: what `at` shows is what `apply` cuts and refits."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from families import FAMILIES, LAYERS, VOCAB, WIDTH, tiny, tokens
from nested_models import KEPT, assert_untouched, bits, sizes

from widthwise import Nested, apply, make_plan
from widthwise.arch import Target
from widthwise.errors import PlanError
from widthwise.prune import PruneSpec
from widthwise.prune.refitting import refit, refits


def refits_of(model: Any, criterion: str = "activation", widths: Any = (KEPT, 7, 40)) -> Any:
    generator = torch.Generator().manual_seed(3)
    text = [{"input_ids": torch.randint(3, VOCAB, (4, 40), generator=generator)} for _ in range(4)]
    asked = [
        PruneSpec(target=Target("width", str(width)), criterion=criterion, align=1, seed=5)
        for width in widths
    ]
    return refits(model, asked, text)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_refitted_width_equals_the_applied_refit(family: str) -> None:
    model = tiny(family)
    before, stated = bits(model), sizes(model)
    fitted = refits_of(model)
    cuts = {refit.plan.width: apply(model, refit.plan, refit) for refit in fitted}
    plain = {refit.plan.width: apply(model, refit.plan) for refit in fitted}
    assert_untouched(model, before)
    with torch.no_grad(), Nested(model) as nested:
        nested.sort("random")  # what stood before has no say
        nested.sort_by(fitted)
        for width in (40, KEPT, 7, WIDTH, KEPT):
            expected = cuts[width](tokens()).logits if width in cuts else None
            with nested.at(width) as narrow:
                got = narrow(tokens()).logits
                assert sizes(model) == (stated if expected is None else sizes(cuts[width]))
            if expected is None:
                continue
            tolerance = LAYERS * WIDTH * 2.0**-24 * expected.abs().max().item()  # as above
            torch.testing.assert_close(got, expected, rtol=0, atol=tolerance)
            only_cut = (plain[width](tokens()).logits - expected).abs().max()
            assert only_cut > 10 * tolerance, "the refit changes nothing: proves nothing"
            assert nested.plan(width) == next(r.plan for r in fitted if r.plan.width == width)
        nested.sort("ppm")  # and a refit has none in what comes after it
        with nested.at(KEPT):
            got = model(tokens()).logits
    assert_untouched(model, before)
    expected = apply(model, make_plan(model, width=KEPT, criterion="ppm"))(tokens()).logits
    tolerance = LAYERS * WIDTH * 2.0**-24 * expected.abs().max().item()
    torch.testing.assert_close(got, expected, rtol=0, atol=tolerance)


def test_plans_alone_are_only_cut() -> None:
    model = tiny("llama")
    plans = [refit.plan for refit in refits_of(model, "obs")]
    cuts = {plan.width: apply(model, plan, False)(tokens()).logits for plan in plans}
    with torch.no_grad(), Nested(model) as nested:
        nested.sort_by(plans)
        for width, expected in cuts.items():
            with nested.at(width):
                got = model(tokens()).logits
            tolerance = LAYERS * WIDTH * 2.0**-24 * expected.abs().max().item()
            torch.testing.assert_close(got, expected, rtol=0, atol=tolerance)


def test_a_refit_comes_back_to_the_bit_after_an_exception() -> None:
    model = tiny("phi3").to(torch.bfloat16)
    before, parameters = bits(model), list(model.parameters())
    fitted = refits_of(model)
    with Nested(model) as nested:
        nested.sort_by(fitted)
        with pytest.raises(KeyError), nested.at(KEPT):
            raise KeyError
    assert_untouched(model, before)
    assert all(a is b for a, b in zip(model.parameters(), parameters, strict=True))


def test_what_cannot_be_sorted_by_is_refused_and_nothing_moves() -> None:
    model = tiny("llama")
    fitted, others = refits_of(model), refits_of(tiny("llama", seed=1))
    by_chance = refits_of(model, "random", widths=(41,))
    with Nested(model) as nested:
        nested.sort_by(fitted)
        before = bits(model)
        for cuts, said in (
            ((), "one plan or more"),
            (fitted[:1] * 2, "each with a different width"),
            (others, "other GLU weights"),
            ((*fitted, *by_chance), "keeps neurons that a wider plan"),
        ):
            with pytest.raises(PlanError, match=said):
                nested.sort_by(cuts)
            assert_untouched(model, before)
        with pytest.raises(PlanError, match=r"plans for width 7, 29, 40; got 30"):
            nested.plan(30)
        with nested.at(KEPT), pytest.raises(PlanError, match="must have its full width to sort"):
            nested.sort_by(by_chance)
    with pytest.raises(PlanError, match="is closed"):
        nested.sort_by(by_chance)


@pytest.mark.parametrize("family", ["llama", "phi3", "gemma2"])
def test_a_refit_with_scales_equals_the_applied_one_and_leaves_nothing(family: str) -> None:
    """Rows of attention and norms are scaled at its width alone."""
    model = tiny(family)
    before, parameters = bits(model), list(model.parameters())
    text = [{"input_ids": tokens().repeat(4, 1)} for _ in range(4)]
    found = refit(model, width=KEPT, align=1, text=text)
    assert found.rows
    drawn = torch.Generator().manual_seed(0)  # a tiny model may be best without any scales
    rows = {at: torch.rand(len(ones), generator=drawn) + 0.5 for at, ones in found.rows.items()}
    done = replace(found, rows=rows)
    expected = apply(model, done.plan, done)(tokens()).logits
    unscaled = apply(model, done.plan, replace(done, rows={}))(tokens()).logits
    with torch.no_grad(), Nested(model) as nested:
        nested.sort_by([done])
        with nested.at(KEPT) as narrow:
            got = narrow(tokens()).logits
        with nested.at(WIDTH) as dense:
            assert_untouched(dense, before)
        with pytest.raises(KeyError), nested.at(KEPT):
            raise KeyError
    tolerance = LAYERS * WIDTH * 2.0**-24 * expected.abs().max().item()  # as above
    torch.testing.assert_close(got, expected, rtol=0, atol=tolerance)
    assert (unscaled - expected).abs().max() > 10 * tolerance, "scales change nothing"
    assert_untouched(model, before)
    assert all(a is b for a, b in zip(model.parameters(), parameters, strict=True))
