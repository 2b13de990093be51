"""Trials: networks trained and judged, one JSON line each, appended and never rewritten."""

from __future__ import annotations

import hashlib
import json
import platform
import sys
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

from ... import __version__
from ...errors import RunError, WidthwiseError
from ...io import append_lines, read_whole_lines
from ...runs import (
    Event,
    Executor,
    Failed,
    Finished,
    Job,
    Processes,
    ProgressCallback,
    WorkerFactory,
    locked_folder,
    reconcile_settings,
    write_settings,
)

TRIALS = "trials.jsonl"
_KEY_DIGITS = 20


@dataclass(frozen=True, kw_only=True)
class Metric:
    """One number that a trial gave.

    Attributes:
        value: The number, or None with a `reason`.
        unit: `"accuracy"`, `"nats"`, `"count"`, `"sec"` ...
        standard_error: Of `value`, same unit; None where it is unknown or there is none.
        n: Items or repeats behind `value`.
        floor: What a trivial answerer gets on the same items; None where there is none.
        reason: Why `value` is missing; None when it is there.
        items: Value of each item, in an order that all trials of the same settings share.
    """

    value: float | None
    unit: str
    standard_error: float | None = None
    n: int = 1
    floor: float | None = None
    reason: str | None = None
    items: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if (self.value is None) != (self.reason is not None):
            raise RunError("a quantity is missing exactly when a reason is given")

    @classmethod
    def share(cls, right: Sequence[int], floor: float) -> Metric:
        """Share of items that are right, each 0 or 1, with the error of that mean.

        >>> found = Metric.share([1, 0, 1, 1], floor=0.5)
        >>> found.value, round(found.standard_error, 3), found.n
        (0.75, 0.25, 4)
        """
        from ...stats import mean_with_error

        mean = mean_with_error(right)
        return cls(
            value=mean.value,
            unit="accuracy",
            standard_error=mean.standard_error,
            n=mean.n,
            floor=floor,
            items=tuple(right),
        )


@dataclass(frozen=True, kw_only=True)
class TrialJob:
    """A network to be trained and judged.

    Attributes:
        experiment: Name of the kind of trial; tells the trainer what to do.
        network: What the network is, as plain JSON.
        settings: What else fixes its numbers (data, recipe), as plain JSON.
        seed: Of all that is drawn.
        label: What people are told is being done; no part of the key.
    """

    experiment: str
    network: Mapping[str, Any]
    settings: Mapping[str, Any]
    seed: int
    label: str = ""

    @property
    def key(self) -> str:
        """Content address of everything but the label.

        Raises:
            RunError: Something in it is not plain, finite JSON.

        >>> job = TrialJob(experiment="toy", network={"width": 8}, settings={}, seed=0)
        >>> job.key == TrialJob(experiment="toy", network={"width": 8}, settings={}, seed=1).key
        False
        """
        parts = [self.experiment, dict(self.network), dict(self.settings), self.seed]
        try:
            text = json.dumps(parts, sort_keys=True, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise RunError(f"a trial of {self.experiment} is not plain JSON: {error}") from error
        return hashlib.sha256(text.encode()).hexdigest()[:_KEY_DIGITS]


@dataclass(frozen=True, kw_only=True)
class SearchTrial:
    """One network, trained and judged.

    Attributes:
        key: That of its `TrialJob`; trials of the same key are the same work.
        experiment: As in `TrialJob`.
        network: As in `TrialJob`.
        settings: As in `TrialJob`.
        seed: As in `TrialJob`.
        quantities: What it gave, by name; none of a failed one.
        reason: Why it failed; None if it did not.
        again: Whether a further run tries a failed one again: its worker died, or something broke
            that is no known outcome. A loss that is not finite would be so again.
        duration_sec: Time that it took.
        versions: Of what made it.
    """

    key: str
    experiment: str
    network: Mapping[str, Any]
    settings: Mapping[str, Any]
    seed: int
    quantities: Mapping[str, Metric]
    reason: str | None = None
    again: bool = False
    duration_sec: float
    versions: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if bool(self.quantities) == (self.reason is not None) or (self.again and not self.reason):
            raise RunError(f"trial {self.key} must have quantities, or else a reason for none")

    def value(self, name: str) -> float | None:
        """The value of a quantity; None if it is missing or the trial failed."""
        found = self.quantities.get(name)
        return None if found is None else found.value

    def to_json(self) -> str:
        """One line of JSON; NaN and Infinity are refused."""
        try:
            return json.dumps(asdict(self), allow_nan=False)
        except (TypeError, ValueError) as error:
            raise RunError(f"trial {self.key} is not plain, finite JSON: {error}") from error

    @classmethod
    def from_json(cls, line: str) -> SearchTrial:
        """Inverse of `to_json`; unknown or missing fields, or a key of other work, are an error."""
        try:
            data = json.loads(line, parse_constant=_refuse)
        except (ValueError, RecursionError) as error:
            raise RunError(f"a trial is not JSON: {error}") from error
        _check(data, cls, "trial", _TRIAL_KINDS)
        quantities = {}
        for name, found in data["quantities"].items():
            _check(found, Metric, f"quantity {name}", _QUANTITY_KINDS)
            quantities[name] = Metric(**{**found, "items": tuple(found["items"])})
        work = {name: data[name] for name in ("experiment", "network", "settings", "seed")}
        if (key := TrialJob(**work).key) != data["key"]:
            raise RunError(f"a trial has the key {data['key'][:40]}, but what it tells has {key}")
        return cls(**{**data, "quantities": quantities})


_MAYBE_NUMBER = (int, float, type(None))
_TRIAL_KINDS: dict[str, Any] = {
    **dict.fromkeys(("key", "experiment"), str),
    **dict.fromkeys(("network", "settings", "quantities", "versions"), dict),
    "seed": int,
    "reason": (str, type(None)),
    "again": bool,
    "duration_sec": (int, float),
}
_QUANTITY_KINDS: dict[str, Any] = {
    **dict.fromkeys(("value", "standard_error", "floor"), _MAYBE_NUMBER),
    "unit": str,
    "n": int,
    "reason": (str, type(None)),
    "items": list,
}


def _check(data: Any, kind: type, name: str, kinds: Mapping[str, Any]) -> None:
    """Raise RunError unless the data are the fields of a dataclass, of these types."""
    known = {f.name for f in fields(kind)}
    if not isinstance(data, dict) or set(data) != known:
        odd = sorted(set(data) ^ known) if isinstance(data, dict) else type(data).__name__
        raise RunError(f"a {name} has unknown or missing fields: {odd}")
    for key, wanted in kinds.items():
        value = data[key]
        if not isinstance(value, wanted) or (isinstance(value, bool) and wanted is not bool):
            raise RunError(f"a {name} has {key} {str(value)[:40]}")
        if isinstance(value, int | float) and abs(value) > sys.float_info.max:
            raise RunError(f"a {name} has a {key} that is out of range")


def _refuse(name: str) -> None:
    raise ValueError(f"{name} is no number")


def append_trials(path: Path, trials: Iterable[SearchTrial]) -> None:
    """Append trials to a JSON-lines file and force them to disk; a torn last line goes first.

    Raises:
        OutputError: The file cannot be written; what it held is still there.
    """
    append_lines(path, [trial.to_json() for trial in trials])


def load_trials(path: str | Path) -> list[SearchTrial]:
    """Read the whole trials of a file, or of the folder that holds it; an absent file holds none.

    A trial that was done again is returned once: the last one, in the place of the first.

    Raises:
        RunError: A line that is whole is no trial, with its number.
    """
    path = Path(path)
    path = path / TRIALS if path.is_dir() else path
    trials: dict[str, SearchTrial] = {}
    for number, line in enumerate(read_whole_lines(path), 1):
        try:
            trial = SearchTrial.from_json(line)
        except RunError as error:
            raise RunError(f"{path}:{number}: {error}") from error
        trials[trial.key] = trial
    return list(trials.values())


Train: TypeAlias = Callable[[TrialJob, ProgressCallback], Mapping[str, Metric]]
MakeTrain: TypeAlias = Callable[[str], Train]
"""Makes what does trials on a device; can be pickled, and is called where the worker lives. A
`WidthwiseError` that it raises for a trial is that trial's outcome, with its reason."""


class TrialWorker:
    """Does trials, and keeps between them what `make` has made.

    Args:
        make: Makes what does them.
        device: Of the worker.
    """

    def __init__(self, make: MakeTrain, device: str) -> None:
        self._train = make(device)

    def do(self, work: TrialJob, on_share: ProgressCallback) -> SearchTrial:
        """Do one; a known error is a failed trial."""
        on_share(0.0, work.label)
        begun = time.monotonic()
        try:
            quantities, reason = dict(self._train(work, on_share)), None
        except WidthwiseError as error:
            quantities, reason = {}, str(error)
        return _trial(work, quantities, reason, duration_sec=time.monotonic() - begun)


def _trial(
    job: TrialJob,
    quantities: Mapping[str, Metric],
    reason: str | None,
    *,
    again: bool = False,
    duration_sec: float = 0.0,
) -> SearchTrial:
    return SearchTrial(
        key=job.key,
        experiment=job.experiment,
        network=_roundtrip(job.network),
        settings=_roundtrip(job.settings),
        seed=job.seed,
        quantities=quantities,
        reason=reason,
        again=again,
        duration_sec=duration_sec,
        versions=_versions(),
    )


def _roundtrip(told: Mapping[str, Any]) -> dict[str, Any]:
    """As it is read from a file: lists for tuples."""
    found: dict[str, Any] = json.loads(json.dumps(told))
    return found


def _versions() -> dict[str, str]:
    found = {"widthwise": __version__, "python": platform.python_version()}
    torch = sys.modules.get("torch")  # a trial may be one of another library
    return {**found, "torch": str(torch.__version__)} if torch else found


def run_trials(
    folder: str | Path,
    jobs: Sequence[TrialJob],
    *,
    make: MakeTrain,
    settings: Mapping[str, Any] | None = None,
    choosing: Collection[str] = (),
    what: str = "study",
    engine: Callable[[WorkerFactory], Executor] | None = None,
    on_trial: Callable[[SearchTrial], None] = lambda _: None,
    on_event: Callable[[Event], None] = lambda _: None,
) -> list[SearchTrial]:
    """Do the trials that a folder does not hold yet, and return all that were asked for.

    Each is on disk before it is told. One that fails is a trial with its reason, and the others go
    on; a run that was killed is gone on with by the same call. Several calls may add to one folder.

    Args:
        folder: Where trials are kept; made if it is new.
        jobs: What is asked for; the same one twice is done once.
        make: Makes what does a trial.
        settings: Those that the folder is begun with, and that each further call must share.
        choosing: Names of settings that only choose trials, and may differ.
        what: All of it is called, in errors.
        engine: Makes the engine; None for one worker on this machine's first device.
        on_trial: Called with each trial that this call adds.
        on_event: Called with each event of the engine, after its trial is stored.

    Returns:
        In the order of `jobs`, failed ones with their reasons.

    Raises:
        RunError: The folder holds something else, or was begun with other settings.
        OutputError: It cannot be written, or is in use.
    """
    folder, wanted = Path(folder), {job.key: job for job in jobs}
    with locked_folder(folder, what=what):
        asked = {"widthwise": __version__, "trials": True, **(settings or {})}
        write_settings(folder, reconcile_settings(folder, asked, choosing=choosing, what=what))
        known = {trial.key: trial for trial in load_trials(folder)}
        missing = [job for key, job in wanted.items() if key not in known or known[key].again]

        def keep(trial: SearchTrial) -> None:
            append_trials(folder / TRIALS, [trial])
            known[trial.key] = trial
            on_trial(trial)

        if missing:
            with (engine or _local)(partial(TrialWorker, make)) as workers:
                _work(workers, missing, keep, on_event)
        return [known[key] for key in map(_key_of, jobs)]


def _key_of(job: TrialJob) -> str:
    return job.key


def _local(make: WorkerFactory) -> Executor:
    import torch

    return Processes(make, ["cuda:0" if torch.cuda.is_available() else "cpu"])


def _work(
    engine: Executor,
    missing: Sequence[TrialJob],
    keep: Callable[[SearchTrial], None],
    on_event: Callable[[Event], None],
) -> None:
    """Have the engine do all of them; what comes back is on disk before it is told."""
    work = {job.key: job for job in missing}
    for event in engine.run([Job(key=k, label=job.label, work=job) for k, job in work.items()]):
        if isinstance(event, Finished):
            keep(event.result)
        elif isinstance(event, Failed):
            keep(_trial(work[event.job.key], {}, event.reason, again=True))
        on_event(event)
