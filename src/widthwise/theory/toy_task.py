"""Tasks that networks are trained on, and their trajectories."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..errors import LimitError
from .activations import Array

if TYPE_CHECKING:
    from jaxtyping import Float64


@dataclass(frozen=True, kw_only=True, eq=False)
class ToyTask:
    """Least squares, one example a step, in order, again and again.

    The loss of an example is |f(x) - y|^2 / 2.

    Attributes:
        inputs: Inputs of shape (examples, d).
        targets: Targets of shape (examples, o).
        tests: Inputs at which the function is followed, shape (tests, d).
        lr: Learning rate eta, to which the parametrization adds its power of the width.

    Raises:
        LimitError: Shapes do not fit, a number is not finite, lr is not above 0 or steps below 0.
    """

    inputs: Array
    targets: Array
    tests: Array
    lr: float
    steps: int

    def __post_init__(self) -> None:
        for name in ("inputs", "targets", "tests"):
            array = np.asarray(getattr(self, name), dtype=np.float64)
            if array.ndim != 2 or not array.size or not np.isfinite(array).all():
                raise LimitError(
                    f"the {name} of a task must be finite numbers of shape (examples, size), at "
                    f"least one; got shape {array.shape}"
                )
            object.__setattr__(self, name, array)
        if len(self.inputs) != len(self.targets) or self.inputs.shape[1] != self.tests.shape[1]:
            raise LimitError(
                "a task must have as many targets as inputs, and tests as long as inputs; got "
                f"shapes {self.inputs.shape}, {self.targets.shape} and {self.tests.shape}"
            )
        if not (np.isfinite(self.lr) and self.lr > 0 and self.steps >= 0):
            raise LimitError(
                f"lr must be above 0 and steps at least 0; got {self.lr} and {self.steps}"
            )

    def example(self, step: int) -> tuple[Float64[Array, " d"], Float64[Array, " o"]]:
        """Input, shape (d,), and target, shape (o,), of a step."""
        i = step % len(self.inputs)
        return self.inputs[i], self.targets[i]


@dataclass(frozen=True, kw_only=True, eq=False)
class Trajectory:
    """A network's function as it is trained.

    Attributes:
        outputs: Outputs at the task's tests, before training and after each step, shape
            (steps + 1, tests, o).
        fitted: The same at its inputs, shape (steps + 1, examples, o).
        movements: Root mean square, over neurons and tests, of the change of each hidden layer's
            features since before training, shape (steps + 1, L); 0 of a kernel.
        error: Largest difference of an output of a limit by quadrature from that of a coarser
            grid, which is no bound but of its order; of a limit by particles the largest half-width
            of a 95 % interval; 0 of an exact limit, None of a finite network.
    """

    outputs: Float64[Array, "times tests o"]
    fitted: Float64[Array, "times examples o"]
    movements: Float64[Array, "times layers"]
    error: float | None

    @property
    def movement(self) -> Float64[Array, " layers"]:
        """The last of `movements`."""
        return np.asarray(self.movements[-1])

    @classmethod
    def from_path(
        cls, path: Sequence[Array], tests: int, *, movements: Array, error: float | None = None
    ) -> Trajectory:
        """The trajectory whose outputs, step by step, are at all tests and then at all inputs."""
        outputs = np.stack(path)
        return cls(
            outputs=outputs[:, :tests], fitted=outputs[:, tests:], movements=movements, error=error
        )


def toy(*, lr: float = 0.5, steps: int = 12) -> ToyTask:
    """Four examples in two dimensions and three tests: small, and no symmetry helps."""
    return ToyTask(
        inputs=np.array([[1, 0.5], [-0.7, 1], [0.3, -1.2], [-1, -0.4]]),
        targets=np.array([[1.0], [-1.0], [0.5], [0.0]]),
        tests=np.array([[0.6, 0.8], [-0.2, 0.9], [1, -1]]),
        lr=lr,
        steps=steps,
    )
