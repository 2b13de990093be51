"""One process at work on a healing, perhaps after others."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from ...errors import RunError
from ...io import TORCH_DTYPES
from .budget import spread
from .course import TrainingCourse, held_out
from .distilling import NothingTrained, judging, prepare
from .heldout import HeldOut, Judge
from .learning_rate import LrTrial, factors_of, width_change
from .lora import add_lora, merge_lora, zero_gradients, zero_neurons
from .model_pair import ModelPair, model_in, narrowed
from .request import HealingRequest
from .save import as_stored, stored_names
from .state import StateFolder
from .text_blocks import TextBlocks
from .training import Trainer, TrainingStep

if TYPE_CHECKING:
    from torch import Tensor

SAVE_SECONDS = 300.0
WRITTEN_A_SECOND = 2e8  # bytes, on a slow disk
AROUND = 0.03  # share of the minutes: libraries are imported before, a figure is drawn after


class HealingRun:
    """A healing from loaded models to trained weights.

    Attributes:
        spent: Seconds on the clock so far, over all processes.
        factors: Factors of learning rates, by stored name.
        course: The training.
        learning_rate: Its highest, before it ever went back.
        trials: Learning rates that were tried; empty where none was.

    Raises:
        NothingTrained: The minutes are over before the first step.
    """

    def __init__(
        self, pair: ModelPair, blocks: TextBlocks, folder: StateFolder, request: HealingRequest
    ) -> None:
        earlier = folder.load()
        gone = float(earlier[1]["seconds"]) if earlier else 0.0
        self._pair, self._blocks, self._folder, self._request = pair, blocks, folder, request
        settings = self._settings = request.settings
        self._place = device, dtype = request.place, request.compute_dtype
        change = width_change(pair.child, pair.parent) if settings.mup_factors else None
        self.factors = {} if change is None else factors_of(change)
        self.spent: Callable[[], float] = lambda: gone + time.monotonic() - request.start
        request.status("loading both models")
        start = time.monotonic()
        self._child = model_in(pair.child, "float32", device)
        self._names = stored_names(pair.child, self._child)
        self._loading = time.monotonic() - start
        if settings.lora is not None:
            add_lora(self._child, settings.lora, settings.seed)
        exact = None if dtype == "float32" else narrowed(self._child, dtype)
        self._trainer = Trainer(
            self._child, model_in(pair.parent, dtype, device), blocks.rows, settings,
            exact=exact, spent=self.spent,
            factors={self._names[stored]: by for stored, by in self.factors.items()},
        )  # fmt: skip
        self._prepare(earlier)

    def _prepare(self, earlier: tuple[Mapping[str, Tensor], Mapping[str, Any]] | None) -> None:
        """Make the course: from a state, or anew."""
        trainer, rows = self._trainer, self._blocks.held_out
        if earlier is None:
            ready = prepare(
                trainer,
                rows,
                dtypes=self._dtypes(),
                closing=self._closing(),
                status=self._request.status,
            )
            self._judge, self.course, self.trials = ready.judge, ready.course, ready.trials
            self.learning_rate = trainer.rate
            return
        self._request.status("going on where an earlier run ended")
        tensors, facts = earlier
        count, length = facts["held_out"]
        judge = self._judge = Judge(trainer.parent, spread(rows, count)[:, :length], trainer.micro)
        before = held_out(facts["before"])
        self.course = TrainingCourse(trainer, judging(trainer, judge, self._dtypes()), before)
        self.course.load(tensors, facts)
        self.trials = tuple(LrTrial(**trial) for trial in facts["trials"])
        self.learning_rate = facts["learning_rate"]

    def _dtypes(self) -> dict[str, Any]:
        """Of trained weights as they are stored, by name; none of updates that are merged later."""
        import torch

        if self._settings.lora is not None:
            return {}
        specs = {name: self._pair.child.tensors[stored] for stored, name in self._names.items()}
        return {
            name: getattr(torch, TORCH_DTYPES[tensor.spec.dtype]) for name, tensor in specs.items()
        }

    def _closing(self) -> float:
        """Seconds from the last judgement to the end: the state and the result are written."""
        stored = sum(each.spec.nbytes for each in self._pair.child.tensors.values())
        state = sum(4 * weight.numel() for weight in self._trainer.masters.weights.values())
        merging = self._loading if self._settings.lora is not None else 0.0
        around = AROUND * 60 * (self._settings.minutes or 0.0)
        return around + merging + (stored + state) / WRITTEN_A_SECOND

    def train(self, progress: Callable[[TrainingStep, float], None]) -> None:
        """All steps that are left; the state is kept now and then, and when it ends early.

        Raises:
            NothingTrained: There was no time for a step.
            RunError: With the best weights so far, the loss is not finite.
        """
        course, saved = self.course, self.spent()
        with _interrupts() as interrupted:
            while not course.ended:
                try:
                    step = course.step(interrupted)
                except RunError as error:
                    if not self._trainer.curve:  # nothing is worth keeping
                        raise
                    self._save()
                    raise RunError(
                        f"{error}, once {self._folder.path} with the state before it is removed"
                    ) from error
                if step:
                    progress(step, self._trainer.share)
                if interrupted():
                    self._save()
                    raise KeyboardInterrupt
                if self.spent() - saved > SAVE_SECONDS:
                    self._save()
                    saved = self.spent()
        if not self._trainer.curve:
            raise NothingTrained
        course.finish()
        if course.best_step:
            self._save()  # measuring and writing may still be cut short

    def _save(self) -> None:
        tensors, facts = self.course.state()
        facts |= {
            "seconds": self.spent(),
            "held_out": list(self._judge.rows.shape),
            "learning_rate": self.learning_rate,
            "trials": [asdict(trial) for trial in self.trials],
        }
        self._folder.save(tensors, facts)

    @property
    def tokens(self) -> int:
        """Trained on so far."""
        return self._trainer.curve[-1].tokens if self._trainer.curve else 0

    @property
    def epochs(self) -> float:
        """How often the text was gone through."""
        return self._trainer.epochs

    @property
    def held_out_tokens(self) -> int:
        """Of a block that is judged on."""
        return int(self._judge.rows.shape[1])

    def finished(self) -> tuple[dict[str, Tensor], HeldOut]:
        """The best weights by stored name and dtype, and what a model that has them is judged."""
        import torch

        weights = dict(self._trainer.masters.weights)
        if self._settings.lora is not None:
            weights = self._merged(weights)
        values = as_stored(
            self._pair.child, {stored: weights[name] for stored, name in self._names.items()}
        )
        parameters = dict(self._child.named_parameters())
        with torch.no_grad():
            for stored, name in self._names.items():
                parameters[name].copy_(values[stored])
        return values, self._judge(self._child)

    def _merged(self, updates: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """All weights in float32 with the low-rank updates added, padding left alone."""
        import torch

        device, dtype = self._place
        model = model_in(self._pair.child, "float32", device)
        architecture = self._pair.child.architecture
        held = dict(model.named_parameters())
        masks = zero_neurons(
            {stored: held[name] for stored, name in self._names.items()}, architecture
        )
        add_lora(model, self._settings.lora or 1, self._settings.seed)
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                if name in updates:
                    parameter.copy_(updates[name])
        merge_lora(model)
        held = dict(model.named_parameters())
        zero_gradients(
            {stored: held[name] for stored, name in self._names.items()}, architecture, masks
        )
        weights = {name: p.detach().clone() for name, p in model.named_parameters()}
        narrowed(model, dtype)
        self._child = model
        return weights


@contextmanager
def _interrupts() -> Iterator[Callable[[], bool]]:
    """While open, the first Ctrl-C is only noted; the second one acts as ever."""
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    before = signal.getsignal(signal.SIGINT) or signal.default_int_handler
    seen: list[bool] = []

    def note(*_: object) -> None:
        seen.append(True)
        signal.signal(signal.SIGINT, before)

    signal.signal(signal.SIGINT, note)
    try:
        yield lambda: bool(seen)
    finally:
        signal.signal(signal.SIGINT, before)
