"""What networks are trained on, and what comes of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..errors import LimitError
from .activations import Array


@dataclass(frozen=True, kw_only=True, eq=False)
class ToyTask:
    """Least squares, one example a step, in order, again and again.

    The loss of an example is |f(x) - y|^2 / 2.

    Attributes:
        inputs: Shape (examples, d).
        targets: Shape (examples, o).
        tests: Inputs at which the function is followed, shape (tests, d).
        lr: Learning rate eta, to which the parametrization adds its power of the width.
        steps: How many.

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

    def example(self, step: int) -> tuple[Array, Array]:
        """Input, shape (d,), and target, shape (o,), of a step."""
        place = step % len(self.inputs)
        return self.inputs[place], self.targets[place]


@dataclass(frozen=True, kw_only=True, eq=False)
class Trajectory:
    """A network's function as it is trained.

    Attributes:
        outputs: At the task's tests, before training and after each step, shape
            (steps + 1, tests, o).
        fitted: The same at its inputs, shape (steps + 1, examples, o).
        movement: How far the features of each hidden layer at the tests went from where they
            started, the root of the mean square over neurons and tests, after the last step: shape
            (L,). 0 of a kernel.
        error: Of a limit by quadrature, the largest difference of an output from that of a coarser
            grid: no bound, but of its order; 0 of an exact one. None of a finite network.
    """

    outputs: Array
    fitted: Array
    movement: Array
    error: float | None


def toy(*, lr: float = 0.5, steps: int = 12) -> ToyTask:
    """Four examples in two dimensions and three tests: small, and no symmetry helps."""
    return ToyTask(
        inputs=np.array([[1, 0.5], [-0.7, 1], [0.3, -1.2], [-1, -0.4]]),
        targets=np.array([[1.0], [-1.0], [0.5], [0.0]]),
        tests=np.array([[0.6, 0.8], [-0.2, 0.9], [1, -1]]),
        lr=lr,
        steps=steps,
    )
