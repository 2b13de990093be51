"""The page of `widthwise tinynet search`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ...report import Page
from ...stats import counted
from ..run_page import ONE_SEED, run_sections, seed_row, setting_rows
from .figure import draw_search
from .findings.build import TinyFindings, tiny_findings
from .markdown import judged_sentences, tables_of, trained_sentences
from .networks import TrainedNetwork
from .results import StoredSearch, load_search
from .trials import SearchTrial


def search_page(path: Path) -> Page:
    """What the trials of a file say.

    Raises:
        RunError, TargetError: As `load_search`.
    """
    stored = load_search(path)
    found = tiny_findings(stored.trials, classes=stored.classes, is_chance=stored.is_chance is True)
    trained = any(net.is_trained for net in found.drawn)
    return Page(
        title="How should a small network spend its multiply-adds?",
        byline=f"{stored.trials[0].network['family']} · {counted(len(stored.trials), 'training')} "
        f"of {counted(len(_nets(found)), 'network')}",
        answer=judged_sentences(found)[:2] if trained else ("No network could be trained.",),
        warnings=_unfinished(found),
        sections=run_sections(
            draw_search(found) if trained else None,
            "Rings: on the front of budget and accuracy, by the validation photos.",
            [table for table in tables_of(found) if table.rows],
            n_open=2,
            failed=[(_named(trial), trial.reason or "") for trial in found.failed],
            method=_method(found),
            unknown=_unknown(stored, found),
            settings=(
                seed_row(trial.seed for trial in stored.trials),
                *setting_rows(_settings(stored), skip=("seeds",)),
            ),
        ),
    )


def _nets(found: TinyFindings) -> tuple[TrainedNetwork, ...]:
    return (*found.drawn, *found.formula_nets, *found.inverse_nets)


def _named(trial: SearchTrial) -> str:
    one = trial.network
    return (
        f"{trial.experiment.removeprefix('tinynet ')}, {one['asked_macs'] / 1e6:g}M, "
        f"{one['pixels']} px, depth {one['depth']:.2f}, width {one['width']:.2f}, "
        f"seed {trial.seed}"
    )


def _unfinished(found: TinyFindings) -> tuple[str, ...]:
    short = sum(len(net.trials) < found.seeds for net in _nets(found))
    if not short:
        return ()
    return (
        f"Not finished: {counted(short, 'network')} of {len(_nets(found))} have fewer than "
        f"{found.seeds} seeds; the same command goes on.",
    )


def _method(found: TinyFindings) -> tuple[str, ...]:
    return (
        *trained_sentences(found),
        "Resolution and depth are drawn, and the width is solved for the budget. Networks are "
        "chosen by the validation photos; all that is said of accuracy is said of the test photos, "
        "which chose nothing.",
    )


def _settings(stored: StoredSearch) -> Sequence[tuple[str, Mapping[str, Any]]]:
    """Of the search where they are there, and of its trials."""
    hidden = ("trials", "data", "recipe")
    asked = {name: value for name, value in stored.settings.items() if name not in hidden}
    own = [
        (
            f"seed {trial.seed}",
            {**trial.settings, **trial.versions},
        )
        for trial in stored.trials
    ]
    return [("the search", asked), *own, ("the photos", {"classes": stored.classes})]


def _unknown(stored: StoredSearch, found: TinyFindings) -> tuple[str, ...]:
    said = [ONE_SEED] if found.seeds == 1 else []
    if stored.is_chance is None:
        said.append(
            "The settings of the search are not beside its trials (study.json): whether networks "
            "were drawn by chance alone is not known, so that the formula is not set beside a "
            "random network."
        )
    elif not stored.is_chance:
        said.append(
            "Networks were not drawn by chance alone: correlations are of what was drawn, and the "
            "formula is not set beside a random network."
        )
    if found.formula is None:
        said.append(
            "No formula was fitted: too few networks are on the best fronts, or it cannot be "
            "fitted here."
        )
    said.append("Other recipes and longer training might put the networks in another order.")
    return tuple(said)
