"""A run over parametrizations, widths, learning rates and seeds: what is missing is trained."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ... import __version__
from ...mup import NetworkFamily, glu_family
from ...runs import ProgressCallback, ResultUnit, run_results
from .results import FORMAT
from .text import TokenRows
from .train import KIND_NAMES, KINDS, TrainingRun, TrainingSettings, TransferJob, train_small


def transfer_jobs(widths: Sequence[int], rates: Sequence[float], seeds: int) -> list[TransferJob]:
    """All of each parametrization, seed by seed."""
    return [
        (kind, width, lr, seed)
        for seed in range(seeds)
        for kind in KINDS
        for width in widths
        for lr in rates
    ]


def run_transfer(
    text: TokenRows,
    jobs: Sequence[TransferJob],
    folder: Path,
    *,
    training: TrainingSettings,
    family: NetworkFamily | None = None,
    on_result: Callable[[str, TrainingRun], None] = lambda *_: None,
    on_progress: ProgressCallback = lambda *_: None,
) -> list[TrainingRun]:
    """Results of all jobs, those that the folder holds from there; see `run_results`.

    Args:
        text: To train and to measure on.
        jobs: What is asked for.
        folder: Folder of the results.
        training: How every network is trained.
        family: What networks are trained, with the vocabulary of the text; None for GLU
            transformers of two layers.
        on_result: Called with the label and the result of each job that is done now.
        on_progress: Called with the share of this run that is done, and what is done now.
    """
    settings = run_settings(text, training, family)
    if family is None:
        family = glu_family(vocabulary=text.vocabulary, tokens=training.tokens)
    units = [
        ResultUnit(
            keys=((kind, width, lr, seed),),
            label=f"{KIND_NAMES[kind]}, width {width}, learning rate {lr:.4g}, seed {seed}",
            work=(kind, width, lr, seed),
            cost=width**2,
            settings={**settings, "widthwise": __version__},
        )
        for kind, width, lr, seed in jobs
    ]

    def train(unit: ResultUnit, report: ProgressCallback) -> TrainingRun:
        return train_small(
            text,
            family,
            unit.work,
            training,
            on_step=lambda step: report(step / training.steps, unit.label),
        )

    return run_results(folder, FORMAT, units, train, on_result=on_result, on_progress=on_progress)


def run_settings(
    text: TokenRows, training: TrainingSettings, family: NetworkFamily | None
) -> dict[str, Any]:
    """What all runs of a folder share, as its lines have it."""
    settings = {**asdict(training), "text": text.fingerprint, "vocabulary": text.vocabulary}
    usual = TrainingSettings()
    for name in ("optimizer", "depths"):
        if getattr(training, name) == getattr(usual, name):
            del settings[name]  # as older files have it
    return settings if family is None else settings | _stated(family, training.base)


def networks(settings: Mapping[str, Any]) -> str:
    """What was trained, by the settings of a run; without a model it is the project's own."""
    if "model" not in settings and "depths" not in settings:
        return "GLU transformers of two layers"
    layers = [n for _, n in settings.get("depths", ())] or [settings.get("layers", 2)]
    kind = f"{settings['model']} networks" if "model" in settings else "GLU transformers"
    return f"small {kind} of {', '.join(map(str, layers))} layers"


def _stated(family: NetworkFamily, base: int) -> dict[str, Any]:
    """Kind, depth, and a hash of the whole config at the base width."""
    config = family.at(base)
    text = json.dumps(config.to_dict(), sort_keys=True, default=str)
    return {
        "model": config.model_type,
        "layers": config.num_hidden_layers,
        "config": hashlib.sha256(text.encode()).hexdigest()[:16],
    }
