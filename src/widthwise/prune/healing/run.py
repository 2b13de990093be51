"""One process at work on a healing, perhaps after others."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from ...errors import RunError
from ...io import TORCH_DTYPES
from .budget import NothingTrained, prepare, spread
from .course import TrainingCourse, held_out
from .heldout import HeldOut
from .learning_rate import factors_of, width_change
from .lora import add_lora, merge_lora, zero_gradients, zero_neurons
from .loss import Judge
from .model_pair import ModelPair, model_in, narrowed
from .record import TrainingStep
from .save import as_stored, stored_places
from .settings import HealingRequest
from .state import StateFolder
from .text_blocks import TextBlocks
from .training import Trainer

SAVE_SECONDS = 300.0
WRITTEN_A_SECOND = 2e8  # bytes, on a slow disk
AROUND = 0.03  # share of the minutes: libraries are imported before, a figure is drawn after


class HealingRun:
    """A healing from loaded models to trained weights.

    Attributes:
        pair, blocks, request: As given.
        spent: Seconds on the clock so far, over all processes.
        factors: Factors of learning rates, by stored name.
        course: The training.

    Raises:
        NothingTrained: The minutes are over before the first step.
    """

    def __init__(
        self, pair: ModelPair, blocks: TextBlocks, folder: StateFolder, request: HealingRequest
    ) -> None:
        earlier = folder.load()
        gone = float(earlier[1]["seconds"]) if earlier else 0.0
        self.pair, self.blocks, self.request, self._folder = pair, blocks, request, folder
        settings, device, dtype = request.settings, request.place, request.compute_dtype
        self.factors: dict[str, float] = {}
        if settings.mup_factors:
            self.factors = factors_of(width_change(pair.child, pair.parent))
        self.spent: Callable[[], float] = lambda: gone + time.monotonic() - request.start
        request.status("loading both models")
        start = time.monotonic()
        child = model_in(pair.child, "float32", device)
        self._places = stored_places(pair.child, child)
        self._loading = time.monotonic() - start
        if settings.lora is not None:
            add_lora(child, settings.lora, settings.seed)
        exact = narrowed(child, dtype)
        trainer = self._trainer = Trainer(
            child, model_in(pair.parent, dtype, device), blocks.rows, settings,
            exact=exact, spent=self.spent,
            factors={self._places[name].parameter: by for name, by in self.factors.items()},
        )  # fmt: skip
        if earlier is None:
            self.course = prepare(
                trainer,
                blocks.held_out,
                dtypes=self._dtypes(),
                closing=self._closing(),
                status=request.status,
            )
            return
        request.status("going on where an earlier run ended")
        tensors, facts = earlier
        count, length = facts["held_out"]
        judge = Judge(trainer.parent, spread(blocks.held_out, count)[:, :length], trainer.micro)
        self.course = TrainingCourse(trainer, judge, held_out(facts["before"]), self._dtypes())
        self.course.load(tensors, facts)

    def _dtypes(self) -> dict[str, Any]:
        """Of trained weights as they are stored, by name; none of updates that are merged later."""
        if self.request.settings.lora is not None:
            return {}
        tensors = self.pair.child.tensors
        return {
            place.parameter: getattr(torch, TORCH_DTYPES[tensors[stored].spec.dtype])
            for stored, place in self._places.items()
        }

    def _closing(self) -> float:
        """Seconds from the last judgement to the end: the state and the result are written."""
        settings = self.request.settings
        stored = sum(each.spec.nbytes for each in self.pair.child.tensors.values())
        state = sum(4 * weight.numel() for weight in self._trainer.masters.weights.values())
        merging = self._loading if settings.lora is not None else 0.0
        around = AROUND * 60 * (settings.minutes or 0.0)
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
        self._folder.save(tensors, {**facts, "seconds": self.spent()})

    def finished(self) -> tuple[dict[str, Tensor], HeldOut]:
        """The best weights by stored name and dtype, and what a model that has them is judged."""
        child, weights = self.pair.child, self._trainer.masters.weights
        if self.request.settings.lora is not None:
            return self._merged(self.request.settings.lora)
        named = {name: place.of(weights[place.parameter]) for name, place in self._places.items()}
        return as_stored(child, named), self.course.best  # which was judged as it is stored

    def _stored(self, model: Any) -> dict[str, Tensor]:
        """The weights of a model by stored name, in its own memory as it is now."""
        return {
            stored: place.of(model.get_parameter(place.parameter).detach())
            for stored, place in self._places.items()
        }

    def _merged(self, rank: int) -> tuple[dict[str, Tensor], HeldOut]:
        """All weights with the low-rank updates added, padding left alone, and their judgement."""
        request, child = self.request, self.pair.child
        model = model_in(child, "float32", request.place)
        masks = zero_neurons(self._stored(model), child.architecture)
        add_lora(model, rank, request.settings.seed)
        with torch.no_grad():
            for name, update in self._trainer.masters.weights.items():
                model.get_parameter(name).copy_(update)
        merge_lora(model)
        weights = self._stored(model)
        zero_gradients(weights, child.architecture, masks)
        values = as_stored(child, weights)
        with torch.no_grad():
            for stored, value in values.items():
                weights[stored].copy_(value)
        narrowed(model, request.compute_dtype)
        return values, self.course.judge(model)


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
