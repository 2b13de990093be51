"""Draft layers are cut to the width of the config and kept, by whatever names they are stored."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from command_line import prune_by_weights
from draft_layers import DRAFTS, HIDDEN, output, parts, save, stored
from every_family import load
from family_trials import ids_of
from healing_runs import BATCH, QUICK, VOCABULARY, save_text, save_tokenizer
from layered_models import ragged, run
from quantized_models import block_config, quantize

from widthwise import make_plan, prune_checkpoint
from widthwise.arch import counts_at
from widthwise.cut.checkpoint import Checkpoint, inspect_refit
from widthwise.errors import CheckpointError
from widthwise.prune import HealSettings, heal, refit


def widths_in(folder: Path) -> dict[str, Any]:
    config = json.loads((folder / "config.json").read_text())
    return config.get("text_config", config)


@pytest.mark.parametrize("name", DRAFTS)
def test_draft_layers_give_what_the_dense_ones_give_without_neurons(
    name: str, tmp_path: Path
) -> None:
    """transformers runs no draft layer, so that blocks are computed here, and masked by hand."""
    draft = DRAFTS[name]
    before = save(draft, tmp_path / "parent")
    plan = make_plan(tmp_path / "parent", remove="40%", criterion="max_abs", align=1)
    out = prune_checkpoint(tmp_path / "parent", tmp_path / "out", plan, max_shard_size=60_000)
    assert len([*out.glob("*.safetensors")]) > 1
    after = stored(out)
    assert before.keys() <= after.keys()
    assert all(torch.equal(before[each], after[each]) for each in draft.beside)
    given = torch.randn(5, HIDDEN, generator=torch.Generator().manual_seed(1)).double()
    wide, narrow = parts(draft, before), parts(draft, after)
    for block, (gate, up, down) in wide.items():
        kept = narrow[block][2].shape[1]
        scores = gate.abs().amax(1) + up.abs().amax(1)  # max_abs
        masked = down.clone()
        masked[:, scores.argsort(descending=True)[kept:]] = 0
        assert kept < down.shape[1]
        # the same sums in float64 without terms that are 0, in another order
        torch.testing.assert_close(output(narrow[block], given), output((gate, up, masked), given))
    assert load(draft.family, out) is not None


@pytest.mark.parametrize("name", DRAFTS)
def test_every_width_that_the_config_states_is_that_of_draft_layers_too(
    name: str, tmp_path: Path
) -> None:
    draft = DRAFTS[name]
    save(draft, tmp_path / "parent")
    was = widths_in(tmp_path / "parent")
    plan = make_plan(tmp_path / "parent", remove="40%", align=1, criterion="ppm")
    states = widths_in(out := prune_checkpoint(tmp_path / "parent", tmp_path / "out", plan))
    assert states[draft.key] == was[draft.key] == 1
    narrow = parts(draft, stored(out))
    shared = states.get("shared_expert_intermediate_size")
    shared = shared or 2 * states.get("moe_intermediate_size", 0)
    for block, (gate, up, down) in narrow.items():
        key = "moe_intermediate_size" if "expert" in block else "intermediate_size"
        width = shared if "shared" in block else states[key]
        assert gate.shape == up.shape == down.T.shape == (width, HIDDEN), block
        assert "shared" in block or states[key] < was[key]
    before, after = (Checkpoint(each).architecture for each in (tmp_path / "parent", out))
    assert after.drafts is not None
    assert not after.left_out
    counts = counts_at(before, tuple(kind.width for kind in after.kinds))
    assert (counts.parameters, counts.weight_bytes) == (
        after.parameters,
        sum(each.nbytes for each in stored(out).values()),
    )


def test_counts_of_what_transformers_builds_are_without_draft_layers(tmp_path: Path) -> None:
    draft = DRAFTS["qwen2"]
    save(draft, tmp_path)
    model = load("qwen2", tmp_path)
    architecture = Checkpoint(tmp_path).architecture
    assert architecture.parameters == sum(each.numel() for each in model.parameters())
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, "model_type": "mimo"}))
    unknown = Checkpoint(tmp_path).architecture  # of a family that transformers does not build
    assert unknown.parameters == architecture.parameters


def test_draft_layers_in_fp8_are_dequantized_and_kept(tmp_path: Path) -> None:
    draft = DRAFTS["deepseek_v3"]
    save(draft, tmp_path / "parent")
    quantize(tmp_path / "parent", block_config())
    plan = make_plan(tmp_path / "parent", remove="40%", criterion="max_abs", align=1)
    out = prune_checkpoint(tmp_path / "parent", tmp_path / "out", plan)
    with Checkpoint(tmp_path / "parent") as parent:
        names = draft.tensors().keys()
        before = {n: parent.rows(n, 0, parent.tensors[n].spec.shape[0]) for n in names}
    after = stored(out)
    assert not any("scale" in each for each in after)
    for block, (gate, up, down) in parts(draft, before).items():
        narrow = parts(draft, after)[block]
        scores = gate.abs().amax(1).float() + up.abs().amax(1).float()
        best = scores.sort(descending=True, stable=True).indices[: len(narrow[0])]
        keep = best.sort().values
        expected = gate[keep], up[keep], down[:, keep]
        assert all(torch.equal(a, b) for a, b in zip(narrow, expected, strict=True)), block
    assert widths_in(out)[draft.key] == 1


@pytest.mark.parametrize(
    ("criterion", "chosen"), [("l2", "l2"), ("random", "random"), ("activation", "max_abs")]
)
def test_the_criterion_of_draft_layers_is_told(criterion: str, chosen: str, tmp_path: Path) -> None:
    draft = DRAFTS["qwen2"]
    save(draft, tmp_path / "parent")
    plan = make_plan(tmp_path / "parent", width=20, align=1, criterion="l2")
    path = tmp_path / "plan.json"
    path.write_text(plan.to_json().replace('"criterion": "l2"', f'"criterion": "{criterion}"'))
    out = tmp_path / "out"
    done = run("prune", tmp_path / "parent", "--plan", path, "-o", out)
    assert done.exit_code == 0, done.output
    told = f"their neurons are chosen by {chosen}, and they are not refitted"
    inspected = json.loads(run("inspect", out).output)["draft_layers"]
    words = ["plan", tmp_path / "parent", "--width", 20]
    planned = run(*words, "--criterion", "l2", "-o", tmp_path / "l2.json").output
    assert "their neurons are chosen by a criterion of weights alone" in run(*words).output
    assert told in done.output
    assert told in (out / "README.md").read_text()
    assert told in inspected
    assert "draft layers (model.mtp_layers: 6 tensors" in inspected
    assert "their neurons are chosen by l2" in planned
    again = prune_checkpoint(tmp_path / "parent", tmp_path / "again", plan.load(path))
    first, second = stored(out), stored(again)
    assert all(torch.equal(first[each], second[each]) for each in first)


@pytest.mark.parametrize("layout", ["padded", "compact"])
def test_beside_layers_of_unequal_widths_a_draft_has_that_of_the_config(
    layout: Any, tmp_path: Path
) -> None:
    draft = DRAFTS["qwen2"]
    save(draft, tmp_path / "parent")
    plan = ragged(tmp_path / "parent")
    out = prune_checkpoint(tmp_path / "parent", tmp_path / "out", plan, layout=layout)
    assert widths_in(out)["intermediate_size"] == max(plan.widths)
    ((gate, up, down),) = parts(draft, stored(out)).values()
    assert gate.shape == up.shape == down.T.shape == (max(plan.widths), HIDDEN)


def test_a_plan_of_the_model_in_memory_keeps_the_draft_layers_on_disk(tmp_path: Path) -> None:
    draft = DRAFTS["qwen2"]
    save(draft, tmp_path / "parent")
    plan = make_plan(load("qwen2", tmp_path / "parent"), width=20, align=1, criterion="ppm")
    assert plan.keep == make_plan(tmp_path / "parent", width=20, align=1, criterion="ppm").keep
    out = prune_checkpoint(tmp_path / "parent", tmp_path / "out", plan)
    assert draft.tensors().keys() <= stored(out).keys()


def test_what_is_no_number_in_a_draft_layer_leaves_nothing(tmp_path: Path) -> None:
    draft = DRAFTS["qwen2"]
    broken = {"model.mtp_layers.0.mlp.up_proj.weight": torch.full((56, HIDDEN), torch.nan)}
    save(draft, tmp_path / "parent", broken)
    plan = make_plan(tmp_path / "parent", width=20, align=1, criterion="ppm")
    with pytest.raises(CheckpointError, match=r"mtp_layers.0.mlp.up_proj.weight holds NaN"):
        prune_checkpoint(tmp_path / "parent", tmp_path / "out", plan)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"norm.weight": (56,)}, "norm.weight is not part of a plain GLU block"),
        ({"up_proj.weight": (55, HIDDEN)}, r"up_proj.weight must have shape \[56, 32\]"),
        ({"../connector.w1.weight": (56, HIDDEN)}, "seems to depend on intermediate_size as well"),
    ],
)
def test_a_draft_layer_that_cannot_be_cut_is_left_out_and_the_config_says_so(
    more: dict[str, tuple[int, ...]], reason: str, tmp_path: Path
) -> None:
    draft, block = DRAFTS["qwen2"], "model.mtp_layers.0.mlp."
    names = {
        (block + name).replace("mlp.../", ""): torch.ones(shape) for name, shape in more.items()
    }
    save(draft, tmp_path / "parent", names)
    out = tmp_path / "out"
    done = prune_by_weights(tmp_path / "parent", out, "--width", 20, "--exact")
    assert done.exit_code == 0, done.output
    card = (out / "README.md").read_text()
    for told in (done.output, card):
        assert "draft layers (model.mtp_layers: " in told
        assert "are left out: " in told
    assert re.search(reason, card)
    assert not any("mtp" in name for name in stored(out))
    assert widths_in(out)[draft.key] == 0


@pytest.mark.parametrize("name", ["qwen2", "qwen3_5", "deepseek_v3", "qwen3_5_moe"])
def test_a_refit_and_moments_are_of_the_model_alone(name: str, tmp_path: Path) -> None:
    draft = DRAFTS[name]
    before = save(draft, tmp_path / "parent")
    batches = [{"input_ids": ids_of(seed, 4, 40)} for seed in range(6)]
    done = refit(tmp_path / "parent", remove="40%", align=8, text=batches, criterion="obs")
    architecture = Checkpoint(tmp_path / "parent").architecture
    assert len(done.plan.keep) == len(done.down) == len(architecture.groups)
    out = prune_checkpoint(tmp_path / "parent", tmp_path / "out", done.plan, refit=done)
    with Checkpoint(out) as checkpoint:
        record = inspect_refit(checkpoint)
    assert record is not None
    assert record["verified"]
    plain = make_plan(tmp_path / "parent", remove="40%", align=8, criterion="max_abs")
    cut = prune_checkpoint(tmp_path / "parent", tmp_path / "cut", plain)
    by_weights, fitted = stored(cut), stored(out)
    assert all(torch.equal(by_weights[each], fitted[each]) for each in before)


@pytest.mark.parametrize(("name", "lora"), [("qwen2", None), ("qwen2", 2), ("deepseek_v3", None)])
@pytest.mark.usefixtures("short_blocks")
def test_healing_copies_draft_layers(name: str, lora: int | None, tmp_path: Path) -> None:
    parent, child, out = (tmp_path / each for each in ("parent", "child", "healed"))
    draft = DRAFTS[name]
    names = save(draft, parent, vocab_size=VOCABULARY).keys()
    save_tokenizer(parent)
    prune_checkpoint(parent, child, make_plan(parent, remove="40%", align=8, criterion="ppm"))
    settings = HealSettings(**{**QUICK, "lora": lora, "tokens": 24 * BATCH})
    text = save_text(tmp_path / "text.txt")
    heal(child, parent, out=out, text=text, settings=settings, dtype="float32")
    before, after = stored(child), stored(out)
    assert before.keys() == after.keys()
    assert {each for each in names if torch.equal(before[each], after[each])} == names
    assert not torch.equal(before["model.norm.weight"], after["model.norm.weight"]) or lora
    assert widths_in(out)[draft.key] == 1
    assert "draft layers are those of the child, bit for bit" in (out / "README.md").read_text()
    assert "chosen by ppm" in json.loads(run("inspect", out).output)["draft_layers"]
