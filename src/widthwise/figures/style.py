"""How all figures look: colours, axes, and the lines above them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, MUTED, RULE, PAGE = "#1d2024", "#646a72", "#dcdfe3", "#ffffff"
# Wong 2011 (doi 10.1038/nmeth.1618), darkened where needed: each has a contrast of 3 or more on
# the light and on the dark page.
BLUE, ORANGE, GREEN, PINK, OCHRE, SKY = (
    *("#0072b2", "#d55e00", "#00916a"),
    *("#b8608f", "#96751a", "#3f87b8"),
)
KERNEL, FEATURE, UNSTABLE = BLUE, ORANGE, "#f1f2f4"  # regimes of infinite width
SERIES = tuple(zip((BLUE, ORANGE, GREEN, PINK, OCHRE, SKY), "os^vPX", strict=True))
_NARROW, _WIDE = (0.72, 0.83, 0.93), (0.0, 0.28, 0.45)  # two blues


def write_head(figure: Figure, title: str, note: str, heights: tuple[float, float]) -> None:
    """Title and note above the axes, at their heights in shares of the figure."""
    figure.text(0.012, heights[0], title, size=13, weight="bold", color=INK)
    figure.text(0.012, heights[1], note, size=9.5, color=MUTED)


def style_axes(
    axes: Axes, title: str, below: str, *, size: float = 10.5, grid: bool = True
) -> None:
    """Set titles, level grid lines and a frame that consists of the x axis alone.

    Args:
        axes: Axes to style.
        title: Title above, at the left.
        below: Label of the x axis.
        size: Size of the title, in points.
        grid: Whether there are grid lines.
    """
    axes.set_title(title, loc="left", color=INK, size=size, pad=8)
    axes.set_xlabel(below, color=MUTED)
    axes.tick_params(colors=MUTED, length=0)
    style_frame(axes, grid=grid)


def style_frame(axes: Axes, *, grid: bool = True) -> None:
    """Draw level grid lines, and a frame that consists of the x axis alone."""
    if grid:
        axes.grid(axis="y", color=RULE, lw=0.8)
        axes.set_axisbelow(True)
    for side, spine in axes.spines.items():
        spine.set_visible(side == "bottom")
        spine.set_color(RULE)


def mark_widths(axes: Axes, widths: Sequence[int]) -> None:
    """Give the x axis a log scale and a tick at each width; without widths do nothing."""
    if widths:
        axes.set_xscale("log")
        axes.set_xticks(widths, [f"{width:,}" for width in widths])
        axes.minorticks_off()


def line_styles(widths: Iterable[int | None]) -> dict[int | None, dict[str, Any]]:
    """Style of a line for each width: blue, darker when wider; None, the limit, in orange."""
    finite = sorted({width for width in widths if width is not None})
    styles: dict[int | None, dict[str, Any]] = {None: {"color": FEATURE, "lw": 2.0}}
    for width, color in zip(finite, shades(_NARROW, _WIDE, len(finite)), strict=True):
        styles[width] = {"color": color, "lw": 1.3}
    return styles


def shades(first: Sequence[float], last: Sequence[float], count: int) -> list[tuple[float, ...]]:
    """Colours from one to another, in equal steps."""
    shares = [place / max(1, count - 1) for place in range(count)]
    return [
        tuple(a + share * (b - a) for a, b in zip(first, last, strict=True)) for share in shares
    ]
