"""One part of a calibration text, run through the layers of a model in a process of its own."""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ...cut import fingerprint
from ...cut.checkpoint import ModelSource
from ...errors import RunError
from ..opened_model import OpenedModel
from .group_moments import Aside, GroupMoments
from .layerwise import LayerwiseRunner
from .text import CalibrationText

if TYPE_CHECKING:
    from .layerwise import Change


@dataclass(frozen=True, kw_only=True)
class OpenModel:
    """Open a model, which must be on the machine of the worker under the same path.

    Attributes:
        model: The model.
        fingerprint: That of its weights.
    """

    model: ModelSource
    fingerprint: str


@dataclass(frozen=True, kw_only=True)
class TakeShare:
    """Embed a part of a text, to be run through the layers.

    Attributes:
        text: All of the text.
        share: Numbers of the batches of the part, as `LayerwiseRunner` takes them.
    """

    text: CalibrationText
    share: range


@dataclass(frozen=True, kw_only=True)
class SumUp:
    """Sum up the moments of the layer that comes next, as `LayerwiseRunner.sums`."""

    layer: int
    advance: bool


@dataclass(frozen=True, kw_only=True)
class GiveSum:
    """Give one sum of the layer that was summed up last, by the groups that it is of."""

    groups: range
    number: int


@dataclass(frozen=True, kw_only=True)
class Advance:
    """Run the layer that comes next, as a change leaves it."""

    layer: int
    change: Change | None


@dataclass(frozen=True, kw_only=True)
class Leave:
    """Let go of the model and the text."""


class ShareWorker:
    """Has one part of a text behind the layers that were run, and sums up its moments.

    Args:
        device: Where layers are run.
    """

    def __init__(self, device: str) -> None:
        self._device = device
        self._open = ExitStack()
        self._model: OpenedModel | None = None
        self._runner: LayerwiseRunner | None = None
        self._sums: dict[range, GroupMoments] = {}

    def do(
        self,
        work: OpenModel | TakeShare | SumUp | GiveSum | Advance | Leave,
        on_share: Callable[[float, str], None],
    ) -> Any:
        """Do one of the works above.

        Raises:
            RunError: The model is another one here, or this worker has taken no share.
        """
        import torch

        on_share(0.0, "")
        with torch.no_grad():  # which an actor's next job, in another thread, would not have
            if isinstance(work, OpenModel):
                return self._open_model(work)
            if isinstance(work, Leave):
                return self._open.close()
            if self._model is None:
                raise RunError("it was started anew, and its part of the text is gone")
            if isinstance(work, TakeShare):
                return self._take(self._model, work)
            assert self._runner is not None
            self._runner.on_batch = lambda: on_share(0.0, "")
            if isinstance(work, SumUp):
                return self._sum_up(self._runner, work)
            if isinstance(work, GiveSum):
                return self._sums[work.groups].sums()[work.number].cpu()
            return self._advance(self._runner, work)

    def _open_model(self, work: OpenModel) -> None:
        import torch

        if self._device.startswith("cuda"):
            torch.cuda.set_device(self._device)
        found = work.model.found
        if not found.exists():
            raise RunError(
                f"{found} is not on {socket.gethostname()}: the model must be under the same path "
                "on every machine that has a worker"
            )
        model = OpenedModel(work.model, self._device)
        self._open.enter_context(work.model.checkpoint)
        if fingerprint(model.weights) != work.fingerprint:
            self._open.close()
            raise RunError(f"{found} on {socket.gethostname()} holds other weights than here")
        self._model = model

    def _take(self, model: OpenedModel, work: TakeShare) -> None:
        layers = model.by_layers
        runner = LayerwiseRunner(layers.module, work.text, layers.held, work.share)
        self._runner = self._open.enter_context(runner)

    def _sum_up(self, runner: LayerwiseRunner, work: SumUp) -> dict[range, Aside]:
        """What is kept aside beside the sums, by the groups that they are of."""
        self._sums.clear()
        self._sums = runner.sums(work.layer, advance=work.advance)
        return {groups: each.kept_aside() for groups, each in self._sums.items()}

    def _advance(self, runner: LayerwiseRunner, work: Advance) -> None:
        self._sums.clear()
        with runner.held(work.layer):
            if work.change is None:
                return runner.advance(work.layer)
            with runner.changed(work.change):
                return runner.advance(work.layer)
