"""Widths by layers: what is measured, what is written, who reads it."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers as hf
from click.testing import CliRunner, Result
from families import FAMILIES, LAYERS, VOCAB, WIDTH, tiny, tokens

from widthwise import Plan, apply, make_plan, per_layer, prune_checkpoint, refit
from widthwise.arch import Target
from widthwise.cli import main
from widthwise.errors import CheckpointError, PlanError, TargetError, UnsupportedModelError
from widthwise.measure import BlockCost, Workload
from widthwise.prune import Calibration, Checkpoint, Selection, calibrate, inspect_refit
from widthwise.prune.checkpoint.refitted import REFIT_FILE
from widthwise.prune.fitting import layer_cuts
from widthwise.prune.scoring import ModelWeights
from widthwise.prune.sensitivity import losses_between

WIDTHS = (17, 41, 29)


@pytest.fixture(autouse=True)
def _own_modules(tmp_path_factory: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Code of checkpoints is copied to a folder of the test."""
    folder = tmp_path_factory.mktemp("modules")
    monkeypatch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", str(folder))
    monkeypatch.syspath_prepend(folder)


def batches(count: int = 4, rows: int = 4) -> list[dict[str, Any]]:
    generator = torch.Generator().manual_seed(3)
    return [
        {"input_ids": torch.randint(3, VOCAB, (rows, 40), generator=generator)}
        for _ in range(count)
    ]


def wide(family: str, **changes: Any) -> Any:
    """A model whose weights are drawn wide, so that a cut changes answers by more than rounding."""
    return tiny(family, initializer_range=0.2, **changes)


def ragged(model: Any, widths: tuple[int, ...] = WIDTHS) -> Plan:
    plan = make_plan(model, width=30, align=1)
    generator = torch.Generator().manual_seed(5)
    orders = (torch.randperm(WIDTH, generator=generator)[:width] for width in widths)
    return replace(plan, keep=tuple(tuple(sorted(order.tolist())) for order in orders))


def run(*words: Any) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words])


def logits(model: Any) -> torch.Tensor:
    with torch.no_grad():
        found: torch.Tensor = model.eval()(tokens()).logits
    return found


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
    selection = Selection(target=Target("width", "30"), align=1, criterion="activation")
    for layer, points in enumerate(found.measured):
        assert [width for width, _ in points] == [14, 27, 40, 53]
        assert points[-1][1] == 0
        for width, loss in points[:-1]:
            direct = divergence(model, calibration, selection, layer, width, given)
            # Sums of 320 x 101 float32 terms, of the order of the loss, in another order.
            assert loss == pytest.approx(direct, rel=1e-3, abs=1e-7)


def divergence(
    model: Any, calibration: Calibration, asked: Selection, layer: int, width: int, given: Any
) -> float:
    """KL(dense || cut) by the logits of two whole models, in float64."""
    weights = ModelWeights(model)
    (cut,) = layer_cuts(weights, layer, calibration.layers[layer], asked, [width])
    every = make_plan(model, width=30, align=1)
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
    even = make_plan(model, width=30, align=1)
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
        with pytest.raises(PlanError, match="costs must be of widths from 14 to 53"):
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


# What is written


@pytest.mark.parametrize("family", FAMILIES)
def test_padded_and_compact_checkpoints_answer_as_the_model_in_memory(
    family: str, tmp_path: Path
) -> None:
    model = tiny(family)
    model.save_pretrained(tmp_path / "parent")
    plan = ragged(model)
    expected = logits(apply(model, plan))
    padded = prune_checkpoint(tmp_path / "parent", tmp_path / "padded", plan)
    plain = hf.AutoModelForCausalLM.from_pretrained(padded)
    assert torch.equal(logits(plain), expected)
    assert all(map(torch.equal, plain.parameters(), apply(model, plan).parameters()))
    folder = prune_checkpoint(tmp_path / "parent", tmp_path / "compact", plan, layout="compact")
    compact = hf.AutoModelForCausalLM.from_pretrained(folder, trust_remote_code=True)
    torch.testing.assert_close(logits(compact), expected, rtol=1e-5, atol=1e-5)  # without zeros
    assert sum(p.numel() for p in compact.parameters()) < sum(p.numel() for p in plain.parameters())
    assert compact.model.layers[0].mlp.down_proj.in_features == 17
    compact.save_pretrained(tmp_path / "again")
    again = hf.AutoModelForCausalLM.from_pretrained(tmp_path / "again", trust_remote_code=True)
    assert torch.equal(logits(again), logits(compact))
    written = again.generate(tokens(), max_new_tokens=4, do_sample=False)
    assert torch.equal(written, plain.generate(tokens(), max_new_tokens=4, do_sample=False))


def test_small_chunks_shards_biases_and_a_dtype_change_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for model in (tiny("llama", mlp_bias=True), tiny("phi3")):
        place = tmp_path / model.config.model_type
        model.save_pretrained(place / "parent")
        plan = ragged(model)
        for layout in ("padded", "compact"):
            how: Any = {"layout": layout, "dtype": "bfloat16"}
            out = prune_checkpoint(place / "parent", place / layout, plan, **how)
            whole = hf.AutoModelForCausalLM.from_pretrained(out, trust_remote_code=True)
            assert whole.dtype == torch.bfloat16
            with monkeypatch.context() as patch:
                patch.setattr("widthwise.prune.checkpoint.stream.CHUNK_BYTES", 300)
                how["max_shard_size"] = "9000B"
                small = prune_checkpoint(place / "parent", place / f"{layout}-small", plan, **how)
            again = hf.AutoModelForCausalLM.from_pretrained(small, trust_remote_code=True)
            assert len(list(small.glob("*.safetensors"))) > 2
            assert all(map(torch.equal, whole.parameters(), again.parameters()))
            card = (small / "README.md").read_text()
            hashes = [line for line in card.splitlines() if "weights sha256" in line]
            assert len(hashes) == 1
        expected = apply(model, plan).to(torch.bfloat16)
        padded = hf.AutoModelForCausalLM.from_pretrained(place / "padded")
        assert all(map(torch.equal, padded.parameters(), expected.parameters()))


def test_the_card_states_widths_and_what_they_cost(saved: Path, tmp_path: Path) -> None:
    plan = ragged(saved)
    padded = prune_checkpoint(saved, tmp_path / "padded", plan)
    card = (padded / "README.md").read_text()
    stored = sum(p.stat().st_size for p in padded.glob("*.safetensors"))
    for part in (
        "from 53 neurons a layer to between 17 and 41, by layers,",
        "- by layers: 17, 41, 29\n",
        "costs what width 41 costs",
        "| intermediate size | 53 | 17 to 41 |",
    ):
        assert part in card, part
    said = int(card.split(" bytes of weights), not")[0].rpartition("(")[2].replace(",", ""))
    assert 0 < stored - said < 8192  # the header of the file
    folder = prune_checkpoint(saved, tmp_path / "compact", plan, layout="compact")
    card = (folder / "README.md").read_text()
    size = sum(p.stat().st_size for p in folder.glob("*.safetensors"))
    said = int(card.split("| bytes of weights |")[1].split("|")[1].replace(",", ""))
    assert 0 < size - said < 8192
    assert 'from_pretrained("path/to/this/folder", trust_remote_code=True)' in card
    assert "`widthwise_compact.py` in this folder" in card


def test_a_plan_of_one_width_is_written_plain_either_way(saved: Path, tmp_path: Path) -> None:
    plan = make_plan(saved, width=20)
    folder = prune_checkpoint(saved, tmp_path / "out", plan, layout="compact")
    assert not (folder / "widthwise_compact.py").exists()
    assert "widthwise_widths" not in json.loads((folder / "config.json").read_text())
    with pytest.raises(PlanError, match="layout must be padded or compact; got 'other'"):
        prune_checkpoint(saved, tmp_path / "none", plan, layout="other")  # type: ignore[arg-type]


def test_the_code_of_a_compact_checkpoint_needs_nothing_of_ours(
    saved: Path, tmp_path: Path
) -> None:
    folder = prune_checkpoint(saved, tmp_path / "out", ragged(saved), layout="compact")
    code = (folder / "widthwise_compact.py").read_text()
    imports = [line for line in code.splitlines() if "import" in line]
    assert imports == ["import torch", "from transformers import LlamaConfig, LlamaForCausalLM"]
    with pytest.raises(ValueError, match="trust_remote_code=True"):
        hf.AutoModelForCausalLM.from_pretrained(folder, trust_remote_code=False)


def test_a_compact_checkpoint_is_not_made_of_what_transformers_does_not_build(
    saved: Path, tmp_path: Path
) -> None:
    config = json.loads((saved / "config.json").read_text())
    for change in ({"architectures": ["Other"]}, {"auto_map": {}}, {"model_type": "other"}):
        (saved / "config.json").write_text(json.dumps({**config, **change}))
        plan = ragged(saved)
        with pytest.raises(UnsupportedModelError, match="write it padded"):
            prune_checkpoint(saved, tmp_path / "out", plan, layout="compact")
        assert not (tmp_path / "out").exists()


# Who reads it


def test_our_own_readers_refuse_a_compact_checkpoint(saved: Path, tmp_path: Path) -> None:
    folder = prune_checkpoint(saved, tmp_path / "compact", ragged(saved), layout="compact")
    out = ["-o", tmp_path / "out"]
    for words in (
        ["inspect", folder],
        ["prune", folder, "--width", "9", *out],
        ["plan", folder, "--width", "9"],
        ["evaluate", folder, "--suite", "embedded:prose", *out],
        ["measure", folder, *out],
    ):
        result = run(*words)
        assert result.exit_code == 1, result.output
        assert "take its padded form (--per-layer padded)" in result.stderr
        assert result.stderr.splitlines()[-1].startswith(f"Error: {folder}: a compact")


def test_a_padded_checkpoint_tells_its_widths_and_is_verified(saved: Path, tmp_path: Path) -> None:
    model = hf.AutoModelForCausalLM.from_pretrained(saved, dtype=torch.float32)
    done = refit(model, width=30, align=1, text=batches(), widths=WIDTHS, dtype="bfloat16")
    assert done.plan.widths == WIDTHS
    folder = prune_checkpoint(saved, tmp_path / "out", done.plan, refit=done)
    found = json.loads(run("inspect", folder).stdout)
    assert found["widths"] == list(WIDTHS)
    assert found["intermediate_size"] == 41
    assert found["refit"]["verified"] is True
    assert json.loads(run("inspect", saved).stdout)["widths"] is None
    how: Any = {"refit": done, "layout": "compact"}
    compact = prune_checkpoint(saved, tmp_path / "compact", done.plan, **how)
    narrow = hf.AutoModelForCausalLM.from_pretrained(compact, trust_remote_code=True)
    assert sum(p.numel() for p in narrow.parameters()) == done.plan.parameters
    assert 2 * done.plan.parameters == done.plan.weight_bytes
    loaded = hf.AutoModelForCausalLM.from_pretrained(folder)
    assert all(
        map(torch.equal, loaded.parameters(), apply(model.bfloat16(), done.plan, done).parameters())
    )
    with torch.no_grad():
        loaded.model.layers[0].mlp.down_proj.weight[3, 40] = 1.0  # of the padding
    loaded.save_pretrained(tmp_path / "changed")
    (tmp_path / "changed" / REFIT_FILE).write_text((folder / REFIT_FILE).read_text())
    with Checkpoint(tmp_path / "changed") as checkpoint:
        record = inspect_refit(checkpoint)
    assert record is not None
    assert "down_proj of 1 of 3 layers (0)" in record["reason"]


def test_what_is_cut_from_a_padded_checkpoint_does_not_state_its_widths(
    saved: Path, tmp_path: Path
) -> None:
    padded = prune_checkpoint(saved, tmp_path / "padded", ragged(saved))
    out = prune_checkpoint(padded, tmp_path / "out", make_plan(padded, width=9, align=1))
    assert "widthwise_widths" not in json.loads((out / "config.json").read_text())


@pytest.mark.parametrize("wrong", [[17, 41], [17, 41, 54], [17, 41, 0], "17", [17, 41, 2.5]])
def test_wrong_widths_in_a_config_are_told(wrong: Any, saved: Path) -> None:
    config = json.loads((saved / "config.json").read_text())
    (saved / "config.json").write_text(json.dumps({**config, "widthwise_widths": wrong}))
    with pytest.raises(CheckpointError, match="widthwise_widths must be 3 whole numbers, 1 to 53"):
        Checkpoint(saved)


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
    assert plan.parameters <= make_plan(tiny_checkpoint, width=30, align=1).parameters
    expected = per_layer(tiny_checkpoint, width=30, align=1, text=text, tokens=2048)
    assert plan.widths == expected.widths
    assert not plan.uniform
    model = hf.AutoModelForCausalLM.from_pretrained(out, trust_remote_code=layout == "compact")
    assert model.config.widthwise_widths == list(plan.widths)
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

    monkeypatch.setattr("widthwise.measure.measure_blocks", timed)
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
        (["--per-layer", "padded"], 2, "--per-layer goes by what refitted layers lose; pass"),
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
