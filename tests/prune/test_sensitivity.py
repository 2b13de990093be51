"""Widths by layers: what is measured, and the command."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers as hf
from families import LAYERS, WIDTH, tiny
from layered_models import batches, run

from widthwise import Plan, apply, make_plan, per_layer, refit
from widthwise.arch import Target
from widthwise.cut import ModelWeights
from widthwise.errors import PlanError, TargetError
from widthwise.measure import BlockCost, Workload
from widthwise.prune import PruneSpec
from widthwise.prune.calibration import Calibration, calibrate
from widthwise.prune.refitting import group_cuts
from widthwise.prune.sensitivity import losses_between

pytestmark = pytest.mark.usefixtures("own_modules")


def wide(family: str, **changes: Any) -> Any:
    """A model whose weights are drawn wide, so that a cut changes answers by more than rounding."""
    return tiny(family, initializer_range=0.2, **changes)


# What is measured


@pytest.mark.parametrize("family", ["llama", "gemma2", "cohere", "granite", "phi3"])
def test_a_loss_is_the_divergence_of_the_model_with_that_layer_cut(family: str) -> None:
    """Against whole models: logits capped (gemma2) and scaled (cohere, granite) among them."""
    model, given = wide(family), batches()
    before = copy.deepcopy(model.state_dict())
    found = per_layer(model, width=30, align=1, text=given)
    assert all(torch.equal(before[name], now) for name, now in model.state_dict().items())
    assert found.tokens == 2 * 4 * 40  # the held-out batches
    assert (
        found.budget == LAYERS * 30 * 3 * 32
    )  # a neuron is a row of gate and up, a column of down
    calibration = calibrate(model, text=given)
    selection = PruneSpec(target=Target("width", "30"), align=1, criterion="activation")
    for layer, points in enumerate(found.measured):
        assert [width for width, _ in points] == [14, 27, 40, 53]
        assert points[-1][1] == 0
        for width, loss in points[:-1]:
            direct = divergence(model, calibration, selection, layer, width, given)
            # Sums of 320 x 101 float32 terms, of the order of the loss, in another order.
            assert loss == pytest.approx(direct, rel=1e-3, abs=1e-7)


def divergence(
    model: Any, calibration: Calibration, asked: PruneSpec, layer: int, width: int, given: Any
) -> float:
    """KL(dense || cut) by the logits of two whole models, in float64."""
    weights = ModelWeights(model)
    (cut,) = group_cuts(weights, layer, calibration.groups[layer], asked, [width])
    every = make_plan(model, width=30, align=1, criterion="ppm")
    keep = tuple(cut.keep if i == layer else tuple(range(WIDTH)) for i in range(LAYERS))
    narrow = apply(model, replace(every, keep=keep))
    with torch.no_grad():
        narrow.model.layers[layer].mlp.down_proj.weight[:, :width] = cut.down
        pair = [
            torch.cat([m(**batch).logits.flatten(0, 1) for batch in given[1::2]]).double()
            for m in (model, narrow)
        ]
    dense, other = (torch.log_softmax(each, -1) for each in pair)
    return float((dense.exp() * (dense - other)).sum(-1).mean())


def test_padding_is_left_out() -> None:
    """Rows of one length without padding, and the same rows with it on the right."""
    model, given = wide("llama"), batches()
    ends = torch.zeros(4, 9, dtype=torch.long)
    padded = [
        {
            "input_ids": torch.cat([b["input_ids"], ends], 1),
            "attention_mask": torch.cat([torch.ones_like(b["input_ids"]), ends], 1),
        }
        for b in given
    ]
    bare, filled = (per_layer(model, width=30, align=1, text=text) for text in (given, padded))
    assert bare.tokens == filled.tokens
    for one, other in zip(bare.measured, filled.measured, strict=True):
        for (_, a), (_, b) in zip(one, other, strict=True):
            assert b == pytest.approx(a, rel=1e-2, abs=1e-7)  # float32 sums of another attention


def test_a_layer_that_does_nothing_gives_its_neurons_to_the_others() -> None:
    model = wide("llama")
    with torch.no_grad():
        model.model.layers[1].mlp.down_proj.weight.mul_(1e-6)
    found = per_layer(model, width=30, align=1, text=batches())
    assert found.widths[1] == 14  # a quarter of 53, rounded up
    assert found.widths[0] + found.widths[2] > 60
    assert found.loss < found.uniform_loss
    assert found.cost <= found.budget == 3 * 3 * 32 * 30
    done = refit(model, width=30, align=1, text=batches(), widths=found.widths)
    assert done.plan.widths == found.widths
    even = make_plan(model, width=30, align=1, criterion="ppm")
    assert done.plan.parameters <= even.parameters
    assert "at width 30 everywhere" in str(found)


@pytest.mark.parametrize("width", [8, 20, 45])
def test_it_is_never_worse_than_uniform_under_its_own_losses(width: int) -> None:
    found = per_layer(wide("qwen3"), width=width, align=1, criterion="ppm", text=batches())
    assert found.loss <= found.uniform_loss
    assert found.cost <= found.budget
    assert min(found.widths) >= min(14, width // 2)


def test_other_costs_decide_and_are_checked() -> None:
    """A cost that only sets in above width 30: everything below it is free."""
    model, given = wide("llama"), batches()
    stairs = {14: 0, 30: 0, 31: 5, 53: 5}
    found = per_layer(model, width=30, align=1, text=given, costs=stairs)
    assert (found.budget, found.cost, found.unit) == (0, 0, "cost")
    assert found.widths == (30, 30, 30)
    for wrong in ({}, {15: 1, 53: 2}, {14: 1, 52: 2}):
        with pytest.raises(PlanError, match="costs must cover the widths from 14 to 53"):
            per_layer(model, width=30, align=1, text=given, costs=wrong)


def test_losses_follow_the_error_between_measured_widths_and_never_rise() -> None:
    curve = [1.0, 0.9, 0.6, 0.4, 0.35, 0.1, 0.1, 0.0]
    points = ((1, 0.9), (3, 0.2), (5, 0.3), (7, 0.0))
    found = losses_between(points, curve, range(1, 8))
    # Width 3 was measured to lose less than 5 and takes its loss.
    assert found == pytest.approx((0.9, 0.3 + 0.6 * 0.4, 0.3, 0.3, 0.3, 0.3, 0.0))
    even = losses_between(((2, 0.5), (6, 0.0)), [1.0, 0.8, 0.6, 0.6, 0.3, 0.15, 0.0], range(2, 7))
    assert even == pytest.approx((0.5, 0.5, 0.25, 0.125, 0.0))


def test_what_is_impossible_is_refused_before_any_work(llama: Any) -> None:
    with pytest.raises(TargetError, match="asks for 53"):
        per_layer(llama, width=53, text=[])
    with pytest.raises(PlanError, match="criterion must be one of"):
        per_layer(llama, width=30, criterion="best", text=[])


# The command


@pytest.fixture
def few_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    """Logits of a real vocabulary take their time."""
    monkeypatch.setattr("widthwise.prune.sensitivity.JUDGED_TOKENS", 60)


@pytest.fixture(scope="module")
def text(tmp_path_factory: Any) -> Path:
    path: Path = tmp_path_factory.mktemp("text") / "text.txt"
    words = ("king price river colour number", "larger colder darker nearer", "wheat sand books")
    lines = (
        f"In the year {i} the {a} was {b} than all {c} ever before, and nobody knew why it was so."
        for i, (a, b, c) in enumerate(
            (a, b, c) for a in words[0].split() for b in words[1].split() for c in words[2].split()
        )
    )
    path.write_text("\n".join(lines) * 2)
    return path


ASKED = ["--width", "30", "--align", "1", "--criterion", "activation", "--refit"]


@pytest.mark.usefixtures("few_judged")
@pytest.mark.parametrize("layout", ["padded", "compact"])
def test_the_command_writes_widths_by_layers(
    layout: str, tiny_checkpoint: Path, text: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    options = [*ASKED, "--calibration", text, "--tokens", "2048", "--per-layer", layout]
    result = run("prune", tiny_checkpoint, *options, "-o", out)
    assert result.exit_code == 0, result.output
    assert result.stdout == f"{out}\n"
    assert "held-out tokens) of each layer cut alone" in result.stderr
    plan = Plan.load(out / "widthwise_plan.json")
    told = f"Padded: written, and as large and slow, as width {plan.width}." in result.stderr
    assert told == (layout == "padded")
    even = make_plan(tiny_checkpoint, width=30, align=1, criterion="ppm")
    assert plan.parameters <= even.parameters
    expected = per_layer(tiny_checkpoint, width=30, align=1, text=text, tokens=2048)
    assert plan.widths == expected.widths
    assert not plan.uniform
    model = hf.AutoModelForCausalLM.from_pretrained(out, trust_remote_code=layout == "compact")
    config = model.config
    stated = (
        [each.intermediate_size for each in config.per_layer_config]
        if layout == "compact"
        else config.widthwise_widths
    )
    assert stated == list(plan.widths)
    hf.AutoTokenizer.from_pretrained(out, trust_remote_code=layout == "compact")


@pytest.mark.usefixtures("few_judged")
def test_the_command_takes_the_time_of_blocks_as_the_budget(
    tiny_checkpoint: Path, text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Timed by a stand-in: a block takes a millisecond up to width 30, and two above."""
    seen = []

    def timed(models: Any, work: Workload) -> list[BlockCost]:
        found = []
        for name, model in models.items():
            width = model.model.layers[1].mlp.up_proj.out_features
            assert name == str(width)
            seen.append(width)
            took = (1e-3,) * 5 if width <= 30 else (2e-3,) * 5
            cost = {"prefill_sec": took, "decode_sec": (0.0,) * 5, "reason": None}
            found.append(BlockCost(model=name, workload=work, **cost))
        return found

    monkeypatch.setattr("widthwise.measure.blocks.measure_blocks", timed)
    options = [*ASKED, "--calibration", text, "--tokens", "2048", "--per-layer", "padded"]
    out = tmp_path / "out"
    result = run("prune", tiny_checkpoint, *options, "--under", "latency", "-o", out)
    assert result.exit_code == 0, result.output
    assert seen == [14, 23, 33, 43, 53]
    assert "cost of GLU blocks, at most" in result.stderr
    assert max(Plan.load(out / "widthwise_plan.json").widths) <= 53


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (
            ["--no-refit", "--per-layer", "padded"],
            2,
            "--per-layer goes by what refitted layers lose; pass",
        ),
        (["--refit", "--under", "latency"], 2, "--under is a budget for --per-layer; pass"),
        (["--refit", "--per-layer", "sparse"], 2, "'sparse' is not one of 'padded', 'compact'"),
        (["--refit", "--per-layer", "padded", "--tokens", "9"], 1, "--tokens must be at least"),
        (["--refit", "--per-layer", "padded", "--to", "1x"], 2, "exactly one of"),
        (["--refit", "--per-layer", "padded", "--size", "9MB"], 2, "pass --per-layer compact"),
        (
            ["--refit", "--per-layer", "compact", "--under", "latency", "--params", "9M"],
            2,
            "--params and --size are budgets of their own",
        ),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(
    options: list[str], code: int, message: str, tiny_checkpoint: Path, tmp_path: Path
) -> None:
    result = run("prune", tiny_checkpoint, "--width", "30", *options, "-o", tmp_path / "out")
    assert result.exit_code == code
    assert message in result.stderr
    assert list(tmp_path.iterdir()) == []
