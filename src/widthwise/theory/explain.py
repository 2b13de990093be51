"""The faults and the regime of a parametrization in words."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from ..stats import joined
from .abc import Abc, Abcd, faithful_abcd

_HALF = Fraction(1, 2)


def theta(exponent: Fraction) -> str:
    """An order of size.

    >>> theta(Fraction(-1, 2)), theta(Fraction(0)), theta(Fraction(1))
    ('Theta(n^(-1/2))', 'Theta(1)', 'Theta(n)')
    """
    return f"Theta({power(exponent)})"


def power(exponent: Fraction) -> str:
    """A power of the width.

    >>> power(Fraction(1, 2)), power(Fraction(0)), power(Fraction(-1))
    ('n^(1/2)', '1', 'n^-1')
    """
    if exponent in (0, 1):
        return "1" if exponent == 0 else "n"
    return f"n^{exponent}" if exponent.denominator == 1 else f"n^({exponent})"


def initial_faults(parametrization: Abc | Abcd) -> tuple[str, ...]:
    """Layers that vanish or blow up before training: condition (i) of Theorem 3.4 of 2011.14522."""
    starts = [a + b for a, b in zip(parametrization.a, parametrization.b, strict=True)]
    faults = []
    for layer, start in enumerate(starts[:-1], start=1):
        wanted = _HALF if layer > 1 else Fraction(0)
        if start != wanted:
            verb = "vanish" if start > wanted else "blow up"
            faults.append(
                f"before training the activations of layer {layer} {verb} as "
                f"{power(wanted - start)}: a_{layer} + b_{layer} is {start}, not {wanted}"
            )
    if starts[-1] < _HALF:
        faults.append(
            f"before training the output blows up as {power(_HALF - starts[-1])}: a + b of the "
            f"output layer is {starts[-1]}, below 1/2"
        )
    return tuple(faults)


def moving_faults(r_layers: Sequence[Fraction]) -> tuple[str, ...]:
    """Features that one step blows up: condition (ii)."""
    wrong = [layer for layer, r in enumerate(r_layers, start=1) if r < 0]
    if not wrong:
        return ()
    worst = min(r_layers)
    return (f"one step moves the features of {_layers(wrong)} by {theta(-worst)}: r is {worst}",)


def logit_faults(start: Fraction, update: Fraction, r: Fraction) -> tuple[str, ...]:
    """Outputs that one step blows up: condition (iii)."""
    faults = []
    if update < 1:
        faults.append(f"the update of the output layer moves the output by {theta(1 - update)}")
    if start + r < 1:
        faults.append(f"the moving features move the output by {theta(1 - start - r)}")
    return tuple(faults)


def faithfulness_faults(parametrization: Abcd) -> tuple[str, ...]:
    """Layers where the optimizer's input is not Theta(1); source: arXiv 2308.01814, Section 2.2."""
    a, b, c = parametrization.a, parametrization.b, parametrization.c
    pairs = zip(parametrization.d, faithful_abcd(a, b, c).d, strict=True)
    faults = [
        f"the optimizer's input in layer {layer} starts as {theta(d - wanted)}, not Theta(1)"
        for layer, (d, wanted) in enumerate(pairs, start=1)
        if d != wanted
    ]
    if b[-1] > c[-1]:
        faults.append(
            "one step makes the output weights larger than they were, and the gradients with "
            f"them: b of the output layer is {b[-1]}, above its c, {c[-1]}"
        )
    return tuple(faults)


def explain(
    regime: str | None,
    faults: Sequence[str],
    r: Fraction,
    logits: Fraction,
    updated: Sequence[bool],
    adam: bool,
) -> str:
    """The classification as sentences."""
    if regime is None:
        return (
            "Stable before training, but not faithful, so that the theorems say nothing of it: "
            f"{'; '.join(faults)}."
        )
    if regime == "unstable":
        return f"Unstable: {'; '.join(faults)}."
    if regime == "trivial":
        return (
            f"Trivial: one step moves the output by {theta(-logits)}, so that an infinitely wide "
            "network stays as it was before training."
        )
    which = _updated(updated)
    if regime == "feature":
        return f"Feature learning: features move by Theta(1) in every step, as r is 0. {which}"
    name = "Operator regime, Adam's kernel regime" if adam else "Kernel regime"
    follows = "nonlinear operator" if adam else "kernel"
    return (
        f"{name}: features move by {theta(-r)}, which vanishes, while the output moves by "
        f"Theta(1), by a fixed {follows}. {which}"
    )


def _updated(updated: Sequence[bool]) -> str:
    """A sentence on the layers that are updated maximally."""
    if all(updated):
        return "Every layer is updated maximally."
    hidden = [layer for layer, yes in enumerate(updated[:-1], start=1) if yes]
    names = ([_layers(hidden)] if hidden else []) + (["the output layer"] if updated[-1] else [])
    plural = len(names) > 1 or len(hidden) > 1
    if not names:
        return "No layer is updated maximally."
    verb = "are" if plural else "is"
    return f"Of all layers, only {' and '.join(names)} {verb} updated maximally."


def _layers(numbers: Sequence[int]) -> str:
    """Layers by number, neighbours as a range.

    >>> _layers([2]), _layers([1, 3]), _layers([1, 2, 3, 5])
    ('layer 2', 'layers 1 and 3', 'layers 1 to 3 and 5')
    """
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    parts = [
        f"{run[0]} to {run[-1]}" if len(run) > 2 else " and ".join(map(str, run)) for run in runs
    ]
    return f"layer{'s' * (len(numbers) > 1)} {joined(parts, most=len(parts))}"
