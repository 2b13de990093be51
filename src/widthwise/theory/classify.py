"""The regime of an abc-parametrization by the dynamical dichotomy, exactly.

With a_o, b_o, c_o of the output layer, and for hidden layers l = 1 .. L

    g   = min(a_o + b_o, 2 a_o + c_o)
    r_l = g + c_l - 1 + 2 a_l + [l = 1],   r = min over l of r_l,

features move by Theta(n^-r) in each step. Stable means that nothing blows up and that no layer
starts by vanishing; nontrivial, that the function moves; of those two kinds together, features are
learned where r = 0, and a fixed kernel is followed where r > 0.

Source: arXiv 2011.14522, Definition 3.2, Theorems 3.3, 3.4, 3.6 and 3.8, Corollary 3.9,
Propositions 5.3 and 5.5. There phi is tanh or a smooth relu; a linear network of which one layer
is trained does both. For Adam: arXiv 2308.01814, Section 2.2, where

    r_l = c_l + a_l - 1 + [l = 1],   the output layer included, and r = min over hidden l of r_l.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from .abc import Abc, Abcd, Exponents
from .explain import explain, faithfulness_faults, initial_faults, logit_faults, moving_faults

Regime = Literal["feature", "kernel", "trivial", "unstable"]


@dataclass(frozen=True, kw_only=True)
class Classification:
    """The regime of a parametrization, and the reasons.

    Attributes:
        r: Exponent by which features move in each step: Theta(n^-r).
        r_layers: Exponents for each hidden layer by its weights alone, shape (L,).
        stable: Whether activations, features and outputs neither blow up nor, before training,
            vanish.
        nontrivial: Whether the function moves in the limit; None where that is unstable.
        regime: `feature`, `kernel`, `trivial` or `unstable`. For Adam the kernel is that of a
            nonlinear operator. None where the theorems do not speak (`faithful` is False).
        faults: Reasons why it is unstable or undecided; empty otherwise.
        updated_maximally: Whether the update of each layer, the output last, moves what follows by
            Theta(1); None where nothing is known to be stable.
        initialized_maximally: Whether the output layer starts as large as it may; None likewise.
        faithful: For Adam, whether the optimizer's input is Theta(1) in each step; None for SGD.
        explanation: The result in a few sentences.
    """

    r: Fraction
    r_layers: Exponents
    stable: bool
    nontrivial: bool | None
    regime: Regime | None
    faults: tuple[str, ...]
    updated_maximally: tuple[bool, ...] | None
    initialized_maximally: bool | None
    faithful: bool | None
    explanation: str


def classify(parametrization: Abc | Abcd) -> Classification:
    """Classify a parametrization by exact arithmetic.

    Example:
        >>> ntk = Abc(a=(0, "1/2", "1/2"), b=(0, 0, 0), c=(0, 0, 0))
        >>> result = classify(ntk)
        >>> result.regime, str(result.r), result.updated_maximally
        ('kernel', '1/2', (False, False, True))
    """
    sizes = size_exponents(parametrization)
    adam = parametrization if isinstance(parametrization, Abcd) else None
    unfaithful = () if adam is None else faithfulness_faults(adam)
    faults = (
        *initial_faults(parametrization),
        *moving_faults(sizes.r_layers),
        *logit_faults(sizes.readout_start, sizes.readout_update, sizes.r),
    )
    stable = not faults
    known = stable and not unfaithful
    faults = faults or unfaithful
    nontrivial = sizes.logits == 0 if known else None
    regime: Regime | None = None
    if not stable:
        regime = "unstable"
    elif known:
        regime = "trivial" if not nontrivial else "feature" if sizes.r == 0 else "kernel"
    updated = (*(r == 0 for r in sizes.r_layers), sizes.readout_update == 1)
    largest = sizes.readout_start + sizes.r == 1
    return Classification(
        r=sizes.r,
        r_layers=sizes.r_layers,
        stable=stable,
        nontrivial=nontrivial,
        regime=regime,
        faults=faults,
        updated_maximally=updated if known else None,
        initialized_maximally=largest if known else None,
        faithful=None if adam is None else not unfaithful,
        explanation=explain(regime, faults, sizes.r, sizes.logits, updated, adam is not None),
    )


@dataclass(frozen=True, kw_only=True)
class SizeExponents:
    """The exponents that all conditions are made of.

    Attributes:
        r_layers: r_l of the hidden layers, shape (L,).
        readout_start: Exponent a_o + b_o; the output weights start as n to minus this.
        readout_update: Exponent 2 a_o + c_o (for Adam a_o + c_o); a step changes them by n to minus
            this, and 1 moves the output by Theta(1).
    """

    r_layers: Exponents
    readout_start: Fraction
    readout_update: Fraction

    @property
    def r(self) -> Fraction:
        return min(self.r_layers)

    @property
    def logits(self) -> Fraction:
        """Exponent by which one step moves the output."""
        return min(self.readout_update, self.readout_start + self.r) - 1


def size_exponents(parametrization: Abc | Abcd) -> SizeExponents:
    """The exponents behind the classification, for SGD or Adam."""
    a, b, c = parametrization.a, parametrization.b, parametrization.c
    start = a[-1] + b[-1]
    if isinstance(parametrization, Abc):
        update = 2 * a[-1] + c[-1]
        inner = [min(start, update) + 2 * a_l + c_l for a_l, c_l in zip(a, c, strict=True)]
    else:
        update = a[-1] + c[-1]
        inner = [a_l + c_l for a_l, c_l in zip(a, c, strict=True)]
    r_layers = tuple(size - (layer > 0) for layer, size in enumerate(inner[:-1]))
    return SizeExponents(r_layers=r_layers, readout_start=start, readout_update=update)
