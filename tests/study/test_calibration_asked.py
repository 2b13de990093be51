"""Calibrated criteria in sweeps and studies: what may be asked, and what is said of it."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from calibrated_runs import PROSE
from click.testing import CliRunner
from study_runs import here
from study_runs import run as run_study
from study_runs import settings_of as study_settings_of
from sweep_runs import run, settings_of

from widthwise.cli import main
from widthwise.errors import PlanError, RunError
from widthwise.runs import Event, Finished, Progressed
from widthwise.study import EvaluateSettings, Evaluation, Study, StudySettings, load

pytestmark = pytest.mark.demo


@pytest.mark.parametrize(
    ("changes", "kind", "said"),
    [
        ({"criteria": ("obs",)}, PlanError, "obs without a refit is worse .* ask for obs.refit"),
        ({"criteria": ("ppm~3+refit",)}, PlanError, "only random can have a seed"),
        ({"criteria": ("magic+refit",)}, PlanError, "criterion must be one of"),
        (
            {"criteria": ("ppm",), "calibration": "x"},
            PlanError,
            "none of the criteria uses calibration",
        ),
        ({"tokens": 1023}, RunError, "tokens must be a number, at least 1024; got 1023"),
        ({"tokens": 4096.0}, RunError, "tokens must be a number"),
        ({"calibration": 7}, RunError, "calibration must be a file"),
    ],
)
def test_what_cannot_be_calibrated_is_said(changes: Any, kind: type[Exception], said: str) -> None:
    for settings in (EvaluateSettings, partial(StudySettings, models=("x",), tasks=("y",))):
        with pytest.raises(kind, match=said):
            settings(**{"criteria": ("activation",), **changes})
    with pytest.raises(RunError, match="backend vllm cannot measure activation"):
        EvaluateSettings(criteria=("activation",), widths=("2x",), backend="vllm")
    assert EvaluateSettings(backend="vllm").widths == ()  # nothing is cut


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("", "has only 0 tokens of text; at least 1,024 are needed"),
        ("short", "at least 1,024 are needed"),
        ("again " * 3000, "cannot be used to calibrate"),
        (None, "no such file or folder of text"),
    ],
)
def test_text_that_is_none_is_said_before_anything_is_measured(
    words: str | None, said: str, tiny_checkpoint: Path, tmp_path: Path
) -> None:
    text, out = tmp_path / "text.txt", tmp_path / "out"
    if words is not None:
        text.write_text(words)
    with pytest.raises(RunError, match=said):
        run(out, settings_of(tiny_checkpoint, **PROSE, calibration=str(text)))
    with pytest.raises(RunError, match=said):
        run_study(out, study_settings_of(tiny_checkpoint, **PROSE, calibration=str(text)))
    assert not (out / "records.jsonl").exists()


def test_tokens_below_neurons_are_said(
    tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep = Evaluation(tmp_path, settings_of(tiny_checkpoint, **PROSE))
    architecture = sweep.parent.checkpoint.architecture
    (kind,) = architecture.kinds
    wide = replace(architecture, kinds=(replace(kind, width=600),))
    monkeypatch.setattr(sweep.parent.checkpoint, "architecture", wide)
    with pytest.raises(RunError, match=r"1,024 tokens.* refit 600 neurons: take at least 2,048"):
        sweep.scorer.calibrated.check()


def test_the_share_of_a_study_moves_with_the_layers_that_are_calibrated(
    tiny_checkpoint: Path, tmp_path: Path
) -> None:
    """It stood still through all layers, and most of the time was spent there."""
    shares: dict[str, float] = {}
    told: list[tuple[str, float]] = []

    def on_event(event: Event) -> None:
        if isinstance(event, Progressed):
            shares[event.job.key] = event.share
            told.append((event.text, study.share(shares)))
        elif isinstance(event, Finished):
            shares[event.job.key] = 1.0

    settings = study_settings_of(tiny_checkpoint, **PROSE)
    study = Study(tmp_path, settings, engine=here, on_event=on_event)
    study.run()
    layers = [share for text, share in told if text.endswith(" layers")]
    (before,) = (share for text, share in told if " tokens, roughly " in text)  # as it begins
    assert before < layers[0] < layers[1] < layers[2] < 1
    assert layers[2] - layers[1] == pytest.approx(layers[0] - before)
    whole = [share for _, share in told]
    assert whole == sorted(whole)


def test_a_dry_run_says_that_calibration_comes_first(tiny_checkpoint: Path, tmp_path: Path) -> None:
    settings = study_settings_of(tiny_checkpoint, **PROSE)
    study = Study(tmp_path, settings)
    study.look()
    (said,) = study.to_calibrate
    assert said.startswith("activation of tiny is calibrated first, once, on 1,024 tokens of emb")
    assert said.endswith(", roughly 1 minute")
    run_study(tmp_path, settings)
    later = Study(tmp_path, replace(settings, tasks=("embedded:piqa",)))
    later.look()
    assert later.missing
    assert later.to_calibrate == []


def test_the_commands_take_text(tiny_checkpoint: Path, tmp_path: Path) -> None:
    text = tmp_path / "mine.txt"
    text.write_text(" ".join(f"word {chr(97 + i % 26)}{i}" for i in range(4000)))
    own = ["--remove", "40%", "--limit", "4", "--dtype", "float32", "--suite", "embedded:prose"]
    own += ["--criterion", "activation+refit", "--tokens", "1024", "--calibration", str(text)]
    out = tmp_path / "out"
    words = ["evaluate", str(tiny_checkpoint), *own, "-o", str(out), "--device", "cpu"]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 0, result.output
    told = [line for line in result.stderr.splitlines() if "calibrated on 1,024" in line]
    assert len(told) == 1
    assert str(text) in told[0]
    records = load(out / "records.jsonl")
    assert {r.criterion for r in records} == {None, "activation+refit", "random"}
    assert "activation+refit" in (out / "report.html").read_text()
    dry = CliRunner().invoke(main, ["study", *words[1:-4], "-o", str(tmp_path / "d"), "--dry-run"])
    assert "activation of tiny is calibrated first, once, on 1,024 tokens of" in dry.stdout
    assert "roughly 1 minute, which comes on top." in " ".join(dry.stdout.split())
    assert not (tmp_path / "d").exists()


@pytest.mark.parametrize("command", ["study", "evaluate"])
@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (["--criterion", "ppm", "--tokens", "1024"], "--tokens goes with a criterion that is"),
        (["--criterion", "ppm", "--calibration", "x"], "--calibration goes with a criterion"),
        (["--criterion", "activation", "--tokens", "9"], "9 is not in the range"),
    ],
)
def test_text_without_a_criterion_is_a_wrong_use(command: str, wrong: Any, said: str) -> None:
    result = CliRunner().invoke(main, [command, "smollm2", "--remove", "40%", *wrong])
    assert (result.exit_code, said in result.output) == (2, True), result.output
