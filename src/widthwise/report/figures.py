"""Figures: score, size and speed against the expansion ratio, as SVG for a page."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import StringIO
from typing import TYPE_CHECKING, Any

from ..errors import RunError
from ..findings.grid import CONTROL, Grid, Network, arrange, estimate_of
from ..findings.judge import CONFIDENCE
from ..stats import Estimate
from ..study.records import Record
from .table import number, speed_ratio

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@dataclass(frozen=True, kw_only=True)
class Style:
    """How a criterion looks in every figure: a colour, a matplotlib marker and the same as text."""

    color: str
    marker: str
    glyph: str


INK, MUTED, RULE = "#1d2024", "#646a72", "#dcdfe3"

# Wong 2011 (doi 10.1038/nmeth.1618), darkened where needed: each has a contrast of 3 or more on
# the light and on the dark page, and a marker of its own: colour never carries meaning alone.
CRITERION_STYLE = {
    "ppm": Style(color="#0072b2", marker="o", glyph="●"),
    "random": Style(color="#d55e00", marker="s", glyph="■"),
    "max_abs": Style(color="#00916a", marker="^", glyph="▲"),
    "vow": Style(color="#b8608f", marker="v", glyph="▼"),
    "pon": Style(color="#96751a", marker="P", glyph="✚"),
    "l2": Style(color="#3f87b8", marker="X", glyph="✖"),
    "ppm_activation": Style(color="#7d6ab8", marker="*", glyph="★"),
}
DENSE_STYLE = Style(color=INK, marker="D", glyph="◆")
OTHER_STYLE = Style(color=MUTED, marker="h", glyph="⬢")

_MARGIN = 13  # characters that fit to the right of the axes
_DECADE = 10.0  # a wider range is drawn on a log scale
_PANEL_INCHES = (374 / 72, 268 / 72)  # 374 points wide: three to a page, about one point a pixel
_PAGE_COLOURS = {INK: "var(--ink)", MUTED: "var(--muted)", RULE: "var(--rule)"}


def plot_quality(records: Sequence[Record], ax: Axes) -> Axes:
    """Draw one score against I/H, dense on the left: points, 95 % intervals, the floor dashed.

    A score without an upper bound (lower is better) that spans more than tenfold, its floor
    included, is drawn on a log scale; an interval that reaches 0 then ends at the lower edge.

    Args:
        records: Of one quantity; missing values leave a gap.
        ax: Axes of any matplotlib figure.

    Raises:
        RunError: As `arrange`, or records of more than one quantity.
    """
    grid, quantity = _only(records)
    log = _wants_log(grid.column(quantity))
    for index, criterion in enumerate(grid.criteria):
        places = (*([grid.dense] if grid.dense else []), *grid.cut_by(criterion))
        scores = {n: _score(grid, n, quantity) for n in places}
        shift = (index - (len(grid.criteria) - 1) / 2) * 0.012 * _span(grid)
        _draw(ax, scores, style_of(criterion), criterion, shift)
    if grid.dense:
        _draw(ax, {grid.dense: _score(grid, grid.dense, quantity)}, DENSE_STYLE, "dense", 0.0)
    sample = grid.sample(quantity)
    if sample.floor is not None:
        kind = _balanced(sample.floor_kind or "floor")
        _level(ax, sample.floor, f"{kind}\n{number(sample.floor, sample.unit)}", "floor")
    better = {True: "higher is better", False: "lower is better", None: ""}[sample.higher_is_better]
    said = [sample.unit.replace("_", " "), better, "log scale" if log else ""]
    _dress(ax, grid, quantity, ", ".join(filter(None, said)))
    if log:
        _scale_by_log(ax, grid.column(quantity))
    return ax


def plot_size(records: Sequence[Record], ax: Axes) -> Axes:
    """Draw parameters and bytes over those of dense against I/H; exact, so without intervals.

    Raises:
        RunError: As `arrange`, or no dense record to divide by.
    """
    grid = arrange(records)
    looks = (("-", "o", MUTED, MUTED, 5), ("--", "s", INK, "none", 9))
    for quantity, (line, marker, color, face, size) in zip(grid.sizes, looks, strict=False):
        dense = grid.cells.get((grid.dense, quantity)) if grid.dense else None
        if dense is None or not dense.value:
            raise RunError(f"{quantity} has no dense record; measure the dense model as well")
        by_width = {n.expansion_ratio: grid.cells.get((n, quantity)) for n in grid.networks}
        points = [(x, r.value / dense.value) for x, r in by_width.items() if r and r.value]
        x, y = zip(*sorted(points), strict=True)
        ax.plot(x, y, line, marker=marker, color=color, ms=size, mfc=face, lw=1.4, label=quantity)
    _level(ax, 1.0, "dense\n1.00", "dense-level")
    _dress(ax, grid, "size", "parameters and bytes, times dense, exact")
    _from_zero(ax)
    ax.legend(frameon=False, fontsize=10, labelcolor=INK, loc="lower left")
    return ax


def plot_speed(records: Sequence[Record], ax: Axes) -> Axes:
    """Draw one speed over that of dense against I/H: repeats, their means, 95 % intervals.

    Raises:
        RunError: As `arrange`, records of more than one quantity, or none of dense.
    """
    grid, quantity = _only(records)
    dense = _score(grid, grid.dense, quantity) if grid.dense else None
    if grid.dense is None or dense is None:
        raise RunError(f"{quantity} has no dense record; measure the dense model as well")
    one = {grid.dense: Estimate(value=1.0, standard_error=None, n=dense.n)}
    for criterion in grid.criteria:
        ratios = {n: _ratio(grid, n, quantity) for n in grid.cut_by(criterion)}
        if any(ratios.values()):
            _draw(ax, {**one, **ratios}, style_of(criterion), criterion, 0.0)
    _draw(ax, one, DENSE_STYLE, "dense", 0.0)
    beside = grid.cells[grid.dense, quantity].items
    for record in grid.column(quantity):
        if record.criterion is None or len(record.items) != len(beside):
            continue
        x = [record.expansion_ratio] * len(record.items)
        y = [item / other for item, other in zip(record.items, beside, strict=True)]
        color = style_of(record.criterion).color
        ax.plot(x, y, ".", color=color, ms=4, alpha=0.35, zorder=1.5, label="_repeats")
    _level(ax, 1.0, "dense\n1.00", "dense-level")
    _dress(ax, grid, quantity, "tokens per second, times dense, higher is better")
    _from_zero(ax)
    return ax


def style_of(criterion: str | None) -> Style:
    """The style of a criterion; dense is None, a criterion without a style of its own is grey."""
    return DENSE_STYLE if criterion is None else CRITERION_STYLE.get(criterion, OTHER_STYLE)


def panel() -> tuple[Figure, Axes]:
    """An empty figure of the page's size, apart from pyplot and its global state."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=_PANEL_INCHES)
    figure.patch.set_visible(False)
    ax = figure.add_axes((0.105, 0.165, 0.71, 0.665))
    return figure, ax


def share_limits(axes: Sequence[Axes]) -> None:
    """Give the axes one common range of y, so that panels can be compared by eye."""
    if axes:
        limits = [ax.get_ylim() for ax in axes]
        for ax in axes:
            ax.set_ylim(min(low for low, _ in limits), max(high for _, high in limits))


def to_svg(figure: Figure, *, name: str, title: str, description: str) -> str:
    """The figure as an `<svg>` element for a page: text stays text, no identifier is used twice.

    Args:
        name: Prefix of every identifier; letters, digits and hyphens.
        title: Read by screen readers and shown on hover.
        description: The data in words.
    """
    from markupsafe import escape
    from matplotlib import rc_context

    buffer = StringIO()
    nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": name}):
        figure.savefig(buffer, format="svg", metadata=nothing)
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :].strip()
    svg = re.sub(r'\bid="', f'id="{name}-', svg)
    svg = re.sub(r'(url\(|href=")#', rf"\1#{name}-", svg)
    for color, variable in _PAGE_COLOURS.items():
        svg = svg.replace(color, variable)
    box = re.search(r'viewBox="[^"]+"', svg)
    assert box is not None  # matplotlib always writes one
    head = (
        f'<svg {box[0]} role="img" aria-labelledby="{name}-title {name}-desc">'
        f'<title id="{name}-title">{escape(title)}</title>'
        f'<desc id="{name}-desc">{escape(description)}</desc>'
    )
    return head + svg[svg.index(">") + 1 :]


def _only(records: Sequence[Record]) -> tuple[Grid, str]:
    grid = arrange(records)
    if len(grid.quantities) > 1:
        raise RunError(f"one figure shows one quantity; got {', '.join(grid.quantities)}")
    return grid, grid.quantities[0]


def _score(grid: Grid, network: Network, quantity: str) -> Estimate | None:
    record = grid.cells.get((network, quantity))
    return estimate_of(record) if record else None


def _ratio(grid: Grid, network: Network, quantity: str) -> Estimate | None:
    record = grid.cells.get((network, quantity))
    return speed_ratio(grid, record) if record else None


def _draw(
    ax: Axes, points: Mapping[Network, Estimate | None], style: Style, name: str, shift: float
) -> None:
    """Points with bars; a line joins neighbours, and breaks where a value is missing."""
    nan = float("nan")
    x = [n.expansion_ratio - (shift if n.criterion is not None else 0) for n in points]
    y = [nan if e is None else e.value for e in points.values()]
    half = [nan if e is None else _half(e) for e in points.values()]
    joined = not all(n.criterion is None for n in points)
    ax.plot(x, y, "-" if joined else "", color=style.color, lw=1.4, zorder=2, gid=f"line-{name}")
    own = [i for i, n in enumerate(points) if not joined or n.criterion is not None]
    ax.errorbar(
        [x[i] for i in own],
        [y[i] for i in own],
        yerr=[half[i] for i in own],
        fmt=style.marker,
        color=style.color,
        ms=6 if style.marker in "osD" else 8,
        elinewidth=1.4,
        capsize=0,
        zorder=4 if not joined else 3,
        label=name,
    )


def _half(estimate: Estimate) -> float:
    """Half the width of the interval; 0 where the error is unknown, which leaves the bare point."""
    if estimate.standard_error is None:
        return 0.0
    return estimate.interval(CONFIDENCE)[1] - estimate.value


def _level(ax: Axes, y: float, text: str, gid: str) -> None:
    """A dashed line over the whole width, named outside the axes where no data can be hidden."""
    ax.axhline(y, color=MUTED, lw=1.1, ls=(0, (5, 3)), zorder=1, gid=gid)
    ax.text(
        1.02,
        y,
        text,
        transform=ax.get_yaxis_transform(),
        color=MUTED,
        fontsize=9.5,
        va="center",
        linespacing=1.1,
    )


def _wants_log(column: Sequence[Record]) -> bool:
    """Whether a score of which lower is better spans more than `_DECADE`, its floor included."""
    if any(r.higher_is_better is not False for r in column if r.value is not None):
        return False
    drawn = [v for r in column for v in (r.value, r.floor) if v is not None]
    return bool(drawn) and min(drawn) > 0 and max(drawn) > _DECADE * min(drawn)


def _scale_by_log(ax: Axes, column: Sequence[Record]) -> None:
    """The log scale, around all that is drawn and above 0."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    drawn = [r.floor for r in column if r.floor is not None]
    for score in filter(None, map(estimate_of, column)):
        drawn += [score.value, score.value - _half(score), score.value + _half(score)]
    points = [r.value for r in column if r.value is not None]
    low = max(min(v for v in drawn if v > 0), min(points) / _DECADE)
    high = max(drawn)
    pad = (high / low) ** 0.06
    ax.set_yscale("log", nonpositive="clip")
    ax.set_ylim(low / pad, high * pad)
    ax.yaxis.set_major_locator(LogLocator(subs=(1.0, 3.0) if high < 1000 * low else (1.0,)))
    ax.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:,.0f}" if y < 1e5 else f"{y:.0e}"))
    ax.yaxis.set_minor_locator(NullLocator())


def _balanced(text: str) -> str:
    """The text in as few lines as the margin allows, and those as even as can be; four at most."""
    lines = textwrap.wrap(text, _MARGIN, max_lines=4, placeholder=" …")
    widths = range(max(map(len, text.split())), _MARGIN)
    even = (textwrap.wrap(text, width) for width in widths)
    return "\n".join(next((found for found in even if len(found) == len(lines)), lines))


def _span(grid: Grid) -> float:
    ratios = [n.expansion_ratio for n in grid.networks]
    return (max(ratios) - min(ratios)) or 1.0


def _from_zero(ax: Axes) -> None:
    ax.set_ylim(0, 1.06 * ax.get_ylim()[1])


def _dress(ax: Axes, grid: Grid, title: str, subtitle: str) -> None:
    """What all panels share: I/H falls to the right, ticks at the ratios that were measured."""
    ratios = sorted({n.expansion_ratio for n in grid.networks}, reverse=True)
    span, ticks = _span(grid), ratios[:1]
    for ratio in ratios[1:]:
        if ticks[-1] - ratio > 0.1 * span:
            ticks.append(ratio)
    ax.set_xlim(ratios[0] + 0.06 * span, ratios[-1] - 0.06 * span)
    ax.set_xticks(ticks, [f"{tick:.2f}" for tick in ticks])
    ax.set_xlabel("expansion ratio I/H (dense left, narrower to the right)", color=MUTED, size=10)
    box = ax.get_position()
    left = -box.x0 / box.width  # flush with the figure, as the caption below it is
    ax.text(left, 1.15, title, transform=ax.transAxes, color=INK, size=13, weight="bold")
    ax.text(left, 1.055, subtitle, transform=ax.transAxes, color=MUTED, size=10)
    ax.tick_params(colors=MUTED, labelsize=10, length=0, pad=5)
    ax.grid(axis="y", color=RULE, lw=0.8)
    ax.set_axisbelow(True)
    ax.patch.set_visible(False)
    for side, spine in ax.spines.items():
        spine.set_visible(side == "bottom")
        spine.set_color(RULE)


def legend(grid: Grid) -> list[dict[str, Any]]:
    """What each mark means, for the one legend above all figures."""
    entries = (
        [{"glyph": DENSE_STYLE.glyph, "color": "var(--ink)", "name": "dense"}] if grid.dense else []
    )
    for criterion in grid.criteria:
        style = style_of(criterion)
        name = f"{criterion} control" if criterion == CONTROL else criterion
        entries.append({"glyph": style.glyph, "color": style.color, "name": name})
    return entries
