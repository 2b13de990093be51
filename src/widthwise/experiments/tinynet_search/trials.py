"""Trials: networks trained and judged, one JSON line each, appended and never rewritten."""

from __future__ import annotations

import hashlib
import json
import platform
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from operator import attrgetter
from pathlib import Path
from typing import Any

from ... import __version__
from ...errors import RunError, WidthwiseError
from ...io import from_json
from ...runs import (
    TRIALS,
    Event,
    Executor,
    ProgressCallback,
    RecordFormat,
    Run,
    RunStore,
    WorkerFactory,
    WorkUnit,
)
from ...stats import mean_with_error

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
    quantities: Mapping[str, Metric] = field(metadata={"name": "quantity"})
    reason: str | None = None
    again: bool = False
    duration_sec: float
    versions: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if bool(self.quantities) == (self.reason is not None) or (self.again and not self.reason):
            raise RunError(f"trial {self.key} must have quantities, or else a reason for none")

    def value(self, name: str) -> float | None:
        """The value of a quantity; None if it is missing or the trial failed."""
        metric = self.quantities.get(name)
        return None if metric is None else metric.value

    def to_json(self) -> str:
        """One line of JSON; NaN and Infinity are refused."""
        try:
            return json.dumps(asdict(self), allow_nan=False)
        except (TypeError, ValueError) as error:
            raise RunError(f"trial {self.key} is not plain, finite JSON: {error}") from error

    @classmethod
    def from_json(cls, line: str) -> SearchTrial:
        """Inverse of `to_json`; unknown or missing fields, or a key of other work, are an error."""
        trial: SearchTrial = from_json(cls, line, "trial")
        job = TrialJob(
            experiment=trial.experiment,
            network=trial.network,
            settings=trial.settings,
            seed=trial.seed,
        )
        if job.key != trial.key:
            raise RunError(f"a trial has the key {trial.key[:40]}, but its content has {job.key}")
        return trial


FORMAT = RecordFormat(
    file=TRIALS,
    what="search",
    key=attrgetter("key"),
    to_json=SearchTrial.to_json,
    from_json=SearchTrial.from_json,
    is_failed=attrgetter("again"),
)


def load_trials(path: str | Path) -> list[SearchTrial]:
    """Read the whole trials of a file, or of the folder that holds it; an absent file holds none.

    A trial that was done again is returned once: the last one, in the place of the first.

    Raises:
        RunError: A line that is whole is no trial, with its number.
    """
    path = Path(path)
    path = path / TRIALS if path.is_dir() else path
    return list(FORMAT.load(path).values())


class TrialWorker(ABC):
    """Does trials."""

    @abstractmethod
    def train(self, job: TrialJob, on_share: ProgressCallback) -> dict[str, Metric]:
        """What a trial gives; a `WidthwiseError` is its outcome, with the reason."""

    def do(self, work: TrialJob, on_share: ProgressCallback) -> SearchTrial:
        """Do one; a known error is a failed trial."""
        on_share(0.0, work.label)
        begun = time.monotonic()
        try:
            quantities, reason = self.train(work, on_share), None
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
        network=as_read(job.network),
        settings=as_read(job.settings),
        seed=job.seed,
        quantities=quantities,
        reason=reason,
        again=again,
        duration_sec=duration_sec,
        versions=_versions(),
    )


def as_read(content: Mapping[str, Any]) -> dict[str, Any]:
    """As it is read from a file: lists for tuples."""
    plain: dict[str, Any] = json.loads(json.dumps(content))
    return plain


def _versions() -> dict[str, str]:
    versions = {"widthwise": __version__, "python": platform.python_version()}
    torch = sys.modules.get("torch")  # a trial may be one of another library
    return {**versions, "torch": str(torch.__version__)} if torch else versions


def run_trials(
    store: RunStore[SearchTrial],
    jobs: Sequence[TrialJob],
    *,
    make: WorkerFactory,
    engine: Callable[[WorkerFactory], Executor],
    settings: Mapping[str, Any],
    choosing: Collection[str] = (),
    on_event: Callable[[Event], None] = lambda _: None,
    retry_failed: bool = True,
) -> list[SearchTrial]:
    """Do the trials that a folder does not hold yet, and return all that were asked for.

    Each is on disk before it is told. One that fails is a trial with its reason, and the others go
    on; a run that was killed is gone on with by the same call. Several calls may add to one folder.

    Args:
        store: Where trials are kept; its folder is made if it is new.
        jobs: What is asked for; the same one twice is done once.
        make: Makes a `TrialWorker`.
        engine: Makes the engine.
        settings: Those that the folder is begun with, and that each further call must share.
        choosing: Names of settings that only choose trials, and may differ.
        on_event: Called with each event of the executor, after its trial is stored.
        retry_failed: Whether trials whose worker died or broke are done again.

    Returns:
        In the order of `jobs`, failed ones with their reasons.

    Raises:
        RunError: The folder holds something else, or was begun with other settings.
        OutputError: It cannot be written, or is in use.
    """
    with store.folder.held():
        asked = {"widthwise": __version__, "trials": True, **settings}
        store.folder.write_settings(store.folder.agree(asked, choosing=choosing))
        store.load()
        units = [
            WorkUnit(keys=(key,), label=job.label, work=job)
            for key, job in {job.key: job for job in jobs}.items()
        ]
        run = Run(units, store, retry_failed=retry_failed)

        def keep(unit: WorkUnit, trial: SearchTrial) -> None:
            store.add([trial])

        def give_up(unit: WorkUnit, reason: str) -> None:
            store.add([_trial(unit.work, {}, reason, again=True)])

        if run.to_do:
            with engine(make) as executor:
                run.do_by(executor, keep, give_up, on_event)
        return [store.records[job.key] for job in jobs]
