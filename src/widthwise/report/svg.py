"""A figure as an element of the page and as a file of its own: text stays text, nothing is drawn
twice that a reader does not see."""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from html import escape
from io import StringIO
from typing import TYPE_CHECKING

from ..figures import INK, MUTED, PAGE, RULE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_POINTS = 72  # in an inch
WIDTH, HEIGHT = 284, 210  # points: four panels to a page, about one point a pixel
LEFT, _RIGHT, _BOTTOM, _TOP = 40, 42, 38, 44  # points around the axes
INNER = (  # the axes, in shares of the figure
    LEFT / WIDTH,
    _BOTTOM / HEIGHT,
    (WIDTH - LEFT - _RIGHT) / WIDTH,
    (HEIGHT - _BOTTOM - _TOP) / HEIGHT,
)
_COLOURS = {INK: "var(--ink)", MUTED: "var(--muted)", RULE: "var(--rule)", PAGE: "var(--page)"}
_FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
_PLACES = re.compile(r'\b(?:d|x|y|transform)="[^"]*"')
_DRAWS_NOTHING = (
    re.compile(r"<!--.*?-->|<defs>\s*<style.*?</style>\s*</defs>", re.DOTALL),
    re.compile(r"font-family: [^;\"]*;? ?"),
    re.compile(r' transform="rotate\(-0 [^)]*\)"'),
    re.compile(
        r' id="(?:figure|axes|xtick|ytick|line2d|text|patch|LineCollection|legend'
        r'|matplotlib\.axis)_\d+"'
    ),
    re.compile(r"<g/>"),
)


def panel() -> tuple[Figure, Axes]:
    """An empty figure of the page's size, apart from pyplot and its global state."""
    figure = blank(WIDTH, HEIGHT)
    return figure, figure.add_axes(INNER)


def blank(width: float, height: float) -> Figure:
    """A figure without axes of so many points, apart from pyplot and its global state."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width / _POINTS, height / _POINTS))
    figure.patch.set_visible(False)
    return figure


def to_viewbox(ax: Axes, x: float, y: float) -> tuple[float, float]:
    """Where a point of the data lies on the panel, in the units of its `viewBox`."""
    right, up = ax.transData.transform((x, y)) * _POINTS / ax.figure.dpi
    figure = ax.get_figure(root=True)
    assert figure is not None  # all axes here are of one
    height = figure.get_figheight() * _POINTS
    return round(float(right), 1), round(height - float(up), 1)


def to_svg(figure: Figure, *, name: str, title: str, description: str) -> str:
    """The figure as an `<svg>` element for a page: text stays text, no identifier is used twice.

    Args:
        name: Prefix of every identifier; letters, digits and hyphens.
        title: Read by screen readers.
        description: The data in words.
    """
    from matplotlib import rc_context

    buffer = StringIO()
    nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": name}):
        figure.savefig(buffer, format="svg", metadata=nothing)
    svg = buffer.getvalue()
    svg = _slim(svg[svg.index("<svg") :].strip())
    svg = re.sub(r'\bid="', f'id="{name}-', svg)
    svg = re.sub(r'(url\(|href=")#', rf"\1#{name}-", svg)
    for color, variable in _COLOURS.items():
        svg = svg.replace(color, variable)
    box = re.search(r'viewBox="[^"]+"', svg)
    assert box is not None  # matplotlib always writes one
    head = (
        f'<svg {box[0]} role="img" aria-labelledby="{name}-title {name}-desc">'
        f'<title id="{name}-title">{escape(title)}</title>'
        f'<desc id="{name}-desc">{escape(description)}</desc>'
    )
    return head + svg[svg.index(">") + 1 :]


def standalone_svg_uri(svg: str, legend: Sequence[tuple[str, str, str]]) -> str:
    """The element as a `data:` link to a file for papers and slides: black ink on white.

    Args:
        svg: As `to_svg` returns it.
        legend: Glyph, colour and name of what is drawn, for a line below the figure.
    """
    words = "".join(
        f'<tspan fill="{color}" dx="{8 * bool(i)}">{glyph}</tspan> <tspan>{escape(name)}</tspan>'
        for i, (glyph, color, name) in enumerate(legend)
    )
    match = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', svg)
    assert match is not None  # `to_svg` keeps it
    width, height = map(float, match.groups())
    line = f'<text x="0" y="{height + 10:g}" font-size="9.5" fill="{INK}">{words}</text></svg>'
    svg = svg.replace("</svg>", line if legend else "</svg>")
    box = f'viewBox="0 0 {width:g} {height + (16 if legend else 0):g}"'
    svg = svg.replace(match[0], box, 1)
    for color, variable in _COLOURS.items():
        svg = svg.replace(variable, color)
    spaces = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'
    svg = svg.replace("<svg ", f'<svg {spaces} font-family="{_FONT}" ', 1)
    paper = f'</desc><rect width="100%" height="100%" fill="{PAGE}"/>'
    svg = svg.replace("</desc>", paper, 1)
    return "data:image/svg+xml;base64," + base64.b64encode(svg.encode()).decode()


def css_color(color: str) -> str:
    """A colour as the page has it: ink and paper follow the reader's light or dark."""
    return _COLOURS.get(color, color)


def _slim(svg: str) -> str:
    """Without what draws nothing: identifiers of no use, font lists, digits beyond a hundredth."""
    svg = _PLACES.sub(lambda match: re.sub(r"(\.\d\d)\d+", r"\1", match[0]), svg)
    for pattern in _DRAWS_NOTHING:
        svg = pattern.sub("", svg)
    svg = re.sub(r"\s*\n\s*", "\n", svg)
    while (shorter := re.sub(r"<g>\s*(?:<g>\s*</g>\s*)*</g>\n?", "", svg)) != svg:
        svg = shorter
    return svg
