"""Scores of networks on the first items of tasks, and on more of them step by step."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

from ..errors import WidthwiseError
from ..evaluate import Task, TaskAnswer, chosen_items, drawn_order
from .item_parquet import read_items
from .records import Record
from .scorer import DRAWN, Scorer, ScoreResult
from .store import StudyStore
from .variant import Variant

_LEAST_PART = 0.2  # of a step: less of one is not worth its beginning


class GrowingScores:
    """Asks all networks the same items of tasks, a few at a time, and keeps every answer.

    Items come in an order that the seed of the study draws for each task. After a step every
    network has answered the same ones, and the records of the step, which take the place of those
    before it, are appended together.

    Args:
        scorer: Asks the tasks.
        networks: Dense first.
        store: Of the study; the answers in its folder are taken up.
    """

    def __init__(self, scorer: Scorer, networks: Sequence[Variant], store: StudyStore) -> None:
        self._scorer = scorer
        self._networks = tuple(networks)
        self._store = store
        self._orders = {
            name: drawn_order(task, scorer.settings.seed) for name, task in scorer.tasks.items()
        }
        self._answers: dict[tuple[Variant, str], list[TaskAnswer]] = {}
        self._failed: set[tuple[Variant, str]] = set()
        for name in scorer.tasks:
            self._take_up(name)

    def count(self, name: str) -> int:
        """Items of a task that every network has answered that can."""
        return max(len(self._answers.get((network, name), ())) for network in self._networks)

    def missing(self, counts: Mapping[str, int]) -> dict[str, int]:
        """Those of the counts that are more than was asked, and no more than there are."""
        most = {name: min(count, len(self._orders[name])) for name, count in counts.items()}
        return {name: count for name, count in most.items() if count > self.count(name)}

    def seconds(self, counts: Mapping[str, int]) -> float:
        """Time that it takes about to ask so many, by what was asked so far.

        A task that was not asked takes as long for a character as all others do.
        """
        spent = {name: sum(self._spent(n, name) for n in self._networks) for name in self._orders}
        read = {name: self.count(name) * self._length(name) for name in self._orders}
        pace = sum(spent.values()) / max(1.0, sum(read.values()))
        total = 0.0
        for name, count in counts.items():
            own = spent[name] / read[name] if read[name] else pace
            total += own * self._length(name) * (count - self.count(name))
        return total

    def fitting(self, counts: Mapping[str, int], seconds: float) -> dict[str, int] | None:
        """What is missing of the counts, or as much of it as can be asked in this time.

        Returns: The counts; none where nothing is missing; None where the time is too short.
        """
        missing = self.missing(counts)
        needed = self.seconds(missing)
        if not missing or needed <= seconds:
            return missing
        share = seconds / needed
        if share < _LEAST_PART:
            return None
        parts = {name: share * (count - self.count(name)) for name, count in missing.items()}
        return self.missing({name: self.count(name) + int(part) for name, part in parts.items()})

    def ask(self, counts: Mapping[str, int], report: Callable[[str], None]) -> None:
        """Ask every network the first items of tasks, as far as it has not answered them.

        A network that cannot answer gets a record with the reason, and is asked no more of that
        task before the study is opened again.

        Args:
            counts: Items of each task, by its name.
            report: Called with what is done now.
        """
        results = []
        for network in self._networks:
            for name, least in counts.items():
                count = max(least, self.count(name))
                report(f"{network.label}: {name}, {count} items")
                results += self._asked(network, self._scorer.tasks[name], count)
        self._store.keep(results)

    def _asked(self, network: Variant, task: Task, count: int) -> list[ScoreResult]:
        """The score of a network on so many items; none where it has been told."""
        known, order = self._answers.get((network, task.name), []), self._orders[task.name]
        if (network, task.name) in self._failed or len(known) >= count:
            return []
        start, spent = time.perf_counter(), self._spent(network, task.name)
        try:
            part = chosen_items(task, order[len(known) : count])
            given = {answer.id: answer for answer in self._scorer.answers(network, part)}
        except WidthwiseError as error:
            self._failed.add((network, task.name))
            self._answers.pop((network, task.name), None)
            return [self._scorer.missed(network, task, error)]
        ids = task.item_ids
        known = [*known, *(given[ids[number]] for number in order[len(known) : count])]
        self._answers[network, task.name] = known
        seconds = spent + time.perf_counter() - start
        return [self._scorer.scored(network, task, known, seconds=seconds, order=DRAWN)]

    def _length(self, name: str) -> float:
        """Characters that an item of a task has, with all its options."""
        task = self._scorer.tasks[name]
        return sum(map(len, task.texts)) / len(task.item_ids)

    def _record(self, network: Variant, name: str) -> Record | None:
        record = self._store.records.get(self._scorer.key(network, name))
        return None if record is None or record.value is None else record

    def _spent(self, network: Variant, name: str) -> float:
        record = self._record(network, name)
        return 0.0 if record is None else record.duration_sec

    def _take_up(self, name: str) -> None:
        """The answers in the folder: as many as all networks have that could answer."""
        found = {}
        for network in self._networks:
            if (record := self._record(network, name)) is not None:
                found[network] = read_items(self._store.path.parent, record)
        most = min(map(len, found.values()), default=0)
        for network, answers in found.items():
            self._answers[network, name] = answers[:most]
