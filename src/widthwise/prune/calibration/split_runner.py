"""The layers of a model, run one by one on a text that is divided among workers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from ...cut import fingerprint
from ...errors import RunError
from ...notices import notice
from ...runs import Executor, Failed, Finished, Job, MakeEngine, Processes, Retrying
from .group_moments import GroupMoments, moments_of_layer
from .layerwise import LayerwiseRunner, spread
from .share_worker import Advance, GiveSum, Leave, OpenModel, ShareWorker, SumUp, TakeShare
from .text import CalibrationText

if TYPE_CHECKING:
    from ..opened_model import OpenedModel
    from .layerwise import BatchStates, Change


class SplitRunner(LayerwiseRunner):
    """A runner whose text is divided among workers, whose sums are added up here.

    Each worker keeps the hidden states of some batches, and has one layer in memory. This process
    has the layer as well, but runs it only on what is looked at here (`held_out_states`).

    Args:
        model: A model on disk, which workers open for themselves.
        text: What is read.
        engine: Makes the workers.

    Raises:
        RunError: The model is in memory; or a worker is lost, or fails.
        UnsupportedModelError: As `LayerwiseRunner`.

    Memory: of a worker as of a `LayerwiseRunner` on its part of the text. Here no hidden states,
        but the sums of a layer, and one sum that arrives.
    """

    def __init__(self, model: OpenedModel, text: CalibrationText, engine: MakeEngine) -> None:
        if model.source is None:
            raise RunError(
                "a model in memory is run where it is; to divide the text among workers, save the "
                "model, and give its folder"
            )
        super().__init__(model.by_layers.module, text, model.by_layers.held, ())
        # A new one holds no open file, and workers may stand in another folder.
        self._source = replace(model.source, found=model.source.found.absolute())
        self._fingerprint = fingerprint(model.weights)
        self._make_engine = engine
        self._change: Change | None = None

    def __enter__(self) -> SplitRunner:
        with ExitStack() as stack:
            self._engine: Executor = stack.enter_context(self._make_engine(ShareWorker))
            self._open_models()
            super().__enter__()
            stack.push(super().__exit__)
            self._divide()
            self._all_open = stack.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        with self._all_open:
            if error[:1] == (None,):
                self._answers(Leave())

    def sums(self, layer: int, *, advance: bool) -> dict[range, GroupMoments]:
        """Those of all workers."""
        with self.held(layer):
            result = moments_of_layer(self.module, self._architecture, layer)
            asides = self._answers(SumUp(layer=layer, advance=advance))
            for groups, each in result.items():
                for aside in asides:
                    each.add_aside(aside[groups])
                for number, total in enumerate(each.sums()):
                    give = GiveSum(groups=groups, number=number)
                    for _, part in self._arriving(dict.fromkeys(self._workers, give)):
                        total.add_all(part)
        return result

    def advance(self, layer: int) -> None:
        """Make the hidden states of all workers those behind the layer."""
        self._answers(Advance(layer=layer, change=self._change))

    @contextmanager
    def changed(self, change: Change) -> Iterator[None]:
        """Run layers as a change of the model leaves them, here and in workers, while open."""
        with super().changed(change):
            self._change = change
            try:
                yield
            finally:
                self._change = None

    def held_out_states(self, tokens: int, text: CalibrationText | None = None) -> BatchStates:
        """Hidden states of some held-out tokens before the first layer: there are no others here.

        Arguments as for `LayerwiseRunner`.
        """
        batches = spread((text or self._text).held_out, tokens)
        return [(rows := self._before(0, batch, "held_out"), rows.hidden) for batch in batches]

    def _open_models(self) -> None:
        """Start the workers, as many as there are batches, and have them open the model.

        Before this process limits its memory: those that it starts would have the same limit.

        Raises:
            RunError: There is no room for so many workers; or one cannot open the model.
        """
        count = len(self._text.fit) + len(self._text.held_out)
        asked = self._engine.workers
        self._workers = asked[:count]
        if len(asked) > count:
            notice(
                f"{count} of {len(asked)} workers have something to do, as the text is run in "
                f"{count} batches."
            )
        self._engine.check_room(len(self._workers))
        self._answers(OpenModel(model=self._source, fingerprint=self._fingerprint))

    def _divide(self) -> None:
        """Have each worker take a part of the text."""
        count = len(self._text.fit) + len(self._text.held_out)
        shares = zip(self._workers, divided(count, len(self._workers)), strict=True)
        takes = {name: TakeShare(text=self._text, share=share) for name, share in shares}
        dict(self._arriving(takes))

    def _answers(self, work: Any) -> list[Any]:
        """What each worker answers to the same work, in the order of their parts of the text."""
        answers = dict(self._arriving(dict.fromkeys(self._workers, work)))
        return [answers[name] for name in self._workers]

    def _arriving(self, works: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
        """Each worker with its answer, as they come.

        Raises:
            RunError: One is lost, with the hidden states that it had, or fails.
        """
        jobs = [Job(key=name, label="", work=work, worker=name) for name, work in works.items()]
        for event in self._engine.run(jobs):
            if isinstance(event, Finished):
                yield event.worker, event.result
            elif isinstance(event, Retrying | Failed):
                raise RunError(
                    f"worker {event.worker} failed: {event.reason}; run the same again, with fewer "
                    "workers if memory ran out: layers that are done are taken from where they are "
                    "kept"
                )


def runner_of(
    model: OpenedModel, text: CalibrationText, engine: MakeEngine | None = None
) -> LayerwiseRunner:
    """One that runs a model's layers on a text, here or in the workers of an engine.

    Without an engine, a model on disk is run on all CUDA devices of this machine where there are
    several.
    """
    engine = engine or (_by_devices() if model.source else None)
    return SplitRunner(model, text, engine) if engine else LayerwiseRunner.of(model, text)


def _by_devices() -> MakeEngine | None:
    """A worker for each CUDA device of this machine; None where there is one or none."""
    import torch

    count = torch.cuda.device_count()
    devices = [f"cuda:{number}" for number in range(count)]
    return partial(Processes, devices=devices) if count > 1 else None


def divided(count: int, shares: int) -> list[range]:
    """So many things, in order, in parts as equal as can be.

    >>> divided(5, 2)
    [range(0, 2), range(2, 5)]
    """
    ends = [count * number // shares for number in range(shares + 1)]
    return [range(*both) for both in pairwise(ends)]
