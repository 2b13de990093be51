"""`Shrink`: a model made to fit, from the plan to the page, in stages that go on."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from ..cut.checkpoint import HEALING_FILE, ModelSource, resolve_model
from ..cut.gguf import export_gguf
from ..errors import OutputError, RunError
from ..io import DTYPE_BYTES, check_new_file, free_bytes, move_into_place
from ..prune import in_bytes, prune
from ..prune.healing import HealSettings, NotBetter, TrainingStep, heal
from ..runs import ProgressCallback, RunStore
from ..study import CostSettings, CostStudy, EvaluateSettings, Evaluation, read_study
from .page import write_page, write_readme
from .plan import ShrinkPlan, plan_shrink
from .result import CUT, ITEMS_AFTER, ITEMS_BEFORE, MODEL, SPEED, ShrinkResult
from .settings import ShrinkSettings
from .stages import FORMAT, FinishedStage

_WORKLOAD = "512x32"
_STATE_BYTES = 20  # of a parameter that is healed


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
        self.store.folder.agree(self.settings.stored)
        if not self.is_done:
            self.settings.check()
        return plan_shrink(self.settings)

    @property
    def is_done(self) -> bool:
        """Whether every stage is done, so that a run only reads what is there."""
        self.store.load()
        return all(name in self.store.records for name, _ in self._stages())

    def run(self) -> ShrinkResult:
        """Do the stages that are not done, write the pages, and return what came out."""
        self.plan  # noqa: B018  what is wrong is said before a folder is made
        folder = self.store.folder
        with folder.held():
            if not self.is_done:
                folder.write_settings(folder.agree(self.settings.stored))
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

    @property
    def _result(self) -> ShrinkResult:
        return ShrinkResult(
            plan=self.plan, settings=self.settings, folder=self.path, stages=self.store.records
        )

    def _stages(self) -> Iterator[tuple[str, Callable[[], str | None]]]:
        """Names, and what does each; that gives the reason why it did nothing, or None."""
        yield "before", self._ask_before
        yield "cut", self._cut
        if self.settings.gguf is not None:  # what cannot be written is known before the healing
            yield "trial", partial(self._export, CUT)
        yield "speed", self._time
        yield "heal", self._heal
        yield "model", self._place
        yield "after", self._ask_after
        if self.settings.gguf is not None:
            yield "gguf", partial(self._export, MODEL)

    def _ask_before(self) -> None:
        self._before.run()

    def _ask_after(self) -> None:
        before = self._before
        before.run()  # it has every score; what it says next is asked again as far as needed
        settings = self.settings.evaluation(str(self.path / MODEL), self._dtype)
        self._evaluation(ITEMS_AFTER, settings, "after", before).run()

    @property
    def _before(self) -> Evaluation:
        """The evaluation of the model without a cut."""
        settings = self.settings.evaluation(self.settings.model)
        return self._evaluation(ITEMS_BEFORE, settings, "before")

    def _evaluation(
        self, place: str, settings: EvaluateSettings, when: str, against: Evaluation | None = None
    ) -> Evaluation:
        def tell(share: float, label: str) -> None:
            self._on_progress(share, f"{when}: {label}")

        return Evaluation(self.path / place, settings, on_progress=tell, against=against)

    @property
    def _dtype(self) -> str:
        """The dtype in which the model was asked before."""
        return str(read_study(self.path / ITEMS_BEFORE).settings["dtype"])

    def _cut(self) -> None:
        out, spec = self.path / CUT, self.plan.spec
        if (out / "config.json").exists():  # written whole, and the process was killed then
            return
        layers = self.plan.source.checkpoint.architecture.layers

        def tell(layer: int) -> None:
            self._on_progress((layer + 1) / layers, f"cut: layer {layer + 1} of {layers}")

        self._on_progress(0.0, f"cut: {layers} layers are refitted, then rows are scaled")
        target: Any = {spec.target.kind: spec.target.text}
        prune(
            self.plan.source,
            out=out,
            command=self._command,
            progress=tell,
            align=spec.align,
            dtype=self.settings.dtype,
            text=self.settings.text,
            **target,
        )

    def _time(self) -> str | None:
        settings = CostSettings(
            models=(self.settings.model, str(self.path / CUT)),
            workloads=(_WORKLOAD,),
            seed=self.settings.seed,
            energy=False,
            dtype=self._dtype,
            device=self.settings.device,
        )

        def tell(share: float, label: str) -> None:
            self._on_progress(share, f"speed: {label}")

        try:
            CostStudy(self.path / SPEED, settings, on_progress=tell).run()
        except RunError as error:  # such as memory for one model at a time
            return str(error)
        return None

    @property
    def healing_minutes(self) -> float:
        """What the other stages leave; those that come after take about as long as their like."""
        twice = ("before", "trial")
        done = self.store.records.items()
        spent = [stage.seconds * (1 + (name in twice)) for name, stage in done]
        return self.settings.minutes - sum(spent) / 60

    def _heal(self) -> str | None:
        out = self.path / MODEL
        if (out / HEALING_FILE).exists():
            return None
        minutes = self.healing_minutes
        if minutes <= 0:
            return f"the other stages take the {self.settings.minutes:g} minutes that there are"
        if lack := self._lack_of_memory():
            return lack
        self._on_progress(0.0, f"heal: up to {minutes:.1f} minutes")

        def tell(step: TrainingStep, share: float) -> None:
            self._on_progress(share, f"heal: loss {step.loss:.3f}")

        try:
            heal(
                resolve_model(self.path / CUT),
                self.plan.source,
                out=out,
                settings=HealSettings(minutes=minutes, seed=self.settings.seed),
                progress=tell,
                text=self.settings.text,
                device=self.settings.device,
                command=self._command,
            )
        except NotBetter as error:
            return str(error)
        return None

    def _lack_of_memory(self) -> str | None:
        """Why memory does not allow a healing; None where it does."""
        import torch

        sizes = self.plan.sizes
        device = self.settings.device or ("cuda" if torch.cuda.is_available() else "cpu")
        both = sizes.parameters + sizes.parent_parameters
        needed = _STATE_BYTES * sizes.parameters + DTYPE_BYTES["BF16"] * both
        free = free_bytes(device.partition(":")[0])
        if needed < free:
            return None
        return f"training all weights takes {in_bytes(needed)} of memory, {in_bytes(free)} are free"

    def _place(self) -> None:
        """The cut becomes the result where it was not healed."""
        out = self.path / MODEL
        if out.exists():
            return
        try:
            move_into_place(self.path / CUT, out)
        except OSError as error:
            raise OutputError(f"{out} was not written: {error}") from error

    def _export(self, folder: str) -> None:
        """Write the GGUF file of a checkpoint of the folder."""
        assert self.settings.gguf is not None
        out = self.path / f"{MODEL}.gguf"
        check_new_file(out, force=True)
        self._on_progress(0.0, f"gguf: writing {out.name}")
        sizes = self.plan.sizes
        name = f"{Path(sizes.parent).name}-{sizes.expansion_ratio:.2f}x"
        export_gguf(ModelSource(self.path / folder, name), out, self.settings.gguf, force=True)
