"""Scales after a refit: their gradient, what they reach, what is written, and going on."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from every_family import tiny_model
from family_trials import inputs
from layered_models import batches
from safetensors.torch import load_file

import widthwise
from widthwise import Refit, apply, refit
from widthwise.cut.checkpoint import Checkpoint, by_layers, renamed_parts
from widthwise.errors import PlanError
from widthwise.notices import shown
from widthwise.prune import open_model
from widthwise.prune.calibration import LayerwiseRunner, text_of
from widthwise.prune.refitting import scale_tuner
from widthwise.prune.refitting.layer_fit import GroupCut
from widthwise.prune.refitting.scalable import scalable
from widthwise.prune.refitting.scale_tuner import ScaleTuner, tuning_rows

FAMILIES = ["llama", "mixtral", "gemma3n_text", "gpt_oss", "falcon_h1", "qwen3"]


def rows(model: Any, count: int = 6) -> list[dict[str, torch.Tensor]]:
    return [inputs(model, seed, 4, 40) for seed in range(count)]


def divergences(dense: Any, narrow: Any, given: list[dict[str, torch.Tensor]]) -> torch.Tensor:
    """KL of every row, by whole passes."""
    found = []
    for batch in given:
        one, other = (m(**batch).logits.double().log_softmax(-1) for m in (dense, narrow))
        found += (one.exp() * (one - other)).sum(-1).mean(-1)
    return torch.stack(found)


@pytest.mark.parametrize("family", FAMILIES)
@torch.no_grad()
def test_what_is_told_is_what_whole_passes_of_the_result_say(family: str) -> None:
    model = tiny_model(family)
    given = rows(model)
    done = refit(model, width=24, align=1, text=given)
    assert done.scales is not None
    narrow = apply(model, done.plan, done)
    choosing = divergences(model, narrow, given[0::2])[-1:]
    # float32 logits in another order: of divergences of about 1, some millionths.
    assert done.scales.after == pytest.approx(float(choosing.mean()), rel=1e-3)
    places = slice(0, 39)  # the last token predicts nothing that is known
    held = [{k: v[:, places] for k, v in batch.items()} for batch in given[1::2]]
    (loss,) = done.losses
    assert loss.divergence == pytest.approx(
        float(divergences(model, narrow, held).mean()), rel=1e-3
    )


def parts_of_tuner(
    model: Any, given: list[dict[str, torch.Tensor]]
) -> tuple[LayerwiseRunner, list[GroupCut], list[list[str]], Refit]:
    """A runner on rows of some batches, the cut of a refit, names of what is scaled, the refit."""
    done = refit(model, width=24, align=1, text=given, scales=False)
    cuts = [
        GroupCut(keep=keep, down=down, fit=fit)
        for keep, down, fit in zip(done.plan.keep, done.down, done.layers, strict=True)
    ]
    runner = LayerwiseRunner(model, text_of([row for b in given for row in _single(b)]))
    with open_model(model) as opened:
        names = scalable(opened.weights, runner.weights, ())
    return runner, cuts, names, done


def _single(batch: dict[str, torch.Tensor]) -> list[dict[str, torch.Tensor]]:
    return [{k: v[i : i + 1] for k, v in batch.items()} for i in range(4)]


@pytest.mark.parametrize("recompute", [False, True])
@pytest.mark.parametrize("family", ["llama", "qwen3", "gemma3n_text"])
def test_the_gradient_is_that_of_whole_passes(family: str, recompute: bool) -> None:
    """By finite differences of whole passes of models with one scale changed, in float64."""
    model = tiny_model(family).double()
    given = rows(model)
    runner, cuts, names, done = parts_of_tuner(model, given)
    with runner:
        tuner = ScaleTuner(runner, cuts, names, recompute=recompute)
        tuner.scales = tuner.scales.double().requires_grad_()
        gradient = tuner._gradient([0])
        first = _single(given[0])[:1]
        draw = torch.Generator().manual_seed(1)
        for index in torch.randint(len(gradient), (6,), generator=draw).tolist():
            values = []
            for step in (1e-3, -1e-3):
                tuner.scales = torch.ones_like(gradient)
                tuner.scales[index] += step
                down = tuple(cut.down for cut in tuner.folded())
                changed = Refit(**{**vars(done), "down": down, "rows": tuner.rows()})
                narrow = apply(model, done.plan, changed)
                values.append(float(divergences(model, narrow, first)))
            slope = (values[0] - values[1]) / 2e-3
            # Norms are computed in float32, which moves a divergence of about 1 by some 1e-8, over
            # 2e-3; slopes are of about 1e-2.
            assert float(gradient[index]) == pytest.approx(slope, abs=5e-5)


def test_layers_that_do_not_stay_give_the_same_scales(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, given = tiny_model("llama"), batches()
    model.save_pretrained(tmp_path)
    whole = refit(str(tmp_path), width=24, align=1, text=given)
    monkeypatch.setattr(by_layers, "KEPT_BYTES", 0)
    again = refit(str(tmp_path), width=24, align=1, text=given)
    assert again.scales == whole.scales
    assert all(torch.equal(a, b) for a, b in zip(again.down, whole.down, strict=True))
    assert all(torch.equal(again.rows[key], scales) for key, scales in whole.rows.items())


@pytest.mark.parametrize("family", ["llama", "mixtral", "qwen2_5_vl"])
@torch.no_grad()
def test_a_checkpoint_holds_the_scales(family: str, tmp_path: Path) -> None:
    model = tiny_model(family)
    model.save_pretrained(tmp_path / "dense")
    given = rows(model)
    done = refit(str(tmp_path / "dense"), width=24, align=1, text=given)
    assert done.rows
    widthwise.prune_checkpoint(str(tmp_path / "dense"), tmp_path / "out", done.plan, refit=done)
    narrow = apply(model, done.plan, done)
    loaded = type(model).from_pretrained(tmp_path / "out").eval()
    for one, other in zip(narrow.parameters(), loaded.parameters(), strict=True):
        assert torch.equal(one, other)
    before, after = (load_file(tmp_path / n / "model.safetensors") for n in ("dense", "out"))
    with Checkpoint(tmp_path / "dense") as checkpoint:
        names = checkpoint.architecture.layer_names
        changed = {f"{names[layer]}.{name}" for layer, name in done.rows}
        left = set(before) - changed - set(checkpoint.architecture.cuts)
    assert all(torch.equal(before[name], after[name]) for name in left)
    record = json.loads((tmp_path / "out" / "widthwise_refit.json").read_text())
    assert record["scales"]["tokens"] == done.scales.tokens
    assert str(done.scales) in (tmp_path / "out" / "README.md").read_text()


def test_scales_of_tensors_that_are_not_there_are_refused() -> None:
    model, given = tiny_model("llama"), batches()
    done = refit(model, width=24, align=1, text=given)
    odd = Refit(**{**vars(done), "rows": {(0, "odd.weight"): torch.ones(3)}})
    with pytest.raises(PlanError, match=r"scales for 3 rows of model\.layers\.0\.odd\.weight"):
        apply(model, done.plan, odd)


def test_a_router_and_what_is_cut_are_not_scaled() -> None:
    with open_model(tiny_model("mixtral")) as opened:
        (first, *_) = scalable(opened.weights, opened.weights, ())
    assert first == ["input_layernorm.weight", "post_attention_layernorm.weight"]
    with open_model(tiny_model("llama")) as opened:
        (first, *_) = scalable(opened.weights, opened.weights, ())
    assert first == [
        *(f"self_attn.{name}_proj.weight" for name in "qkvo"),
        *("input_layernorm.weight", "post_attention_layernorm.weight"),
    ]


def test_an_encoder_a_pair_and_one_row_have_no_scales() -> None:
    for family in ("modernbert", "t5"):
        model = tiny_model(family)
        done = refit(model, remove="40%", align=8, text=rows(model))
        assert (done.scales, dict(done.rows)) == (None, {})
    model, said = tiny_model("llama"), []
    ids = torch.cat([each["input_ids"].view(1, -1) for each in batches(2)])
    with shown(said.append):
        done = refit(model, width=24, align=1, text=[{"input_ids": row[None]} for row in ids])
    assert done.scales is None
    assert said == ["Nothing is scaled after the refit, as half of the text is a single row."]


def test_a_model_in_memory_is_unchanged_and_gets_no_gradients() -> None:
    model = tiny_model("llama")
    before = copy.deepcopy(model.state_dict())
    refit(model, width=24, align=1, text=batches())
    assert all(torch.equal(before[name], now) for name, now in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())


def test_rows_are_spread_over_the_fitted_half_and_one_in_sixteen_chooses(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    text = text_of(batches(24, 4))
    tuned, choosing = tuning_rows(text)
    assert (len(tuned), len(choosing)) == (45, 3)
    monkeypatch.setattr(scale_tuner, "MOST_TOKENS", 12 * 40)
    tuned, choosing = tuning_rows(text)
    assert (len(tuned), len(choosing)) == (11, 1)
    fitted = [row for batch in text.fit for row in batch.input_ids]
    places = [
        next(i for i, f in enumerate(fitted) if torch.equal(f, r.input_ids[0])) for r in tuned
    ]
    assert places == [0, 4, 8, 12, 16, 20, 24, 28, 32, 36, 40]


def test_what_is_stored_under_another_name_is_not_scaled() -> None:
    model = tiny_model("olmo_hybrid")
    renamed = renamed_parts(model)
    with open_model(model) as opened:
        plain, *_ = (scalable(opened.weights, opened.weights, each) for each in ((), renamed))
        named = scalable(opened.weights, opened.weights, renamed)
    assert "input_layernorm.weight" in plain[0]
    assert "input_layernorm.weight" not in named[0]
    assert named[0]
