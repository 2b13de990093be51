"""A run: units of work, of which those that its store does not hold yet are done."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from .protocol import Event, Failed, Finished, Job, ProgressCallback
from .scheduler import Executor
from .store import RunStore


@dataclass(frozen=True, kw_only=True)
class WorkUnit:
    """What is done at a time: the work of one cell, or of several that belong together.

    Attributes:
        keys: Keys of the records that it gives.
        label: Name for people.
        work: What is to be done, as `Worker.do` takes it.
        cost: Expected time, in relation to that of other units.
        alone: Whether nothing else may run at the same time, as in timing.
    """

    keys: tuple[Hashable, ...]
    label: str
    work: Any
    cost: float = 1.0
    alone: bool = False


U = TypeVar("U", bound=WorkUnit)


class Run(Generic[U]):
    """Does what is missing; work that failed is tried again by the next run.

    Args:
        units: All work.
        store: Where records are kept; it has taken up those of earlier runs.
        retry_failed: Whether work that failed before counts as missing.

    Attributes:
        to_do: The units that were missing at the start.
    """

    def __init__(
        self, units: Iterable[U], store: RunStore[Any], *, retry_failed: bool = True
    ) -> None:
        self.units = tuple(units)
        self._store = store
        self._retry_failed = retry_failed
        self.to_do = self.missing
        self._total_cost = sum(unit.cost for unit in self.to_do)

    @property
    def missing(self) -> tuple[U, ...]:
        """The units that are not done now."""
        retry = self._retry_failed
        return tuple(u for u in self.units if not self._store.is_done(u.keys, retry_failed=retry))

    def share(self, shares: Mapping[str, float]) -> float:
        """Share of the work that is done, 0 to 1.

        Args:
            shares: Share of each unit that is done, by the key of its job.
        """
        done = sum(unit.cost * shares.get(_job_key(unit), 0.0) for unit in self.to_do)
        return min(1.0, done / self._total_cost) if self._total_cost else 1.0

    def do_here(
        self,
        do: Callable[[U, ProgressCallback], None],
        on_progress: ProgressCallback,
    ) -> None:
        """Do what is missing, one unit after the other, in this thread; an error ends it.

        Args:
            do: Does a unit and adds its records to the store.
            on_progress: Called with the share of the run that is done, and what is being done.
        """
        before = 0.0
        for unit in self.to_do:

            def report(share: float, label: str, before: float = before, unit: U = unit) -> None:
                on_progress(min(1.0, (before + share * unit.cost) / self._total_cost), label)

            report(0.0, unit.label)
            do(unit, report)
            before += unit.cost

    def do_by(
        self,
        executor: Executor,
        keep: Callable[[U, Any], None],
        give_up: Callable[[U, str], None],
        on_event: Callable[[Event], None] = lambda _: None,
    ) -> None:
        """Have an executor do what is missing; what comes back is on disk before it is reported.

        Args:
            executor: Its workers do the units.
            keep: Adds the records of a unit's result to the store.
            give_up: Adds the records of a unit that failed, with the reason.
            on_event: Called with each event.
        """
        units = {_job_key(unit): unit for unit in self.to_do}
        jobs = [
            Job(key=key, label=unit.label, work=unit.work, alone=unit.alone)
            for key, unit in units.items()
        ]
        for event in executor.run(jobs):
            if isinstance(event, Finished):
                keep(units[event.job.key], event.result)
            elif isinstance(event, Failed):
                give_up(units[event.job.key], event.reason)
            on_event(event)


def _job_key(unit: WorkUnit) -> str:
    return str(unit.keys[0])
