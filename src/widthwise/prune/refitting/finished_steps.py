"""Scales on their way by Adam, kept in a file, so that a killed tuning goes on from there."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...io import safetensors_head, save_tensors

if TYPE_CHECKING:
    from torch import Tensor

FORMAT = "widthwise scales 2"  # 1 had two rows a step
_FILE = "scales.safetensors"
_BETAS = (0.9, 0.95)


@dataclass
class TuningState:
    """Scales, and what Adam and the choice of the best ones know.

    Attributes:
        scales: As they are now.
        errors: Of the first scales, and of those that were judged.
        best: Those of the least error.
        best_step: Steps after which they were these.
        step: Steps that are done.
    """

    scales: Tensor
    errors: list[float]
    best: Tensor
    best_step: int = 0
    step: int = 0
    _adam: Any = field(init=False)

    def __post_init__(self) -> None:
        import torch

        self.scales.requires_grad_()
        self._adam = torch.optim.Adam([self.scales], betas=_BETAS)

    @classmethod
    def at(cls, scales: Tensor, error: float) -> TuningState:
        """Before the first step."""
        return cls(scales, [error], scales.detach().clone())

    def move(self, gradient: Tensor, rate: float) -> None:
        """A step of Adam at a rate."""
        self.scales.grad = gradient
        self._adam.param_groups[0]["lr"] = rate
        self._adam.step()
        self.step += 1

    def judge(self, error: float) -> None:
        """Keep the scales if they have the least error so far."""
        if error < min(self.errors):
            self.best, self.best_step = self.scales.detach().clone(), self.step
        self.errors.append(error)

    @property
    def memory(self) -> dict[str, Tensor]:
        """What Adam remembers; empty before the first step."""
        known: dict[str, Tensor] = dict(self._adam.state[self.scales])
        return known

    def remember(self, known: dict[str, Tensor]) -> None:
        """Have Adam go on with what it remembered."""
        self._adam.state[self.scales].update(known)


class FinishedSteps:
    """The steps of one tuning that are done.

    Args:
        folder: A folder that this process holds; None keeps nothing on disk.
        inputs: A text that is equal for tunings with equal results.
    """

    def __init__(self, folder: Path | None, inputs: str) -> None:
        self._path = None if folder is None else folder / _FILE
        self._inputs = inputs

    def keep(self, state: TuningState) -> None:
        """Write what is reached.

        Raises:
            OutputError: It cannot be written; the state before stays.
        """
        if self._path is None:
            return
        said = {"step": state.step, "best_step": state.best_step, "errors": state.errors}
        head = {"format": FORMAT, "inputs": self._inputs, "state": json.dumps(said)}
        tensors = {"scales": state.scales.detach(), "best": state.best}
        save_tensors(self._path, tensors | {f"adam.{k}": v for k, v in state.memory.items()}, head)

    def begun(self, scales: Tensor) -> TuningState | None:
        """What was reached; None where there is nothing of these inputs that can be read.

        Args:
            scales: As many, and where they are.
        """
        from safetensors.torch import load_file

        head = {} if self._path is None else safetensors_head(self._path)
        if (head.get("format"), head.get("inputs")) != (FORMAT, self._inputs):
            return None
        assert self._path is not None
        tensors = load_file(self._path, str(scales.device))
        state = TuningState(
            scales=tensors.pop("scales"), best=tensors.pop("best"), **json.loads(head["state"])
        )
        state.remember({name.removeprefix("adam."): value for name, value in tensors.items()})
        return state
