"""The page of `widthwise tinynet search`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ...report import ONE_SEED, ExperimentPage, TableSection, seed_row, setting_rows, table_section
from ...stats import counted
from .figure import draw_search
from .findings.build import TinyFindings, tiny_findings
from .markdown import (
    beside_table,
    judged_sentences,
    multiplier_table,
    network_table,
    proxy_table,
    trained_sentences,
)
from .networks import TrainedNetwork
from .results import StoredSearch, load_search
from .trials import SearchTrial


def search_page(path: Path) -> ExperimentPage:
    """What the trials of a file say.

    Raises:
        RunError, TargetError: As `load_search`.
    """
    stored = load_search(path)
    found = tiny_findings(stored.trials, classes=stored.classes, is_chance=stored.is_chance is True)
    trained = any(net.is_trained for net in found.drawn)
    return ExperimentPage(
        kind="tinynet search",
        title="How should a small network spend its multiply-adds?",
        byline=f"{stored.trials[0].network['family']} · {counted(len(stored.trials), 'training')} "
        f"of {counted(len(_nets(found)), 'network')}",
        answer=judged_sentences(found)[:2] if trained else ("No network could be trained.",),
        left_out=_unfinished(found),
        figure=draw_search(found) if trained else None,
        caption="Rings: on the front of budget and accuracy, by the validation photos.",
        parts=_parts(found),
        n_open=2,
        failed=tuple((_named(trial), trial.reason or "") for trial in found.failed),
        method=_method(found),
        settings=(
            seed_row(trial.seed for trial in stored.trials),
            *setting_rows(_settings(stored), skip=("seeds",)),
        ),
        unknown=_unknown(stored, found),
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


def _parts(found: TinyFindings) -> tuple[TableSection, ...]:
    tables = (
        (
            "The formula beside others",
            "At the same budgets, on the test photos. Intervals hold chance of photos and seeds, "
            "and of a random network that of the draw. Other draws would have given another "
            "formula and another best network: that is in none of them.",
            beside_table(found),
        ),
        (
            "Networks",
            "Accuracies in per cent, means over seeds; with a star on the front, which the "
            "validation photos chose.",
            network_table(found),
        ),
        (
            "Multipliers",
            "Spearman's correlation with accuracy on the test photos, with 95 % intervals.",
            multiplier_table(found),
        ),
        (
            "Zero-cost proxies",
            "The same, of numbers of the untrained network; parameters are the control.",
            proxy_table(found),
        ),
    )
    return tuple(
        table_section(title, about, *_headed(table)) for title, about, table in tables if table[1]
    )


def _headed(table: tuple[list[str], list[list[str]]]) -> tuple[list[str], list[list[str]]]:
    """With a name for the first column, which the Markdown leaves empty."""
    header, rows = table
    return [header[0] or "chosen as", *header[1:]], rows


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
