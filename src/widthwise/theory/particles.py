"""Any number of hidden layers with any smooth activation: particles instead of neurons.

In muP the neurons of an infinitely wide layer are independent and alike, so that a layer is the law
of one of them, and averages over its neurons are averages over this law. Particles are draws of it.
Only the square matrices between layers are not law of one neuron: of a random matrix W, what counts
is what it makes of the vectors that it meets (arXiv 2011.14522, Section 7 and Appendix H):

    W x = Gaussian of x + sum over y of E[dx / d(Gaussian of y)] y,  and W' y likewise.

With orthonormal bases e of the vectors that W met and f of those that W' met, whose Gaussians g and
g' are independent and standard, Stein's lemma gives the derivatives as averages, E[x g'] and
E[y g], and

    W e = g + sum over earlier f of E[e g'] f,    W' f = g' + sum over earlier e of E[f g] e.

So every step is taken once and in order, with no fixed point to be found, and the cost grows with
the square of the steps (compare the iterated kernels of arXiv 2205.09653).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from ..errors import LimitError
from .activations import Activation, Array
from .quadrature import TrainedLayers
from .toy_task import ToyTask, Trajectory

PARTICLES = 1_048_576
REPLICATES = 8
MOST_NUMBERS = 250_000_000  # of one replicate: 2 GB
_STUDENT = 2.365  # of 95 %, with 7 degrees of freedom
_SAME = 1e-10  # share of a vector's square beyond its projection that is rounding


def particle_limit(
    task: ToyTask,
    phi: Activation,
    trained: TrainedLayers,
    *,
    particles: int = PARTICLES,
    seed: int = 0,
    progress: Callable[[float], None] = lambda _: None,
) -> Trajectory:
    """The limit, by Monte Carlo.

    Args:
        phi: Activation; smooth ones, as the lemma needs derivatives. A kink converges slower.
        trained: Layers that move, and whether the output weights start at 0.
        particles: Draws of each layer, at least 8,000; they are 8 independent parts, whose mean is
            the result. `error` is the largest half-width of a 95 % interval of an output.
        seed: Seed of all draws: the same gives the same bits.
        progress: Called with the share that is done, 0 to 1.

    Raises:
        LimitError: There are too few particles, or more than fit.

    Cost: particles x steps^2 x layers operations, and particles x steps x layers numbers at once,
    an eighth of it. The error falls with the root of the particles.

    Source: arXiv 2011.14522, Theorem 7.4 and Appendix H.
    """
    each = particles // REPLICATES
    vectors = 3 * (2 * task.steps + len(task.tests)) * len(trained.layers)
    if each < 1000 or each * vectors > MOST_NUMBERS:
        raise LimitError(
            f"particles must be at least {1000 * REPLICATES:,}, and for this task at most "
            f"{MOST_NUMBERS // vectors * REPLICATES:,}; got {particles:,}"
        )
    found = []
    for part in range(REPLICATES):
        generator = np.random.default_rng([seed, part])
        found.append(_Particles(task, phi, trained, each, generator).run())
        progress((part + 1) / REPLICATES)
    outputs = np.stack([one.outputs for one in found])
    half = _STUDENT * outputs.std(axis=0, ddof=1) / np.sqrt(REPLICATES)
    return replace(
        found[0],
        outputs=outputs.mean(axis=0),
        fitted=np.mean([one.fitted for one in found], axis=0),
        movements=np.mean([one.movements for one in found], axis=0),
        error=float(half.max()),
    )


class _Images:
    """What a random matrix makes of the vectors that it met, on one of its sides."""

    def __init__(self, size: int) -> None:
        self.basis = np.empty((0, size))  # of those vectors, by particles of their layer
        self.gaussians = np.empty((0, size))  # by particles of the other layer
        self.images = np.empty((0, size))  # by particles of the other layer

    def of(self, vector: Array, other: _Images, draw: Callable[[], Array], *, keep: bool) -> Array:
        """The image of a vector; `other` is the other side, for the transposed matrix."""
        size = len(vector)
        shares = self.basis @ vector / size
        rest = vector - shares @ self.basis
        rest -= (self.basis @ rest / size) @ self.basis  # again: rounding
        square = float(rest @ rest) / size
        image = shares @ self.images
        if square <= _SAME * float(vector @ vector) / size:
            return np.asarray(image)
        fresh = rest / np.sqrt(square)
        gaussian = draw()
        new = gaussian + (other.gaussians @ fresh / size) @ other.basis
        if keep:
            self.basis = np.concatenate([self.basis, fresh[None]])
            self.gaussians = np.concatenate([self.gaussians, gaussian[None]])
            self.images = np.concatenate([self.images, new[None]])
        return np.asarray(image + np.sqrt(square) * new)


class _Matrix:
    """A random square matrix and its updates."""

    def __init__(self, size: int, rate: float, generator: np.random.Generator) -> None:
        self._there, self._back = _Images(size), _Images(size)
        self._rate, self._size, self._generator = rate, size, generator
        self._updates: list[tuple[Array, Array]] = []  # what was learned from: backward, forward

    def times(self, vector: Array, *, keep: bool = True) -> Array:
        """The matrix as it is now, times a vector of the layer before."""
        image = self._there.of(vector, self._back, self._draw, keep=keep)
        for back, x in self._updates:
            image = image - self._rate * (x @ vector / self._size) * back
        return image

    def transposed_times(self, vector: Array) -> Array:
        """Its transpose, times a vector of the layer behind."""
        image = self._back.of(vector, self._there, self._draw, keep=True)
        for back, x in self._updates:
            image = image - self._rate * (back @ vector / self._size) * x
        return image

    def learn(self, back: Array, x: Array) -> None:
        """A step of gradient descent: less rate x back x' / n."""
        if self._rate:
            self._updates.append((back, x))

    def _draw(self) -> Array:
        return self._generator.standard_normal(self._size)


class _Particles:
    """One part of the particles, in training."""

    def __init__(
        self,
        task: ToyTask,
        phi: Activation,
        trained: TrainedLayers,
        size: int,
        generator: np.random.Generator,
    ) -> None:
        self.task, self.phi, self.size = task, phi, size
        rates = [task.lr * moves for moves in trained.layers]
        self.first, self.last = rates[0], rates[-1]
        self.u = generator.standard_normal((size, task.inputs.shape[1]))
        outputs = task.targets.shape[1]
        starts = generator.standard_normal((size, outputs))
        self.c = starts if trained.readout_starts else np.zeros_like(starts)
        self.matrices = [_Matrix(size, rate, generator) for rate in rates[1:-1]]

    def run(self) -> Trajectory:
        """Follow the function through all steps."""
        task, tests = self.task, len(self.task.tests)
        start = [self._features(point, keep=True)[1] for point in task.tests]
        path, movements = [self._outputs(start)[0]], [np.zeros(len(self.matrices) + 1)]
        for step in range(task.steps):
            self._step(*task.example(step))
            outputs, moved = self._outputs(start)
            path.append(outputs)
            movements.append(moved)
        return Trajectory.from_path(path, tests, movements=np.stack(movements))

    def _features(self, point: Array, *, keep: bool) -> tuple[list[Array], list[Array]]:
        """What each hidden layer has before and after its activation."""
        before = [self.u @ point]
        after = [self.phi.value(before[0])]
        for matrix in self.matrices:
            before.append(matrix.times(after[-1], keep=keep))
            after.append(self.phi.value(before[-1]))
        return before, after

    def _outputs(self, start: Sequence[Sequence[Array]]) -> tuple[Array, Array]:
        """Outputs at all points, and how far features at the tests are from where they started."""
        outputs, squares = [], np.zeros(len(self.matrices) + 1)
        for place, point in enumerate(np.concatenate([self.task.tests, self.task.inputs])):
            features = self._features(point, keep=False)[1]
            outputs.append(self._output(features))
            if place < len(start):
                for layer, (new, old) in enumerate(zip(features, start[place], strict=True)):
                    squares[layer] += np.square(new - old).mean() / len(start)
        return np.stack(outputs), np.sqrt(squares)

    def _output(self, features: Sequence[Array]) -> Array:
        return np.asarray(features[-1] @ self.c / self.size)

    def _step(self, x: Array, y: Array) -> None:
        before, after = self._features(x, keep=True)
        error = self._output(after) - y
        back = [(self.c @ error) * self.phi.slope(before[-1])]
        for matrix, h in zip(self.matrices[::-1], before[-2::-1], strict=True):
            back.insert(0, matrix.transposed_times(back[0]) * self.phi.slope(h))
        self.c = self.c - self.last * np.outer(after[-1], error)
        for matrix, behind, features in zip(self.matrices, back[1:], after, strict=False):
            matrix.learn(behind, features)
        self.u = self.u - self.first * np.outer(back[0], x)
