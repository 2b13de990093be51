"""Draw the pictures of README.md and docs/evaluate.md from the stored records."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib import rc_context
from matplotlib.figure import Figure

from widthwise.report import CRITERION_STYLE, plot_quality
from widthwise.report.svg import HEIGHT, INNER, WIDTH
from widthwise.study import Record, read_study

ROOT = Path(__file__).parent.parent
SHOWN = ("prose", "hellaswag", "arc_easy")  # of the demo: two that fall, and one at its floor
COLUMNS = 3
TOLD = {name: name for name in ("ppm", "activation+refit")} | {"random": "random control"}
KEY = 24  # points above all panels, for what the colours mean


def draw(records: Sequence[Record], quantities: Sequence[str]) -> Figure:
    """A panel a quantity, three in a row, and what the colours mean."""
    rows = -(-len(quantities) // COLUMNS)
    height = rows * HEIGHT + KEY
    figure = Figure(figsize=(COLUMNS * WIDTH / 72, height / 72), facecolor="white")
    left, bottom, width, tall = INNER
    for place, quantity in enumerate(quantities):
        row, column = divmod(place, COLUMNS)
        low = (rows - 1 - row + bottom) * HEIGHT / height
        inner = ((column + left) / COLUMNS, low, width / COLUMNS, tall * HEIGHT / height)
        axes = figure.add_axes(inner)
        plot_quality([r for r in records if r.quantity == quantity], axes)
        axes.margins(y=0.1)
        axes.autoscale(axis="y")
    drawn = {record.criterion for record in records}
    x = 0.002
    for criterion, name in TOLD.items():
        if criterion in drawn:
            style, y = CRITERION_STYLE[criterion], 1 - 12 / height
            figure.text(x, y, f"{style.glyph} {name}", color=style.color, size=10.5, va="center")
            x += 0.049 + 0.007 * len(name)
    return figure


def save(records: Path, quantities: Sequence[str], picture: Path) -> None:
    """Draw these quantities of a records file, by default all scores; the same bytes every time."""
    found = read_study(records).records
    quantities = quantities or list(dict.fromkeys(r.quantity for r in found if r.floor_kind))
    with rc_context({"svg.hashsalt": picture.stem}):
        draw(found, quantities).savefig(picture, metadata={"Date": None})


if __name__ == "__main__":
    save(ROOT / "results" / "smollm2-demo.jsonl", SHOWN, ROOT / "docs" / "smollm2.svg")
    save(ROOT / "results" / "smollm2-paper.jsonl", (), ROOT / "docs" / "smollm2-paper.svg")
