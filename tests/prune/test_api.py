"""Calibrated pruning from end to end: text in, a plain checkpoint out that says what it is."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers as hf
from click.testing import CliRunner
from healing_runs import run
from refitted import WIDTH, inspected, save_sentences, write_refitted
from safetensors.torch import load_file

from widthwise import Plan, apply, make_plan
from widthwise.cli import main
from widthwise.errors import CheckpointError, PlanError
from widthwise.prune.calibration import calibrate
from widthwise.prune.refitting import refit


@pytest.fixture(scope="module")
def text(tmp_path_factory: Any) -> Path:
    return save_sentences(tmp_path_factory.mktemp("text"))


@pytest.fixture(scope="module")
def written(tmp_path_factory: Any, tiny_checkpoint: Path, text: Path) -> Path:
    return write_refitted(tiny_checkpoint, text, tmp_path_factory.mktemp("written") / "out")


def logits(model: Any) -> torch.Tensor:
    ids = torch.arange(3, 60)[None]
    with torch.no_grad():
        found: torch.Tensor = model.eval()(ids).logits
    return found


def test_the_checkpoint_is_plain_and_equals_the_model_in_memory(
    written: Path, tiny_checkpoint: Path, text: Path
) -> None:
    model = hf.AutoModelForCausalLM.from_pretrained(tiny_checkpoint).eval()
    done = refit(model, width=20, align=1, text=text, tokens=2048)
    assert Plan.load(written / "widthwise_plan.json").keep == done.plan.keep
    in_memory = apply(model, done.plan, done)
    from_disk = hf.AutoModelForCausalLM.from_pretrained(written)
    assert from_disk.config.intermediate_size == 20
    assert torch.equal(logits(from_disk), logits(in_memory))
    cut = apply(model, done.plan)
    assert not torch.equal(logits(cut), logits(in_memory))


def test_a_plan_by_activation_takes_text_a_calibration_or_norms(
    tiny_checkpoint: Path, text: Path, tmp_path: Path
) -> None:
    asked: dict[str, Any] = {"width": 20, "align": 1, "criterion": "activation"}
    plan = make_plan(tiny_checkpoint, calibration=text, tokens=2048, **asked)
    stored = calibrate(tiny_checkpoint, text=text, tokens=2048)
    assert make_plan(tiny_checkpoint, calibration=stored, **asked) == plan
    weight = load_file(tiny_checkpoint / "model.safetensors")["model.layers.1.mlp.down_proj.weight"]
    scores = stored.groups[1].fit.total.diagonal() * weight.square().sum(0)
    assert plan.keep[1] == tuple(sorted(scores.topk(20).indices.tolist()))
    norms = {i: stored.groups[i].fit.total.diagonal().sqrt() for i in range(3)}
    assert make_plan(tiny_checkpoint, activation_norms=norms, **asked) == plan
    words = [*WIDTH, "--calibration", text, "--tokens", "2048", "-o", tmp_path / "plan.json"]
    assert run("plan", tiny_checkpoint, *words).exit_code == 0
    assert Plan.load(tmp_path / "plan.json").keep == plan.keep


def test_obs_without_a_refit_is_refused_unless_insisted_on(
    tiny_checkpoint: Path, text: Path, tmp_path: Path
) -> None:
    plan = make_plan(
        tiny_checkpoint, width=20, align=1, criterion="obs", calibration=text, tokens=2048
    )
    plan.save(tmp_path / "plan.json")
    asked = ["prune", tiny_checkpoint, "--plan", tmp_path / "plan.json", "-o", tmp_path / "out"]
    result = run(*asked)
    assert result.exit_code == 1
    assert "obs without a refit are worse than those chosen by activation" in result.stderr
    assert not (tmp_path / "out").exists()
    result = run(*asked, "--no-refit")
    assert result.exit_code == 0
    assert inspected(tmp_path / "out") is None


@pytest.mark.parametrize(
    ("criterion", "options", "is_refitted"),
    [
        (None, [], True),
        ("activation", ["--no-refit"], False),
        ("obs", [], True),
        ("ppm", [], False),
        ("ppm", ["--refit"], True),
    ],
)
def test_a_criterion_that_goes_by_text_is_refitted_and_others_are_not(
    criterion: str | None,
    options: list[str],
    is_refitted: bool,
    tiny_checkpoint: Path,
    text: Path,
    tmp_path: Path,
) -> None:
    """What is done, and on which text, is said before all work."""
    chosen = ["--criterion", criterion] if criterion else []
    texts = [] if [criterion, *options] == ["ppm"] else ["--calibration", text, "--tokens", 2048]
    words = [*WIDTH, *chosen, *options, *texts, "-o", tmp_path / "out"]
    result = run("prune", tiny_checkpoint, *words)
    assert result.exit_code == 0, result.output
    assert (inspected(tmp_path / "out") is not None) == is_refitted
    plan = Plan.load(tmp_path / "out" / "widthwise_plan.json")
    assert plan.criterion == (criterion or "activation")
    first = result.stderr.splitlines()[0]
    assert f"neurons are chosen by {plan.criterion}" in first
    done = "is refitted, layer after layer," if is_refitted else "is only cut"
    assert f"down_proj {done}" in first
    assert ("without text" in first) == (not texts)
    assert (f"on up to 2,048 tokens of {text}; 3 layers, and" in first) == bool(texts)


@pytest.mark.parametrize("scales", [True, False])
def test_rows_are_scaled_unless_told_otherwise(
    scales: bool, tiny_checkpoint: Path, text: Path, tmp_path: Path
) -> None:
    words = [*WIDTH, "--calibration", text, "--tokens", 2048, "-o", tmp_path / "out"]
    result = run("prune", tiny_checkpoint, *words, *([] if scales else ["--no-scales"]))
    assert result.exit_code == 0, result.output
    record = inspected(tmp_path / "out")
    assert record is not None
    assert ("scales" in record, record["verified"]) == (scales, True)
    said = [line for line in result.stderr.splitlines() if line.startswith("Scaled: ")]
    assert len(said) == scales
    assert ("and rows are scaled," in result.stderr.splitlines()[0]) == scales


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (["--criterion", "ppm", "--scales"], 2, "--scales is for what is refitted, and nothing is"),
        (["--refit", "--calibration", "absent"], 1, "absent: no such file or folder of text"),
        (["--refit", "--tokens", "100"], 1, "--tokens must be at least 1024; got 100"),
        (["--refit", "--plan", "plan.json"], 2, "--plan already holds every choice"),
        (["--criterion", "ppm", "--one-pass"], 2, "--one-pass is a way to refit, and nothing is"),
        (["--criterion", "ppm", "--calibration", "x"], 1, "ppm looks at weights only"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(
    options: list[str], code: int, message: str, tiny_checkpoint: Path, tmp_path: Path
) -> None:
    result = run("prune", tiny_checkpoint, *WIDTH, *options, "-o", tmp_path / "out")
    assert result.exit_code == code
    assert message in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_refit_and_plan_exclude_each_other(tiny_checkpoint: Path, tmp_path: Path) -> None:
    make_plan(tiny_checkpoint, width=20, align=1, criterion="ppm").save(tmp_path / "plan.json")
    options = ["--plan", tmp_path / "plan.json", "--refit", "-o", tmp_path / "out"]
    result = run("prune", tiny_checkpoint, *options)
    assert result.exit_code == 2
    assert "--refit chooses neurons as it goes; drop --plan" in result.stderr


def test_a_checkpoint_without_a_tokenizer_is_told(saved: Path, text: Path, tmp_path: Path) -> None:
    options = [*WIDTH, "--refit", "--calibration", text, "-o", tmp_path / "out"]
    result = run("prune", saved, *options)
    assert result.exit_code == 1
    assert "there is no tokenizer to load" in result.stderr
    assert "next to config.json" in result.stderr


def test_a_refit_too_large_for_the_dtype_is_told(tiny_checkpoint: Path, text: Path) -> None:
    model = hf.AutoModelForCausalLM.from_pretrained(tiny_checkpoint)
    tokenizer = hf.AutoTokenizer.from_pretrained(tiny_checkpoint)
    with torch.no_grad():
        model.model.layers[2].mlp.down_proj.weight.mul_(1e7)
    with pytest.raises(CheckpointError, match=r"layers\.2\.mlp: .* too large for torch\.float16"):
        refit(
            model, width=20, align=1, text=text, tokens=2048, tokenizer=tokenizer, dtype="float16"
        )


def test_other_criteria_take_no_calibration(tiny_checkpoint: Path) -> None:
    with pytest.raises(PlanError, match="ppm_activation takes no calibration but a text file"):
        make_plan(tiny_checkpoint, width=20, align=1, criterion="ppm_activation", calibration=[])


@pytest.mark.parametrize("how", [["--refit"], ["--refit", "--per-layer", "padded"], ["--no-refit"]])
def test_how_far_it_is_is_said_without_a_terminal(
    how: list[str], tiny_checkpoint: Path, text: Path, tmp_path: Path
) -> None:
    """A line before the first layer, one a layer of so few, none of them on standard output."""
    options = [*WIDTH, "--criterion", "activation", *how, "--calibration", text]
    result = run("prune", tiny_checkpoint, *options, "--tokens", "2048", "-o", tmp_path / "out")
    assert result.exit_code == 0, result.output
    names = ["choosing neurons"] if how == ["--no-refit"] else ["refitting"]
    names = ["measuring layers", *names] if "--per-layer" in how else names
    lines = result.stderr.splitlines()
    for name in names:
        told = [line for line in lines if line.startswith(name)]
        assert told[0] == f"{name}, 3 layers: the text is read first, and every layer tried"
        assert [line.split(",")[0] for line in told] == [
            name,
            *(f"{name}: {layer} of 3 layers" for layer in (1, 2, 3)),
        ]
    assert result.stdout == f"{tmp_path / 'out'}\n"


def test_of_many_layers_the_first_two_are_told_and_then_tenths() -> None:
    from rich.console import Console

    from widthwise.cli.progress_bar import layer_progress

    file = io.StringIO()
    with layer_progress(Console(file=file), 34, "refitting") as tell:
        for layer in range(34):
            tell(layer)
    found = [int(number) for number in re.findall(r"(\d+) of 34 layers", file.getvalue())]
    assert found == [1, 2, 4, 7, 11, 14, 17, 21, 24, 28, 31, 34]
    assert re.search(r"2 of 34 layers, \d+ min \d\d s left\n", file.getvalue())


def test_a_result_on_its_own_parent_is_refused_before_the_refit(
    dense: Path, text: Path, monkeypatch: Any
) -> None:
    monkeypatch.setattr(
        "widthwise.cli.prune.refit", lambda *_, **__: pytest.fail("it was refitted")
    )
    for out in (dense, dense / "cut"):
        words = ["prune", dense, "--remove", "40%", "--refit", "--calibration", text, "--force"]
        result = CliRunner().invoke(main, [*map(str, words), "-o", str(out)])
        assert result.exit_code == 1, result.output
        assert "must not be inside each other" in result.stderr
