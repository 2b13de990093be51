"""Calibrated criteria in sweeps and studies: made once, kept, and the networks of `prune`."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from calibrated_runs import ALL, ASK, BY, PROSE, TOKENS
from same_answers import CLOSE, assert_same_answers
from study_runs import numbers
from study_runs import run as run_study
from study_runs import settings_of as study_settings_of
from sweep_runs import answers, run, settings_of

from widthwise import measure
from widthwise.errors import RunError
from widthwise.prune import prune, prune_checkpoint
from widthwise.prune.refitting import refit
from widthwise.runs import Processes
from widthwise.study import (
    CostSettings,
    CostStudy,
    Evaluation,
    Variant,
    calibration_notes,
    is_control,
)
from widthwise.study import calibration_stage as calibrated

pytestmark = pytest.mark.demo


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """Criterion and number of widths of each calibration, as it is begun."""
    calls: list[tuple[str, int]] = []
    own = calibrated.refits

    def counted(model: Any, selections: Any, *args: Any, **more: Any) -> Any:
        calls.append((selections[0].criterion, len(selections)))
        return own(model, selections, *args, **more)

    monkeypatch.setattr(calibrated, "refits", counted)
    return calls


@pytest.fixture(scope="module")
def whole(tiny_checkpoint: Path, tmp_path_factory: Any) -> tuple[Path, dict[tuple[Any, ...], Any]]:
    """An undisturbed sweep: its folder and its records."""
    folder = tmp_path_factory.mktemp("calibrated")
    return folder, run(folder, settings_of(tiny_checkpoint, **ASK, **ALL))


@pytest.mark.long
@pytest.mark.parametrize(
    "network", [("activation+refit", "1.4x"), ("activation", "40%"), ("ppm_activation", "40%")]
)
def test_a_calibrated_width_is_the_checkpoint_of_prune(
    network: tuple[str, str], whole: Any, tiny_checkpoint: Path, tmp_path: Path
) -> None:
    folder, records = whole
    criterion, asked = network
    how: dict[str, Any] = {"remove" if "%" in asked else "to": asked, "tokens": TOKENS}
    fitted = refit(
        tiny_checkpoint, **how, criterion=criterion.removesuffix("+refit"), sequential=False
    )
    told = fitted if "+" in criterion else False
    written = prune_checkpoint(tiny_checkpoint, tmp_path / "pruned", fitted.plan, refit=told)
    alone = run(tmp_path / "out", settings_of(written, **ASK, widths=()))
    for quantity in ("piqa", "prose"):
        ours, theirs = records[(*network, quantity)], alone[None, "dense", quantity]
        assert_same_answers(answers(folder, ours), answers(tmp_path / "out", theirs))
        assert ours.value == pytest.approx(theirs.value, rel=CLOSE)
    others = [records[c, asked, "prose"] for c in (*ALL["criteria"], "random")]
    assert len({r.items for r in others}) == 5, "criteria do not differ: proves nothing"


def test_a_width_with_scales_is_the_checkpoint_that_prune_writes_by_default(
    tiny_checkpoint: Path, tmp_path: Path
) -> None:
    """Each width by itself, layer after layer; a further run takes what is kept."""
    criterion, asked = "activation+refit+scales", ("30%", "40%")
    settings = {**PROSE, "widths": asked, "criteria": (criterion, "activation+refit")}
    folder = tmp_path / "study"
    records = run(folder, settings_of(tiny_checkpoint, **settings))
    written = prune(tiny_checkpoint, out=tmp_path / "pruned", remove="40%", tokens=TOKENS).path
    prose: dict[str, Any] = {"tasks": PROSE["tasks"], "widths": ()}
    alone = run(tmp_path / "out", settings_of(written, **prose))[None, "dense", "prose"]
    ours = records[criterion, "40%", "prose"]
    assert_same_answers(answers(folder, ours), answers(tmp_path / "out", alone))
    others = [records[c, "40%", "prose"] for c in ("activation+refit", "random")]
    assert len({r.items for r in (ours, *others)}) == 3, "criteria do not differ: proves nothing"
    kept = sorted(path.name.partition("-")[2] for path in (folder / "calibrated").glob("*.saf*"))
    assert kept == [
        "activation+scales-31.safetensors",
        "activation+scales-37.safetensors",
        "activation.safetensors",
    ]
    texts = calibration_notes(records.values())
    assert any("layer after layer, then rows scaled" in each for each in texts)
    assert any("in one pass over the dense model" in each for each in texts)
    again = run(folder, settings_of(tiny_checkpoint, **settings))
    assert again == records


def test_records_say_what_text_and_others_do_not(whole: Any, tiny_checkpoint: Path) -> None:
    _, records = whole
    for (criterion, _, quantity), record in records.items():
        scored = quantity in ("piqa", "prose")
        told = {k for k in record.settings if k.startswith(("calibration", "refit"))}
        if not scored or criterion not in ALL["criteria"][1:]:
            assert not told
            continue
        assert record.settings["calibration"].startswith("embedded text: passages of CoQA")
        assert record.settings["calibration_tokens"] == TOKENS
        assert ("refit_warning" in told) == (criterion == "activation+refit")
    text, *warned = calibration_notes(records.values())
    assert text.startswith("tiny: calibrated on 1,024 tokens of embedded text")
    assert all(line.startswith("Warning: tiny, activation+refit") for line in warned)


def test_a_mix_of_texts_is_named_in_records(
    tiny_checkpoint: Path, text: Path, tmp_path: Path
) -> None:
    asked = {**PROSE, "criteria": ("activation",), "calibration": f"{text}:0.5,embedded:0.5"}
    records = run(tmp_path, settings_of(tiny_checkpoint, **{**asked, "tokens": 2 * TOKENS}))
    told = records["activation", "40%", "prose"].settings
    assert told["calibration"].startswith(f"50% {text}; 50% embedded text")
    assert told["calibration_tokens"] == 2 * TOKENS


def test_warnings_are_told_once(whole: Any) -> None:
    _, records = whole
    record = records["activation+refit", "40%", "prose"]
    bad = replace(record, settings={**record.settings, "refit_warning": "the refit does badly"})
    notes = calibration_notes([bad, replace(bad, quantity="piqa"), record])
    assert notes[1:] == ("Warning: tiny, activation+refit 40%: the refit does badly",)
    (said,) = calibration_notes([bad, replace(bad, asked="1.4x")])[1:]
    assert said.startswith("Warning: tiny, activation+refit 40% (and 1 more): the refit")


def test_keys_of_other_cells_stay_and_those_of_calibrated_ones_hold_the_text(
    whole: Any, tiny_checkpoint: Path, tmp_path: Path
) -> None:
    plain = run(tmp_path / "plain", settings_of(tiny_checkpoint, **ASK, criteria=("ppm",)))
    _, records = whole
    assert {records[key].cell for key in plain} == {r.cell for r in plain.values()}
    settings = json.loads((tmp_path / "plain" / "study.json").read_text())
    assert not {"calibration", "tokens"} & settings.keys()

    text = tmp_path / "mine.txt"
    text.write_text(" ".join(f"word {chr(97 + i % 26)}{i}" for i in range(4000)))
    copy = tmp_path / "same words.txt"
    copy.write_bytes(text.read_bytes())

    def keys(**more: Any) -> list[str]:
        settings = settings_of(tiny_checkpoint, **{**PROSE, **more})
        scorer = Evaluation(tmp_path / "none", settings).scorer
        return [scorer.key(Variant(c, "40%"), "prose") for c in PROSE["criteria"]]

    own = keys(calibration=str(text))
    assert own == keys(calibration=str(copy)), "the text counts, not its name"
    for other in (keys(), keys(calibration=str(text), tokens=2048)):
        assert [a == b for a, b in zip(own, other, strict=True)] == [True, False, False]


def cuts_of(folder: Path, model: Path, criterion: str = "activation+refit", **changes: Any) -> Any:
    """What a new process would narrow a network by, all widths of the criterion."""
    changes = {**ASK, **BY, "dtype": "float32", **changes}
    sweep = Evaluation(folder, settings_of(model, **changes))
    return sweep.scorer.calibrated.cuts(Variant(criterion, "40%"), lambda *_: None)


@pytest.mark.long
def test_a_calibration_serves_all_widths_and_later_runs(
    tiny_checkpoint: Path, tmp_path: Path, made: list[tuple[str, int]]
) -> None:
    run(tmp_path, settings_of(tiny_checkpoint, **{**PROSE, "widths": ("1.4x", "40%")}))
    assert made == [("activation", 2)], "one pass for both widths, cut and refitted"
    fitted = cuts_of(tmp_path, tiny_checkpoint, tasks=("embedded:piqa",))
    assert [refit.plan.width for refit in fitted] == [31, 44]
    plans = cuts_of(tmp_path, tiny_checkpoint, "activation", widths=("40%",))
    assert [plan.digest for plan in plans] == [refit.plan.digest for refit in fitted]
    assert made == [("activation", 2)], "fewer widths are there as well"
    wider = cuts_of(tmp_path, tiny_checkpoint, widths=("1.4x", "40%", "1.5x"))
    assert made == [("activation", 2), ("activation", 3)], "another one needs all again"
    for one, other in zip(fitted, (wider[0], wider[1]), strict=True):
        assert one.plan.digest == other.plan.digest  # and gives what it gave
        assert all(map(torch.equal, one.down, other.down))
        assert one.layers == other.layers
    assert cuts_of(tmp_path, tiny_checkpoint, "obs+refit", criteria=("obs+refit",))
    assert made[2:] == [("obs", 2)]


@pytest.mark.parametrize("damage", ["cut off", "a bit", "foreign", "another version"])
def test_a_file_that_is_not_what_was_written_is_made_anew(
    damage: str, whole: Any, tiny_checkpoint: Path, tmp_path: Path, made: list[Any]
) -> None:
    shutil.copytree(whole[0] / "calibrated", tmp_path / "calibrated")
    before = cuts_of(tmp_path, tiny_checkpoint)
    assert not made
    (file,) = (tmp_path / "calibrated").glob("*-activation.safetensors")
    data = file.read_bytes()
    damaged = {
        "cut off": data[:-100],
        "a bit": data[:-100] + bytes([data[-100] ^ 4]) + data[-99:],
        "foreign": b"precious",
        "another version": data.replace(b'\\"widthwise\\": \\"0.', b'\\"widthwise\\": \\"7.'),
    }
    assert damaged[damage] != data
    file.unlink()  # what is mapped into memory stays as it was
    file.write_bytes(damaged[damage])
    again = cuts_of(tmp_path, tiny_checkpoint)
    assert len(made) == 1
    for one, other in zip(before, again, strict=True):
        assert one.plan == other.plan
        assert all(map(torch.equal, one.down, other.down))
    assert not list((tmp_path / "calibrated").glob(".*partial*"))


def test_criteria_may_be_added_to_a_folder_that_had_none(
    tiny_checkpoint: Path, tmp_path: Path
) -> None:
    plain = settings_of(tiny_checkpoint, **{**PROSE, "criteria": ("ppm",)})
    before = run(tmp_path, replace(plain, tokens=65_536))
    after = run(tmp_path, settings_of(tiny_checkpoint, **PROSE))
    assert after.items() >= before.items()
    assert run(tmp_path, replace(plain, tokens=65_536)) == before
    with pytest.raises(RunError, match="started with tokens 1024, not 2048"):
        run(tmp_path, settings_of(tiny_checkpoint, **{**PROSE, "tokens": 2048}))
    assert run(tmp_path, settings_of(tiny_checkpoint, **PROSE)) == after


@pytest.mark.long
@pytest.mark.usefixtures("all_documents")
def test_workers_that_begin_together_calibrate_once(tiny_checkpoint: Path, tmp_path: Path) -> None:
    """Two processes on one folder: one file, and the numbers of a study in one process."""
    settings = study_settings_of(tiny_checkpoint, **{**PROSE, "criteria": ("activation+refit",)})
    told: list[str] = []

    def listen(event: Any) -> None:
        told.append(getattr(event, "text", ""))

    engine = partial(Processes, devices=("cpu", "cpu"))
    records = run_study(tmp_path / "two", settings, engine=engine, on_event=listen)
    alone = run_study(tmp_path / "one", settings)
    assert numbers(records) == numbers(alone)
    assert len(list((tmp_path / "two" / "calibrated").glob("*.safetensors"))) == 1
    assert any("layers" in text for text in told)


def test_without_the_folder_of_the_study_each_keeps_its_own(
    tiny_checkpoint: Path, tmp_path: Path, whole: Any
) -> None:
    """As on a node of a cluster that does not see it: nothing is made there."""
    fitted = cuts_of(tmp_path / "elsewhere", tiny_checkpoint)
    shared = cuts_of(whole[0], tiny_checkpoint)
    assert [refit.plan for refit in fitted] == [refit.plan for refit in shared]
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.long
def test_a_calibration_that_fails_is_a_reason_and_not_tried_for_each_cell(
    tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def fails(*_: Any, **__: Any) -> Any:
        calls.append(1)
        raise RunError("layers.0: not positive definite")

    monkeypatch.setattr(calibrated, "refits", fails)
    settings = settings_of(tiny_checkpoint, **{**PROSE, "widths": ("1.4x", "40%")})
    records = run(tmp_path, settings)
    assert len(calls) == 1
    for (criterion, _, quantity), record in records.items():
        if quantity == "prose":
            lost = criterion in BY["criteria"][1:]
            assert (record.value is None) == lost
            assert not lost or "not positive definite" in str(record.reason)
    monkeypatch.undo()
    again = run(tmp_path, settings)
    assert all(record.value is not None for record in again.values())


def test_costs_need_no_text(
    tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calibrated, "refits", None)  # a call would fail
    ceilings = measure.PeakRates(
        flops_per_sec=1e9, bytes_per_sec=1e9, device="cpu", dtype="float32", name="a processor"
    )
    monkeypatch.setattr(measure, "measure_peak_rates", lambda *_: ceilings)
    settings = study_settings_of(
        tiny_checkpoint, tasks=(), workloads=("3x2",), criteria=("activation+refit",)
    )
    timed = [r for r in run_study(tmp_path / "study", settings) if r.quantity.endswith("ttft")]
    assert [r.criterion for r in timed] == [None, "activation+refit", "activation+refit"]
    assert [r.settings.get("timed_neurons") for r in timed] == [None, "ppm", "ppm"]
    costs = CostSettings(
        models=(str(tiny_checkpoint),), widths=("40%",), workloads=("3x2",), criterion="obs+refit"
    )
    found = CostStudy(tmp_path / "costs", replace(costs, dtype="float32")).run()
    assert {r.criterion for r in found} == {None, "obs+refit"}
    assert not (tmp_path / "study" / "calibrated").exists()


def test_random_refitted_is_no_control(tiny_checkpoint: Path, tmp_path: Path) -> None:
    criteria = ("random+refit", "random~5+refit")
    found = run(tmp_path, settings_of(tiny_checkpoint, **{**PROSE, "criteria": criteria}))
    assert [c for c, _, q in found if q == "prose"] == [None, *criteria, "random"]
    assert not any(map(is_control, criteria))
    values = {c: r.value for (c, _, q), r in found.items() if q == "prose"}
    assert len(set(values.values())) == 4
