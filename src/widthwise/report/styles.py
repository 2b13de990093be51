"""How everything looks in every figure: one colour, one marker and one glyph each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ..figures import BLUE, GREEN, INK, MUTED, OCHRE, ORANGE, PINK, SKY
from ..prune import MEANINGS
from ..study import REFIT, SCALES, base_criterion, is_control


@dataclass(frozen=True, kw_only=True)
class Style:
    """How a criterion looks: a colour, a matplotlib marker, the same as text, and its line."""

    color: str
    marker: str
    glyph: str
    line: str = "-"


# Each has a contrast of 3 or more on the light and on the dark page, and a marker of its own:
# colour never carries meaning alone.
CRITERION_STYLE = {
    "ppm": Style(color=BLUE, marker="o", glyph="●"),
    "random": Style(color=ORANGE, marker="s", glyph="■", line="--"),
    "max_abs": Style(color=GREEN, marker="^", glyph="▲"),
    "vow": Style(color=PINK, marker="v", glyph="▼"),
    "pon": Style(color=OCHRE, marker="P", glyph="✚"),
    "l2": Style(color=SKY, marker="X", glyph="✖"),
    "ppm_activation": Style(color="#7d6ab8", marker="*", glyph="★"),
    "activation": Style(color="#7a8a00", marker="<", glyph="◀"),
    "obs": Style(color="#a0622d", marker="d", glyph="♦"),
    "activation+refit": Style(color="#2f8a1f", marker=">", glyph="▶"),
    "obs+refit": Style(color="#c23f9e", marker="p", glyph="⬟"),
    "ppm+refit": Style(color="#5670d0", marker="$✦$", glyph="✦"),
    "random+refit": Style(color="#d0405f", marker="$✹$", glyph="✹"),
    "activation+refit+scales": Style(color="#0f7f6e", marker="H", glyph="⬣"),
}
DENSE_STYLE = Style(color=INK, marker="D", glyph="◆")
OTHER_STYLE = Style(color=MUTED, marker="h", glyph="⬢")
# Of what has no style of its own, in the colour of its criterion.
_MARKS = {REFIT: "✶", REFIT + SCALES: "✷"}
LINES = ("-", "--", "-.", ":")
_DONE = {
    "": "",
    REFIT: "; down_proj is refitted",
    REFIT + SCALES: "; down_proj is refitted, and rows of the weights are scaled",
}
_OF_STUDIES = 7  # the first styles above, whose colours tell studies or workloads apart: keep them
_COLORS = tuple(style.color for style in CRITERION_STYLE.values())[:_OF_STUDIES]


def style_of(criterion: str | None) -> Style:
    """The style of a criterion; dense is None, a criterion without a style of its own is grey.

    All draws of the random control look alike.
    """
    if criterion is None:
        return DENSE_STYLE
    chosen = base_criterion(criterion)
    base, more = chosen.partition("~")[0], criterion.removeprefix(chosen)
    if more and base in CRITERION_STYLE and base + more not in CRITERION_STYLE:
        mark = _MARKS[more]
        return replace(CRITERION_STYLE[base], marker=f"${mark}$", glyph=mark, line="-.")
    return CRITERION_STYLE.get(base + more, OTHER_STYLE)


def meaning_of(criterion: str) -> str:
    """Which neurons a criterion keeps and what is done further, as a sentence; "" of a criterion
    that is not known here.

    >>> meaning_of("activation")
    'activation: neurons that stay are those that a text uses the most.'
    """
    chosen = base_criterion(criterion)
    base, more = chosen.partition("~")[0], criterion.removeprefix(chosen)
    if base not in MEANINGS or more not in _DONE:
        return ""
    return f"{base}{more}: neurons that stay are {MEANINGS[base]}{_DONE[more]}."


def style_in(place: int, criterion: str | None) -> Style:
    """The style of one of several studies side by side.

    Colour and line are the study's, the marker tells the criterion. After as many studies as there
    are colours, the colours return with another line.
    """
    turn = place + place // len(_COLORS)
    line = ":" if is_control(criterion) else LINES[turn % 3]
    return replace(style_of(criterion), color=_COLORS[place % len(_COLORS)], line=line)


def workload_styles(names: Sequence[str]) -> dict[str, Style]:
    """The styles of the workloads of a figure, in their order."""
    known = list(CRITERION_STYLE.items())[:_OF_STUDIES]
    looks = [style for name, style in known if name != "random"]
    return {
        name: replace(looks[i % len(looks)], line=LINES[i % len(LINES)])
        for i, name in enumerate(names)
    }
