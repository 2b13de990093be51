"""Every file that 41e98b0 wrote is still read, and says what it said.

The files in `kept/formats-41e98b0` are that commit's own, of the tiny model of `exact_models` and
of the made-up data of these tests; a run that failed stands last in files of several runs.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import asdict
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import tiny_corpus
from click.testing import CliRunner
from exact_models import save_exact
from healing_runs import BATCH, save_text
from safetensors import safe_open

from widthwise import Plan
from widthwise.cli import main
from widthwise.cut.checkpoint import Checkpoint, inspect_refit
from widthwise.errors import RunError
from widthwise.experiments.convergence.results import load_convergences
from widthwise.experiments.coordinate_check.results import load_coordinates
from widthwise.experiments.lr_transfer import results as transfer
from widthwise.experiments.maml import results as maml
from widthwise.experiments.tinynet_search.results import load_search
from widthwise.experiments.tinynet_search.trials import load_trials
from widthwise.experiments.word2vec import results as word2vec
from widthwise.prune.calibration import Calibration
from widthwise.prune.healing import Healing, HealSettings, heal, inspect_healing
from widthwise.study.refit_cache import RefitCache

KEPT = Path(__file__).parent / "kept" / "formats-41e98b0"
UNFINISHED = KEPT.parent / "healing-b37ee1e"  # its own, later commit: states changed in between
PARENT = "6758fc450ddb97308b5f02e9be65a89a746cadf7efcb187e94f301d74d6fc333"
TEXT = "0646f270c6dcee12d4bb1659c0f4670713f2766aec798dae3c70b6eb305df762"
LOSSES = [0.00702, 0.004704, 0.005933, 0.004009, 0.004382]
NO_LOSS = "training diverged: the loss at its end is not finite"
NO_STEP = (
    "training diverged: numbers at meta-step 1 are not finite; take a learning rate below 1e+30"
)


pytestmark = pytest.mark.usefixtures("short_blocks")


def plan() -> Any:
    found = Plan.load(KEPT / "plan.json")
    return found.parent, found.fingerprint, found.criterion, found.keep, found.parameters


def plan_by_layers() -> Any:
    found = Plan.load(KEPT / "refitted-by-layers" / "widthwise_plan.json")
    return found.asked, found.widths, found.mean_width


def record_of_a_refit() -> Any:
    with Checkpoint(KEPT / "refitted", "refitted") as checkpoint:
        found = inspect_refit(checkpoint)
    assert found is not None
    lams = [layer["lam"] for layer in found["layers"]]
    return found["verified"], found["sequential"], found["calibration"][0]["fit_tokens"], lams


def record_of_a_healing() -> Any:
    with Checkpoint(KEPT / "healed", "healed") as checkpoint:
        found = inspect_healing(checkpoint)
    assert found is not None
    names = found["child"]["name"], found["parent"]["fingerprint"]
    return found["verified"], *names, found["tokens"], found["after"]["divergence_nats"]


def moments() -> Any:
    found = Calibration.load(KEPT / "moments.safetensors")
    first, second = found.groups[0], found.groups[1]
    sums = float(first.fit.total[0, 0]), float(second.held_out.total[3, 12])
    return found.model, len(found.groups), found.parts[0].source, first.fit.tokens, sums


def refits_of_a_study() -> Any:
    (file,) = (KEPT / "study" / "calibrated").iterdir()
    asked = {
        "model": "4b41af7595dd0356c4a64da287a6f7c33e76e2cf161e5091722790b5f71acd94",
        "text": TEXT,
        "criterion": "activation",
        "dtype": "float32",
        "device": "cpu",
        "widthwise": "0.1.0",
    }
    found = RefitCache(KEPT / "study").read(file.stem, asked, [(8,)])
    assert found is not None
    (refit,) = found
    lams = [fit.lam for fit in refit.layers]
    return refit.plan.keep[0], lams, refit.parts[0].held_out_tokens, float(refit.down[1][7, 0])


def lines_of_maml() -> Any:
    found = maml.load(KEPT / "maml" / "results.jsonl")
    run, settings = found["finite", 4, 0]
    failed, _ = found["finite", 5, 0]
    assert run.test is not None
    scale = settings["recipe"]["scales"]["v"]
    return len(found), run.test.accuracy, run.validation, scale, failed.test, failed.reason


def lines_of_word2vec() -> Any:
    found = word2vec.load(KEPT / "word2vec" / "results.jsonl")
    run, settings = found["finite", 8, 0]
    failed, _ = found["finite", 9, 0]
    assert run.score is not None
    return len(found), run.score.right, len(run.curve), settings["window"], failed.score


def lines_of_transfer() -> Any:
    found = [run for run, _ in transfer.load(KEPT / "transfer" / "results.jsonl").values()]
    return len(found), found[0].kind, found[0].loss, found[-1].lr, found[-1].reason


def lines_of_converge() -> Any:
    (known, settings), (unknown, _) = load_convergences(KEPT / "converge.jsonl")
    slopes = known.expected, known.distance.slope.value, unknown.expected
    return known.case.name, slopes, unknown.movement.widths, settings["first_seed"]


def lines_of_check() -> Any:
    (((title, found), settings),) = load_coordinates(KEPT / "check.jsonl")
    size = float(found.changes[-1].runs[1, 0])
    return title, len(found.layers), found.layers[-1], found.margin, size, settings["learning_rate"]


def trials_of_a_search() -> Any:
    trials = load_trials(KEPT / "search")
    found = load_search(KEPT / "search" / "trials.jsonl")
    first = trials[0]
    shown = first.key, first.value("naswot"), first.quantities["test"].n
    kinds = [trial.experiment for trial in found.trials]
    return kinds, shown, found.classes, found.is_chance, found.settings["budgets"]


READ: dict[Callable[[], Any], Any] = {
    plan: (
        *("parent", PARENT, "ppm"),
        *(((1, 3, 5, 7, 9, 10, 11, 12), (0, 1, 2, 3, 4, 6, 9, 11)), 2992),
    ),
    plan_by_layers: ("--width 8", (11, 5), 8.0),
    record_of_a_refit: (True, True, 20, [0.01, 0.1]),
    record_of_a_healing: (True, "child", PARENT, 3 * BATCH, 0.0024485240379969278),
    moments: (PARENT, 2, "batches", 20, (0.7688550353050232, -0.02865849994122982)),
    refits_of_a_study: ((1, 2, 3, 7, 8, 9, 10, 12), [0.001, 0.1], 512, 0.011798137798905373),
    lines_of_maml: (6, 0.8260625, ((6, 0.29),), 0.5, None, NO_STEP),
    lines_of_word2vec: (5, 367, 2, 4, None),
    lines_of_transfer: (25, "sp", 5.4902448654174805, 1e29, NO_LOSS),
    lines_of_converge: (
        *("muP, tanh", (Fraction(-1, 2), pytest.approx(-1.00975098), None)),
        *((16, 64), 0),
    ),
    lines_of_check: ("muP, GLU transformer", 21, "lm_head", 0.15, 0.17747930897987962, 0.01),
    trials_of_a_search: (
        ["tinynet drawn"] * 2 + ["tinynet inverse"] * 2,
        ("006f6f64bf2bf1954dd6", 639.6878690796209, 24),
        *(2, True, [2e6, 3e6]),
    ),
}


@pytest.mark.parametrize("read", READ, ids=lambda read: read.__name__)
def test_a_file_of_an_older_version_says_what_it_said(read: Callable[[], Any]) -> None:
    assert read() == READ[read]


def test_word2vec_goes_on_from_a_network_of_an_older_version(tmp_path: Path) -> None:
    """It was trained whole, so nothing but its questions is left to do."""
    text, analogies, out = (tmp_path / name for name in ("text.txt", "analogies.txt", "out"))
    text.write_text(tiny_corpus.text())
    analogies.write_text(tiny_corpus.questions())
    out.mkdir()
    shutil.copy(KEPT / "word2vec" / "width-8-seed-0.safetensors", out)
    words = [text, "--analogies", analogies, "--width", 8, "--no-limit", "--no-kernels", "-o", out]
    fast = ["--min-count", 1, "--sample", 1, "--window", 4, "--epochs", 2]
    result = CliRunner().invoke(main, ["word2vec", *map(str, (*words, *fast))])
    assert result.exit_code == 0, result.output
    (now,) = word2vec.load(out / "results.jsonl").values()
    before = word2vec.load(KEPT / "word2vec" / "results.jsonl")["finite", 8, 0]
    assert now == before


def test_a_healing_that_an_older_version_began_is_refused_clearly(tmp_path: Path) -> None:
    """By 41e98b0 a state was of the last weights only: there is no best one to go on from."""
    with pytest.raises(
        RunError,
        match=r"this version of widthwise cannot continue from it\); remove "
        r"this file to start again",
    ):
        _healed(tmp_path, KEPT / "healing" / "state.safetensors", lora=1, learning_rate=3e-3)
    assert (tmp_path / ".out.healing" / "state.safetensors").exists()


def test_a_healing_that_was_begun_is_gone_on_with(tmp_path: Path) -> None:
    """From its sixth step on, by the rate that was found and behind the best state so far."""
    state, steps = UNFINISHED / "state.safetensors", []
    with safe_open(state, "pt") as file:
        facts = json.loads(file.metadata()["facts"])
    found = _healed(
        tmp_path, state, tokens=8 * BATCH, hidden=0.1, progress=lambda step, _: steps.append(step)
    )
    assert [step.tokens // BATCH for step in steps] == [6, 7, 8]
    assert [asdict(step) for step in found.curve[:5]] == facts["curve"]
    assert [round(step.loss, 6) for step in found.curve[:5]] == LOSSES
    assert (found.learning_rate, len(found.trials)) == (pytest.approx(0.01), 6)
    assert found.before.divergence.value == pytest.approx(0.0042763824)
    assert found.after.divergence.value == pytest.approx(0.0016609654, rel=0.01)  # three steps on


def _healed(place: Path, state: Path, progress: Any = None, **settings: Any) -> Healing:
    """A healing into `place / out`, of which this state is there."""
    (place / ".out.healing").mkdir()
    shutil.copy(state, place / ".out.healing")
    return heal(
        KEPT / "refitted",
        save_exact(place / "parent"),
        out=place / "out",
        text=save_text(place / "text.txt"),
        settings=HealSettings(**{"tokens": 4 * BATCH, "batch_tokens": BATCH, **settings}),
        dtype="float32",
        progress=progress,
    )
