"""Widths that are tried, because no shape tells which of them does what is asked."""

from __future__ import annotations

import shutil
from abc import ABC, abstractmethod
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from ..errors import RunError, TargetError
from ..findings import task_pairs
from ..prune import PruneSpec, planned_width
from ..stats import percent
from ..study import Record, read_study
from .goal import Goal
from .loss import Loss, loss_of
from .plan import ShrinkPlan
from .settings import ShrinkSettings
from .speed import WHOLE, SpeedRatio, speed_ratios
from .stages import (
    DENSE_FILE,
    ITEMS_BEFORE,
    FinishedStage,
    Stage,
    evaluation_place,
    share_of,
    trial_file,
)
from .steps import Steps

TRIES = "tries"
_SPEEDS = ("speeds", "speeds-between")


@dataclass(frozen=True, kw_only=True)
class Trial:
    """A width that was tried.

    Attributes:
        spec: The cut.
        removed: Share of the neurons that it removes.
        found: What was measured of it.
        is_enough: Whether it is shown to do what is asked.
    """

    spec: PruneSpec
    removed: float
    found: Loss | SpeedRatio
    is_enough: bool

    def __str__(self) -> str:
        return f"With {percent(self.removed)} of the neurons removed: {self.found}"


@dataclass(frozen=True, kw_only=True)
class WidthSearch(ABC):
    """The widths of a plan, tried until it is known which one does what is asked.

    Attributes:
        plan: The plan, with the widths that may do it.
        settings: What is asked.
        folder: Folder of the shrink, from which everything is read that was measured.
        done: Stages that are done, by their names.
    """

    plan: ShrinkPlan
    settings: ShrinkSettings
    folder: Path
    done: Mapping[Hashable, FinishedStage]

    @abstractmethod
    def stages(self, steps: Steps) -> Iterator[Stage]:
        """The stages of the search; one is given only when all before it are done.

        Raises:
            TargetError: No width does what is asked, which is known after the last of them.
            RunError: What decides could not be measured.
        """

    @property
    @abstractmethod
    def trials(self) -> tuple[Trial, ...]:
        """The widths that were tried, the mildest cut first."""

    @property
    @abstractmethod
    def found(self) -> Trial | None:
        """The one that was found; None as long as none was."""

    @property
    def end_words(self) -> str:
        """Why the search ended before the last width, where it was not for what it measured."""
        return ""

    def trial_of(self, stage: str) -> Trial | None:
        """The width that a stage tried; None of other stages."""
        return next((trial for trial in self.trials if _name(trial.spec) == stage), None)

    def _trial(self, spec: PruneSpec, found: Loss | SpeedRatio, *, is_enough: bool) -> Trial:
        source = self.plan.source
        sizes = planned_width(source.name, source.checkpoint.architecture, spec)
        return Trial(spec=spec, removed=sizes.removed, found=found, is_enough=is_enough)


class LossSearch(WidthSearch):
    """The narrowest width whose loss is shown to be allowed.

    Widths are judged from the mildest cut on, and one only where all before it are shown to lose no
    more than that. By this order the error rate of all the judgements together is that of one of
    them, if a narrower cut loses no less.
    """

    def stages(self, steps: Steps) -> Iterator[Stage]:
        for spec in self.plan.specs:
            yield _name(spec), partial(self._try, steps, spec)
            if not self.trials[-1].is_enough or self._is_late(spec):
                break
        if self.found is None:
            (trial,) = self.trials
            raise TargetError(
                f"{self.plan.goal} is not shown to be kept by any width that was tried. "
                f"{trial}; allow more, or ask for more with --limit and --task"
            )

    def _try(self, steps: Steps, spec: PruneSpec) -> None:
        """Cut to a width and ask what it lost; of others the best is kept alone."""
        best = self.found
        kept = {share_of(spec), *([share_of(best.spec)] if best else [])}
        tries = self.folder / TRIES
        for path in tries.glob("[0-9]*"):
            if path.name not in kept:
                shutil.rmtree(path)
        share, place = share_of(spec), trial_place(spec)
        steps.cut(spec, place, f"try {share} %")
        steps.ask_trial(place, share)

    def _loss(self, spec: PruneSpec) -> Loss:
        places = (evaluation_place(share_of(spec)), ITEMS_BEFORE)
        own, before = (read_study(self.folder / place).records for place in places)
        return loss_of(task_pairs(own, before), float(self.plan.goal.amount))

    def _is_late(self, spec: PruneSpec) -> bool:
        """Whether the minutes allow no further width, and asking once more, after this one."""
        names = [_name(each) for each in self.plan.specs[: self.plan.specs.index(spec) + 1]]
        spent = sum(self.done[name].seconds for name in ("before", *names))
        further = self.done["before"].seconds + self.done[names[-1]].seconds
        return spent + further > 60 * self.settings.minutes

    @property
    def trials(self) -> tuple[Trial, ...]:
        tried = [spec for spec in self.plan.specs if _name(spec) in self.done]
        losses = [(spec, self._loss(spec)) for spec in tried]
        return tuple(self._trial(spec, loss, is_enough=loss.is_within) for spec, loss in losses)

    @property
    def found(self) -> Trial | None:
        return next((trial for trial in reversed(self.trials) if trial.is_enough), None)

    @property
    def end_words(self) -> str:
        *_, last = self.trials
        if not last.is_enough or last.spec == self.plan.specs[-1]:
            return ""
        return (
            f"The {self.settings.minutes:g} minutes allowed no narrower width to be tried, which "
            "may do as well: give more --minutes, and another folder."
        )


class SpeedSearch(WidthSearch):
    """The widest width that is shown to be as fast as asked.

    Every second width is timed in turn with the model, and then the one above what was found.
    """

    def stages(self, steps: Steps) -> Iterator[Stage]:
        specs = self.plan.specs
        coarse = specs[1::2] or specs
        yield from self._timed(steps, _SPEEDS[0], coarse)
        if self.found is None:
            *_, last = self.trials
            raise TargetError(f"{self.plan.goal} is not shown of any width. {last}; ask for less")
        above = specs.index(self.found.spec) - 1
        if above >= 0 and specs[above] not in coarse:
            yield from self._timed(steps, _SPEEDS[1], [specs[above]])

    def _timed(self, steps: Steps, place: str, specs: Sequence[PruneSpec]) -> Iterator[Stage]:
        time = steps.time_widths if self.settings.gguf is None else steps.time_files
        yield place, partial(time, place, specs)
        reason = self.done[place].reason
        if reason is None and not self.trials:
            records = read_study(self.folder / place).records
            reason = next(record.reason for record in records if record.reason)
        if reason is not None:
            raise RunError(f"speed was not measured: {reason}")

    @property
    def trials(self) -> tuple[Trial, ...]:
        places = [self.folder / place for place in _SPEEDS if place in self.done]
        speeds = {}
        for place in places:
            records = read_study(place).records
            dense = self._records_of(None, records)
            for spec in self.plan.specs:
                for speed in speed_ratios(dense, self._records_of(spec, records)):
                    if speed.metric == WHOLE:
                        speeds[spec] = speed
        times = float(self.plan.goal.amount)
        return tuple(
            self._trial(spec, speeds[spec], is_enough=speeds[spec].is_shown(times))
            for spec in self.plan.specs
            if spec in speeds
        )

    def _records_of(self, spec: PruneSpec | None, records: Iterable[Record]) -> list[Record]:
        """What was measured of a cut; of the model where there is none."""
        if self.settings.gguf is not None:
            file = DENSE_FILE if spec is None else trial_file(share_of(spec))
            return [record for record in records if record.model == file]
        asked = "dense" if spec is None else spec.target.text
        return [record for record in records if record.asked == asked]

    @property
    def found(self) -> Trial | None:
        return next((trial for trial in self.trials if trial.is_enough), None)


def search_of(goal: Goal) -> type[WidthSearch]:
    """The search for a goal that widths are tried for."""
    return LossSearch if goal.kind == "max_loss" else SpeedSearch


def trial_place(spec: PruneSpec) -> str:
    """Where the checkpoint of a width that was tried is."""
    return f"{TRIES}/{share_of(spec)}"


def _name(spec: PruneSpec) -> str:
    return f"try {spec.target.text}"
