"""A search on made-up photos: whole, resumed, failing in parts, refused; its report."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import tiny_photos

from widthwise.errors import RunError, TargetError
from widthwise.experiments.tinynet_search import (
    TRIALS,
    Search,
    SearchSettings,
    SearchTrial,
    draw_search,
    search_text,
)
from widthwise.experiments.tinynet_search.findings import tiny_findings
from widthwise.experiments.tinynet_search.search import CANDIDATES
from widthwise.experiments.tinynet_search.train import DRAWN, FORMULA, INVERSE, SIEVE, PhotoTrainer
from widthwise.experiments.tinynet_search.trials import load_trials
from widthwise.runs import InProcess
from widthwise.tinynet import Space, TrainingRecipe

SPACE = Space(pixels=(8, 32), depth=(0.25, 1.5), width=(0.2, 3.0))
BUDGETS = (2e5, 4e5)


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SearchSettings:
    tiny_photos.register(monkeypatch)
    return SearchSettings(
        data=str(tiny_photos.save_sets(tmp_path / "photos")),
        family="toy",
        budgets=BUDGETS,
        nets=10,
        space=SPACE,
        recipe=TrainingRecipe(epochs=2, batch=16),
    )


def search(folder: Path, settings: SearchSettings, **options: Any) -> Search:
    return Search(folder, settings, engine=partial(InProcess, device="cpu"), **options)


def of(trials: Any, experiment: str) -> list[SearchTrial]:
    return [trial for trial in trials if trial.experiment == experiment]


def test_a_search_trains_what_it_draws_and_what_the_formula_proposes(
    tmp_path: Path, settings: SearchSettings
) -> None:
    folder = tmp_path / "out"
    searched = search(folder, settings).run()
    trials = searched.trials
    assert len(of(trials, DRAWN)) == 10 * 2
    assert len(of(trials, INVERSE)) == 2 * 2
    assert {t.network["asked_macs"] for t in of(trials, FORMULA)} <= set(BUDGETS)
    assert len(of(trials, FORMULA)) in (2, 4)  # where the drawn r and d have a width for it
    for trial in trials:
        assert trial.reason is None
        assert abs(trial.network["macs"] / trial.network["asked_macs"] - 1) <= 0.05
        assert len(trial.quantities["test"].items) == 24
        assert trial.quantities["test"].floor == 0.5
    found = tiny_findings(trials, classes=2)
    names = [
        "inverse compound scaling",
        "a random network",
        "the best random network by validation",
    ]
    assert [one.other for one in found.besides] == names
    assert [m.name for m in found.multipliers] == ["resolution", "depth", "width"]
    assert {f.name for f in found.foretold} == {"synflow", "naswot", "parameters"}
    assert len(found.behind) >= 8
    text = search_text(found, searched.notes)
    assert "the most frequent class alone gets 50.0 %" in text
    assert text.count("\n| drawn") == 10
    figure = draw_search(found)
    dashed = [line for line in figure.axes[0].lines if line.get_linestyle() == "--"]
    assert dashed[0].get_ydata()[0] == 50.0

    def must_not_run(*_: Any) -> None:
        raise AssertionError("a trial that is there was done again")

    again = search(folder, settings, on_trial=must_not_run).run()
    assert again.trials == trials


def test_one_worker_of_this_machine_trains_where_no_engine_is_given(
    tmp_path: Path, settings: SearchSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As docs/tinynet-search.md calls it."""
    devices: list[str] = []

    def processes(make: Any, names: list[str]) -> InProcess:
        devices.extend(names)
        return InProcess(make, "cpu")

    monkeypatch.setattr("widthwise.experiments.tinynet_search.search.Processes", processes)
    small = replace(settings, nets=1, seeds=(0,), budgets=BUDGETS[:1])
    assert Search(tmp_path / "out", small).run().trials[0].reason is None
    assert devices in (["cpu"] * 2, ["cuda:0"] * 2)  # for what is drawn, and what is proposed


def test_an_interrupted_search_goes_on_and_ends_alike(
    tmp_path: Path, settings: SearchSettings
) -> None:
    short = replace(settings, nets=8, seeds=(0,))
    whole = search(tmp_path / "whole", short).run()
    path = tmp_path / "cut" / TRIALS
    done: list[SearchTrial] = []

    def stop(trial: SearchTrial) -> None:
        done.append(trial)
        if len(done) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        search(path.parent, short, on_trial=stop).run()
    path.write_bytes(path.read_bytes() + b'{"key": "torn')
    found = search(path.parent, short).run()
    assert [t.key for t in found.trials] == [t.key for t in whole.trials]
    assert [t.quantities for t in found.trials] == [t.quantities for t in whole.trials]


def test_a_net_whose_loss_is_not_finite_is_a_failed_trial_and_the_search_goes_on(
    tmp_path: Path, settings: SearchSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    train = PhotoTrainer.train

    def diverge(self: PhotoTrainer, job: Any, on_share: Callable[[float, str], None]) -> Any:
        if job.network["asked_macs"] == BUDGETS[0] and job.seed == 1:
            recipe = {**job.settings["recipe"], "lr": 1e30}
            job = replace(job, settings={**job.settings, "recipe": recipe})
        return train(self, job, on_share)

    monkeypatch.setattr(PhotoTrainer, "train", diverge)
    searched = search(tmp_path / "out", settings).run()
    failed = [trial for trial in searched.trials if trial.reason is not None]
    assert {trial.network["asked_macs"] for trial in failed} == {BUDGETS[0]}
    assert all("is not finite; take a learning rate below" in str(t.reason) for t in failed)
    assert any("no formula: the formula needs a front of at least 8" in n for n in searched.notes)
    found = tiny_findings(searched.trials, classes=2)
    assert all(net.network["asked_macs"] == BUDGETS[1] for net in found.front)
    text = search_text(found, searched.notes)
    assert "5 of 10 networks drawn were trained" in text
    assert "| failed | failed |" in text
    draw_search(found)


def test_a_search_of_which_nothing_can_be_trained_says_why(
    tmp_path: Path, settings: SearchSettings
) -> None:
    hopeless = replace(settings, nets=2, seeds=(0,), recipe=TrainingRecipe(epochs=1, lr=1e30))
    with pytest.raises(RunError, match="no network could be trained; the first: training diverged"):
        search(tmp_path / "out", hopeless).run()


def test_a_sieve_trains_one_of_four(tmp_path: Path, settings: SearchSettings) -> None:
    sieved = replace(settings, nets=3, seeds=(0,), sieve="parameters")
    search(tmp_path / "out", sieved).run()
    trials = load_trials(tmp_path / "out")
    seen, trained = of(trials, SIEVE), of(trials, DRAWN)
    assert len(seen) == 3 * CANDIDATES
    assert len(trained) == 3
    for budget in BUDGETS:
        own = [t.network["parameters"] for t in seen if t.network["asked_macs"] == budget]
        kept = [t.network["parameters"] for t in trained if t.network["asked_macs"] == budget]
        assert max(kept) == max(own)
    found = tiny_findings(trials, classes=2, is_chance=sieved.is_chance)
    assert not found.is_chance


def test_optuna_draws_the_same_networks_after_an_interruption(
    tmp_path: Path, settings: SearchSettings
) -> None:
    pytest.importorskip("optuna")
    led = replace(settings, nets=5, seeds=(0,), sampler="optuna")
    first = search(tmp_path / "out", led).run()
    path = tmp_path / "out" / TRIALS
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:3]))
    assert [t.key for t in search(tmp_path / "out", led).run().trials] == [
        t.key for t in first.trials
    ]


def test_other_photos_or_another_recipe_are_refused(
    tmp_path: Path, settings: SearchSettings
) -> None:
    small = replace(settings, nets=2, seeds=(0,))
    search(tmp_path / "out", small).run()
    for changed in (
        replace(small, recipe=TrainingRecipe(epochs=3, batch=16)),
        replace(small, sieve="parameters"),
        replace(small, data=str(tiny_photos.save_sets(tmp_path / "others", (40, 20, 20)))),
    ):
        with pytest.raises(RunError, match=r"the search in .* was started") as error:
            search(tmp_path / "out", changed).run()
        assert "augmentation" not in str(error.value)  # which is the same
    more = search(tmp_path / "out", replace(small, nets=4, seeds=(0, 1))).run()
    assert len(of(more.trials, DRAWN)) == 8  # networks and seeds may be added


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"space": Space(pixels=(3, 32))}, "images of 3 px are below the total stride of toy, 4"),
        ({"budgets": (2e5, 2e5)}, "budgets that differ"),
        ({"seeds": (1, 1)}, "seeds must differ"),
        ({"sampler": "grid"}, "the sampler must be one of"),
        ({"sieve": "magic"}, "the sieve must be one of synflow, naswot, parameters"),
        ({"sieve": "naswot", "sampler": "optuna"}, "with the sampler random"),
        ({"family": "rubik"}, "the family must be one of"),
    ],
)
def test_bad_settings_are_refused(
    settings: SearchSettings, changed: dict[str, Any], message: str
) -> None:
    with pytest.raises((RunError, TargetError), match=message):
        replace(settings, **changed)


def test_too_few_networks_are_known_before_any_work(settings: SearchSettings) -> None:
    assert replace(settings, nets=8).warning is None
    assert "of 1 network no formula" in (replace(settings, nets=1).warning or "")


def test_a_budget_out_of_reach_is_named(tmp_path: Path, settings: SearchSettings) -> None:
    with pytest.raises(TargetError, match="no toy of 8 to 32 px"):
        search(tmp_path / "out", replace(settings, budgets=(10.0,))).run()
