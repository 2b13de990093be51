"""The parametrization of a network from its shapes and those of the same at a base width."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

from ..errors import LimitError
from .absorb import Absorber
from .depth import deeper_stacks, with_layers_of
from .parametrization import Parametrization
from .probe import Probe
from .scaling import AskedRole, Kind, ParameterScaling, compare
from .shapes import Shapes, read_shapes


def parametrize(
    model: Any,
    base: Any,
    delta: Any = None,
    *,
    kind: Kind = "mup",
    roles: Mapping[str, AskedRole] | None = None,
) -> Parametrization:
    """The parametrization by which the settings of a base width suit a network of another.

    Dimensions that differ between `base` and `delta` grow; without a delta, those that differ
    between `base` and the model. At the base width muP is the standard parametrization. Where the
    weights of embedding and head are shared, the head needs a multiplier, and attention whose heads
    grow another scale (1/d in place of 1/sqrt(d)). Both are made part of a gain or of the queries'
    projection where that is exact, which is tried on a tiny network of the model's class; else see
    `Parametrization.apply_`.

    The base may also have fewer layers: what each layer adds is then divided by the growth of their
    number (CompleteP), in the same way.

    Args:
        model: Module, also on the meta device, config of transformers, or mapping from names to
            shapes.
        base: Network at the width that settings are known for, as any of these.
        delta: Network at a third width.
        kind: `mup`, `sp` or `sp-embedding`; see `Parametrization`.
        roles: Roles of parameters that grow, by patterns of their names (`*.pos_embed`), where the
            module does not say them: `input`, `hidden`, `output` or `vector`.

    Raises:
        LimitError: Networks differ in more than widths or not at all, something grows that muP has
            no rule for, or of which nothing says what it does, or a role is none or fits no name.

    Source: arXiv 2203.03466, Table 3, Table 8 where weights are shared, and Definition 4.1; for
    depth arXiv 2505.01618 with alpha = 1.

    Example:
        >>> base = {"up.weight": (8, 3), "mid.weight": (8, 8), "head.weight": (5, 8)}
        >>> wide = {"up.weight": (32, 3), "mid.weight": (32, 32), "head.weight": (5, 32)}
        >>> [(w.role, w.std, w.adam) for w in parametrize(wide, base).weights]
        [('input', 1.0, 1.0), ('hidden', 0.5, 0.25), ('output', 0.25, 0.25)]
    """
    if kind not in get_args(Kind):
        raise LimitError(f"kind must be one of {', '.join(get_args(Kind))}; got {kind!r}")
    here, at_base = read_shapes(model, "the model"), read_shapes(base, "base")
    at_delta = here if delta is None else read_shapes(delta, "delta")
    stacks, deeper = ((), 1.0) if here.module is None else deeper_stacks(here, at_base)
    if stacks:
        at_base, at_delta = (with_layers_of(here, other) for other in (at_base, at_delta))
    weights = compare(here, at_base, at_delta, kind, roles or {}, is_deeper=deeper != 1)
    if kind != "mup":
        return Parametrization(kind=kind, weights=weights, multipliers={}, attention={})
    absorber = Absorber(probe=Probe(here.module), weights={w.name: w for w in weights})
    scales = _scales(here, at_base)
    own = {path: scale / here.attention[path][0] for path, scale in scales.items()}
    multipliers = absorber.heads(_multipliers(here, weights))
    attention = absorber.attention(scales, own)
    if deeper != 1:
        absorber.depth(deeper, stacks)
    return Parametrization(
        kind=kind,
        weights=tuple(absorber.weights.values()),
        multipliers=multipliers,
        attention=attention,
        unscaled=_unscaled(here, at_base),
        absorbed=absorber.absorbed,
        reasons=absorber.reasons,
    )


def _multipliers(model: Shapes, weights: tuple[ParameterScaling, ...]) -> dict[str, float]:
    """1 over the growth of an embedding, for heads that share it.

    Where rows of the embedding are multiplied by a scale, their deviation is smaller by the same,
    which the head makes up for.
    """
    wider = {weight.name: weight for weight in weights if weight.role != "fixed"}
    return {
        path: 1 / (wider[name].fan_out * wider[name].adam)
        for path, name in model.heads.items()
        if name in wider
    }


def _scales(model: Shapes, base: Shapes) -> dict[str, float]:
    """The base's scale times the ratio of its heads to the model's, where heads grow."""
    both = {path: base.attention[path] for path in model.attention if path in base.attention}
    return {
        path: scale * head / model.attention[path][1]
        for path, (scale, head) in both.items()
        if head != model.attention[path][1]
    }


def _unscaled(model: Shapes, base: Shapes) -> dict[str, float]:
    """Ratios of the base's heads to the model's, where the scale of attention cannot be set."""
    sizes = {**base.fixed, **{path: head for path, (_, head) in base.attention.items()}}
    return {
        path: sizes[path] / head
        for path, head in model.fixed.items()
        if sizes.get(path, head) != head
    }
