"""The folder of `widthwise tinynet search` read back, finished or not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ...errors import RunError
from ...io import from_plain
from ...runs import SETTINGS, read_settings
from ...tinynet import family_named
from .train import DRAWN, FORMULA, INVERSE, TEST, VALIDATION, scale_of
from .trials import SearchTrial, load_trials

_TRAINED = (DRAWN, FORMULA, INVERSE)


@dataclass(frozen=True, kw_only=True)
class StoredSearch:
    """What a search has trained so far.

    Attributes:
        trials: Of the networks that are trained, failed ones too; of the formula's and of inverse
            scaling's the last one of each budget, as a search that is gone on with fits it anew.
        classes: Of the photos, by the counts of the networks.
        settings: That the search was last called with; none where its file is gone.
    """

    trials: tuple[SearchTrial, ...]
    classes: int
    settings: Mapping[str, Any]

    @property
    def is_chance(self) -> bool | None:
        """Whether networks were drawn by chance alone; None where the settings are gone."""
        if not self.settings:
            return None
        return self.settings.get("sampler") == "random" and self.settings.get("sieve") is None


@dataclass(frozen=True, kw_only=True)
class _Network:
    family: str
    resolution: float
    depth: float
    width: float
    pixels: int
    macs: int
    parameters: int
    asked_macs: float


def load_search(path: Path) -> StoredSearch:
    """Read a file of trials, and the settings beside it.

    Raises:
        RunError: It holds no network yet, or what no search can have written.
        TargetError: Its networks are of no known family.
    """
    trials = [trial for trial in load_trials(path) if trial.experiment in _TRAINED]
    if not any(trial.experiment == DRAWN for trial in trials):
        raise RunError(f"{path} holds no network yet: run widthwise tinynet search first")
    for trial in trials:
        try:
            network: _Network = from_plain(_Network, dict(trial.network), "a network")
            if min(network.macs, network.asked_macs, network.pixels, network.parameters) <= 0:
                raise ValueError("a size of a network must be above 0")
            _check_answers(trial)
        except (TypeError, ValueError) as error:
            raise RunError(f"{path}: trial {trial.key} is none of a search ({error})") from error
    return StoredSearch(
        trials=tuple(_last_proposed(trials)),
        classes=_classes(path, from_plain(_Network, dict(trials[0].network))),
        settings=_settings(path.parent / SETTINGS),
    )


def _check_answers(trial: SearchTrial) -> None:
    for name in (VALIDATION, TEST):
        metric = trial.quantities.get(name)
        if trial.reason is None and metric is None:
            raise ValueError(f"it has no {name}")
        if metric is not None and metric.value is not None and len(metric.items) != metric.n:
            raise ValueError(f"its {name} has {len(metric.items)} answers of {metric.n}")


def _last_proposed(trials: Sequence[SearchTrial]) -> list[SearchTrial]:
    last = {
        (trial.experiment, trial.network["asked_macs"]): scale_of(trial.network) for trial in trials
    }
    return [
        trial
        for trial in trials
        if trial.experiment == DRAWN
        or last[trial.experiment, trial.network["asked_macs"]] == scale_of(trial.network)
    ]


def _classes(path: Path, network: _Network) -> int:
    """Of the photos: each one more is as many parameters more."""
    family, scale = family_named(network.family), scale_of(asdict(network))
    one, two = (family.counts(scale, classes=n).parameters for n in (1, 2))
    more, rest = divmod(network.parameters - one, max(1, two - one))
    if rest or more < 0:
        raise RunError(
            f"{path}: networks of {family.name} do not have these counts in this version"
        )
    return 1 + more


def _settings(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {}
    try:
        return read_settings(path)
    except (OSError, ValueError, TypeError, RecursionError) as error:
        raise RunError(f"{path}: not the settings of a search ({type(error).__name__})") from error
