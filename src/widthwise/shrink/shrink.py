"""`Shrink`: a model made to fit, from the plan to the page, in stages that go on."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from ..errors import OutputError, RunError
from ..io import move_into_place
from ..runs import ProgressCallback, RunStore
from .page import write_page, write_readme
from .plan import ShrinkPlan, plan_shrink
from .result import ShrinkResult
from .search import TRIES, WidthSearch, search_of, trial_place
from .settings import ShrinkSettings
from .stages import CUT, FORMAT, MODEL, SPEED, FinishedStage, Stage
from .steps import Steps


class Shrink:
    """Cuts a model to what is asked, heals it, and says what it lost.

    Args:
        folder: Where everything goes; one that holds a part of this shrink is continued.
        settings: What is asked.
        command: Command line to quote in the model card.
        on_told: Called with each sentence on what a stage did.
        on_progress: Called with the share of a stage that is done (0 to 1), and what is done now.

    Raises: as the stages, whose messages say why.
    """

    def __init__(
        self,
        folder: str | Path,
        settings: ShrinkSettings,
        *,
        command: str | None = None,
        on_told: Callable[[str], None] = lambda _: None,
        on_progress: ProgressCallback = lambda *_: None,
    ) -> None:
        self.path, self.settings = Path(folder), settings
        self.store: RunStore[FinishedStage] = RunStore(folder, FORMAT)
        self._command, self._on_told, self._on_progress = command, on_told, on_progress

    @cached_property
    def plan(self) -> ShrinkPlan:
        """What will be done; nothing is loaded or written for it.

        Raises:
            RunError: The folder holds something else, or was begun with other settings.
            TargetError: No width does what is asked.
        """
        self.store.folder.check_begun()
        self._agreed()
        if not self.is_done:
            self.settings.check()
        return plan_shrink(self.settings)

    @property
    def is_done(self) -> bool:
        """Whether every stage is done, so that a run only reads what is there."""
        self.store.load()
        return "after" in self.store.records

    def run(self) -> ShrinkResult:
        """Do the stages that are not done, write the pages, and return what came out."""
        self.plan  # noqa: B018  what is wrong is said before a folder is made
        folder = self.store.folder
        with folder.held():
            self._check_kept()
            if not self.is_done:
                folder.write_settings(self._agreed())
            for name, do in self._stages():
                if name not in self.store.records:
                    start = time.monotonic()
                    reason = do()
                    seconds = time.monotonic() - start
                    self.store.add([FinishedStage(name=name, seconds=seconds, reason=reason)])
                for sentence in self._result.said_of(name):
                    self._on_told(sentence)
            result = self._result
            write_readme(result, self.path / "README.md")
            write_page(result, self.path / "report.html")
        return result

    def _agreed(self) -> dict[str, Any]:
        """The settings, which must be the folder's; until it is healed, minutes may be others."""
        self.store.load()
        choosing = () if "heal" in self.store.records else ("minutes",)
        stored = self.settings.stored
        return self.store.folder.agree(stored, choosing=choosing, later=("per_layer",))

    def _check_kept(self) -> None:
        """Refuse a folder from which somebody has taken what a stage had made."""
        made = {"model": self.path / MODEL, "gguf": self.path / f"{MODEL}.gguf"}
        for name, path in made.items():
            if name in self.store.records and not path.exists():
                raise RunError(
                    f"{path} is gone, which this shrink had made: name another folder with -o, "
                    f"or remove {self.path} to begin anew"
                )

    @property
    def _result(self) -> ShrinkResult:
        search = self._search
        return ShrinkResult(
            plan=self.plan.at(search.found.spec) if search and search.found else self.plan,
            settings=self.settings,
            folder=self.path,
            stages=self.store.records,
            search=search,
        )

    @property
    def _search(self) -> WidthSearch | None:
        """The search for a width; None where shapes tell it."""
        if not self.plan.goal.is_tried:
            return None
        return search_of(self.plan.goal)(
            plan=self.plan, settings=self.settings, folder=self.path, done=self.store.records
        )

    @cached_property
    def _steps(self) -> Steps:
        return Steps(
            path=self.path,
            settings=self.settings,
            source=self.plan.source,
            command=self._command,
            on_progress=self._on_progress,
        )

    def _stages(self) -> Iterator[Stage]:
        """The stages in their order; one is only given when those before it are done."""
        steps, gguf = self._steps, self.settings.gguf is not None
        yield "before", steps.ask_before
        if search := self._search:
            yield from search.stages(steps)
        yield "cut", self._cut
        if gguf:  # what cannot be written is known before the healing
            yield "trial", partial(self._export, CUT)
            yield "speed", partial(steps.time_files, SPEED)
        else:
            models = (self.settings.model, str(self.path / CUT))
            yield "speed", partial(steps.time_models, SPEED, models)
        yield "heal", lambda: steps.heal(CUT, self.healing_minutes)
        yield "model", self._place
        if gguf:
            yield "gguf", partial(self._export, MODEL)
        yield "after", steps.ask_after

    def _cut(self) -> None:
        """Make the cut; that of a search is there, so it is only given its place."""
        out, search = self.path / CUT, self._search
        found = search and search.found
        tried = found and self.path / trial_place(found.spec)
        if tried and tried.exists() and not out.exists():
            _move(tried, out)
        shutil.rmtree(self.path / TRIES, ignore_errors=True)
        self._steps.cut(found.spec if found else self.plan.spec, CUT, "cut")

    @property
    def healing_minutes(self) -> float:
        """What the other stages leave; those that come after take about as long as their like."""
        twice = ("before", "trial")
        done = self.store.records.items()
        spent = [stage.seconds * (1 + (name in twice)) for name, stage in done]
        return self.settings.minutes - sum(spent) / 60

    def _place(self) -> None:
        """The cut becomes the result where it was not healed."""
        if not (self.path / MODEL).exists():
            _move(self.path / CUT, self.path / MODEL)

    def _export(self, place: str) -> None:
        sizes = self._result.plan.sizes
        self._steps.export(place, f"{Path(sizes.parent).name}-{sizes.expansion_ratio:.2f}x")


def _move(folder: Path, out: Path) -> None:
    try:
        move_into_place(folder, out)
    except OSError as error:
        raise OutputError(f"{out} was not written: {error}") from error
