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
    findings = tiny_findings(
        stored.trials, classes=stored.classes, is_chance=stored.is_chance is True
    )
    trained = any(net.is_trained for net in findings.drawn)
    return Page(
        title="How should a small network spend its multiply-adds?",
        byline=f"{stored.trials[0].network['family']} · {counted(len(stored.trials), 'training')} "
        f"of {counted(len(_nets(findings)), 'network')}",
        answer=judged_sentences(findings)[:2] if trained else ("No network could be trained.",),
        warnings=_unfinished(findings),
        sections=run_sections(
            draw_search(findings) if trained else None,
            "Rings: on the front of budget and accuracy, by the validation photos.",
            [table for table in tables_of(findings) if table.rows],
            n_open=2,
            failed=[(_named(trial), trial.reason or "") for trial in findings.failed],
            method=_method(findings),
            unknown=_unknown(stored, findings),
            settings=(
                seed_row(trial.seed for trial in stored.trials),
                *setting_rows(_settings(stored), skip=("seeds",)),
            ),
        ),
    )


def _nets(findings: TinyFindings) -> tuple[TrainedNetwork, ...]:
    return (*findings.drawn, *findings.formula_nets, *findings.inverse_nets)


def _named(trial: SearchTrial) -> str:
    network = trial.network
    return (
        f"{trial.experiment.removeprefix('tinynet ')}, {network['asked_macs'] / 1e6:g}M, "
        f"{network['pixels']} px, depth {network['depth']:.2f}, width {network['width']:.2f}, "
        f"seed {trial.seed}"
    )


def _unfinished(findings: TinyFindings) -> tuple[str, ...]:
    short = sum(len(net.trials) < findings.seeds for net in _nets(findings))
    if not short:
        return ()
    return (
        f"Not finished: {counted(short, 'network')} of {len(_nets(findings))} have fewer than "
        f"{findings.seeds} seeds; the same command goes on.",
    )


def _method(findings: TinyFindings) -> tuple[str, ...]:
    return (
        *trained_sentences(findings),
        "Resolution and depth are drawn, and the width is solved for the budget. Networks are "
        "chosen by the validation photos; all that is said of accuracy is said of the test photos, "
        "which chose nothing.",
    )


def _settings(stored: StoredSearch) -> Sequence[tuple[str, Mapping[str, Any]]]:
    """Of the search where they are there, and of its trials."""
    hidden = ("trials", "data", "recipe")
    asked = {name: value for name, value in stored.settings.items() if name not in hidden}
    settings = [
        (
            f"seed {trial.seed}",
            {**trial.settings, **trial.versions},
        )
        for trial in stored.trials
    ]
    return [("the search", asked), *settings, ("the photos", {"classes": stored.classes})]


def _unknown(stored: StoredSearch, findings: TinyFindings) -> tuple[str, ...]:
    sentences = [ONE_SEED] if findings.seeds == 1 else []
    if stored.is_chance is None:
        sentences.append(
            "The settings of the search are not beside its trials (study.json): whether networks "
            "were drawn by chance alone is not known, so that the formula is not set beside a "
            "random network."
        )
    elif not stored.is_chance:
        sentences.append(
            "Networks were not drawn by chance alone: correlations are of what was drawn, and the "
            "formula is not set beside a random network."
        )
    if findings.formula is None:
        sentences.append(
            "No formula was fitted: too few networks are on the best fronts, or it cannot be "
            "fitted here."
        )
    sentences.append("Other recipes and longer training might put the networks in another order.")
    return tuple(sentences)
