"""The first figure of a page: how far widths are from dense, and under it what they cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from ..figures import INK, MUTED
from ..findings import Grid, GridRow, compared_text, next_words, size_ratio, speed_ratio
from ..stats import Estimate, Positive, counted, with_ends
from ..study import CONTROL
from .csv_links import csv_data_uri
from .figures import (
    SHIFT,
    axis_range,
    draw_line,
    reference_line,
    scale_by_log,
    style_ratio_axes,
)
from .model_results import ModelResults
from .page import Block
from .panels import Panel, TipRow, column_tips, make_panel
from .styles import Style, meaning_of, style_of
from .svg import LEFT, blank, css_color

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_WIDTH, _HEIGHT = 600, 400  # points
_RIGHT, _BOTTOM, _TOP = 56, 38, 44  # around the axes
_UPPER, _LOWER = 192, 76  # heights of the two axes
_COST_STYLES = {  # of bytes, and of the speed of next tokens
    "bytes": Style(color=INK, marker="s", glyph="■"),
    "decode": Style(color=MUTED, marker="^", glyph="▲", line="--"),
}
_COST_NAMES = {"bytes": "bytes of the weights", "decode": "tokens a second"}


def lead_block(results: Sequence[ModelResults]) -> Block:
    """The figure of the one study that has scores, with its legend; an empty block where there are
    several, or no network was compared with dense token by token."""
    rated = [result for result in results if result.grid.quality]
    quantity = compared_text(rated[0].grid) if len(rated) == 1 else None
    if quantity is None:
        return Block()
    grid = rated[0].grid
    divergences = _divergences(grid, quantity)
    if not divergences:
        return Block()
    costs = {name: found for name in _COST_STYLES if (found := _times_dense(grid, name))}
    legend = []
    for criterion in grid.criteria:
        style = style_of(criterion)
        label = criterion + " control" * (criterion == CONTROL)
        legend.append((style.glyph, css_color(style.color), label))
    for name in costs:
        style = _COST_STYLES[name]
        legend.append((style.glyph, css_color(style.color), _COST_NAMES[name]))
    return Block(
        legend=legend,
        panels=[_panel(grid, quantity, divergences, costs)],
        notes=meanings_of(grid),
    )


def meanings_of(grid: Grid) -> list[str]:
    """What the names of criteria stand for, a sentence each."""
    return [text for text in dict.fromkeys(map(meaning_of, grid.criteria)) if text]


def _panel(
    grid: Grid,
    quantity: str,
    divergences: Mapping[GridRow, Positive],
    costs: Mapping[str, Mapping[GridRow, Estimate]],
) -> Panel:
    """The figure, with what it says point by point."""
    points: list[tuple[str, str, Style, GridRow, Estimate]] = [
        ("KL", str(n.criterion), style_of(n.criterion), n, found)
        for n, found in divergences.items()
    ]
    for name, column in costs.items():
        style = _COST_STYLES[name]
        points += [(name, _COST_NAMES[name], style, *pair) for pair in _one_a_width(column).items()]
    tips: list[tuple[float, TipRow]] = []
    for what, label, style, network, found in points:
        text = with_ends(found.value, *_ends(found), decimals=2)
        text += "" if what == "KL" else " times dense"
        row = style.glyph, css_color(style.color), label, text
        tips.append((network.expansion_ratio, row))
    rows = [
        (what, network.label, network.expansion_ratio, found.value, *(_ends(found) or ("", "")))
        for what, _, _, network, found in points
    ]
    figure, upper = _draw(grid, quantity, divergences, costs)
    return make_panel(
        figure,
        name="lead",
        title="Distance from dense, and cost",
        caption=_caption(grid, quantity),
        tips=column_tips(upper, tips),
        data=csv_data_uri([("what", "network", "expansion_ratio", "value", "low", "high"), *rows]),
    )


def _divergences(grid: Grid, quantity: str) -> dict[GridRow, Positive]:
    found = {}
    for network in grid.networks:
        record = grid.cells.get((network, quantity))
        words = None if record is None or network.criterion is None else next_words(record)
        if words is not None and words.divergence.value > 0:
            found[network] = words.divergence
    return found


def _times_dense(grid: Grid, quantity: str) -> dict[GridRow, Estimate]:
    """A cost of each network over that of dense; exact ones without an error."""
    found: dict[GridRow, Estimate] = {}
    for network in grid.networks:
        if network.criterion is None:
            continue
        if quantity in grid.speeds:
            ratio = speed_ratio(grid, grid.cells.get((network, quantity)))
        else:
            share = size_ratio(grid, network, quantity)
            ratio = None if share is None else _exact(share)
        if ratio is not None:
            found[network] = ratio
    return {grid.dense: _exact(1.0), **found} if found and grid.dense else {}


def _exact(value: float) -> Estimate:
    return Estimate(value=value, standard_error=None, n=1)


def _one_a_width(column: Mapping[GridRow, Estimate]) -> dict[GridRow, Estimate]:
    """The first network of each width: which neurons are kept makes no difference to a cost."""
    by_width = {network.width: network for network in reversed(list(column))}
    kept = sorted(by_width.values(), key=lambda network: -network.width)
    return {network: column[network] for network in kept}


def _draw(
    grid: Grid,
    quantity: str,
    divergences: Mapping[GridRow, Positive],
    costs: Mapping[str, Mapping[GridRow, Estimate]],
) -> tuple[Figure, Axes]:
    figure = blank(_WIDTH, _HEIGHT)
    left, wide = LEFT / _WIDTH, (_WIDTH - LEFT - _RIGHT) / _WIDTH
    top = (_HEIGHT - _TOP - _UPPER) / _HEIGHT
    upper = figure.add_axes((left, top, wide, _UPPER / _HEIGHT))
    lower = figure.add_axes((left, _BOTTOM / _HEIGHT, wide, _LOWER / _HEIGHT))
    ratios = [network.expansion_ratio for network in grid.networks]
    for place, criterion in enumerate(grid.criteria):
        shift = (place - (len(grid.criteria) - 1) / 2) * SHIFT * axis_range(ratios) / 2
        points = {n: divergences.get(n) for n in grid.cut_by(criterion)}
        draw_line(upper, points, style_of(criterion), criterion, shift)
    about = "KL divergence of next words, nats a token, less is better, log scale"
    style_ratio_axes(upper, ratios, f"Distance from dense on {quantity}", about)
    upper.set_xlabel("")
    upper.tick_params(labelbottom=False)  # the axes below have the same
    scale_by_log(upper, list(divergences.values()))
    for name, column in costs.items():
        draw_line(lower, _one_a_width(column), _COST_STYLES[name], _COST_NAMES[name], 0.0)
    reference_line(lower, 1.0, "dense\n1.00", "dense-level")
    style_ratio_axes(lower, ratios, "Cost", "times dense")
    lower.set_xlim(upper.get_xlim())
    lower.margins(y=0.2)
    return figure, upper


def _caption(grid: Grid, quantity: str) -> str:
    words = [found for record in grid.column(quantity) if (found := next_words(record))]
    items = max(found.divergence.n for found in words)
    tokens = max(found.tokens for found in words)
    return f"n = {counted(items, 'item')}, {tokens:,} tokens; bars are 95 % intervals over items"


def _ends(estimate: Estimate) -> tuple[float, float] | tuple[()]:
    return () if estimate.standard_error is None else estimate.interval()
