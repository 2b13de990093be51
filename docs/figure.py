"""Draw the pictures of README.md and docs/evaluate.md from the stored records."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib import rc_context
from matplotlib.figure import Figure

from widthwise.report import CRITERION_STYLE, plot_quality
from widthwise.study import Record, load

ROOT = Path(__file__).parent.parent
SHOWN = ("prose", "hellaswag", "arc_easy")  # of the demo: the first two the dense model beats
COLUMNS = 3


def draw(records: Sequence[Record], quantities: Sequence[str]) -> Figure:
    """A panel a quantity, three in a row, and what the colours mean."""
    rows = -(-len(quantities) // COLUMNS)
    figure = Figure(figsize=(15.6, 3.8 * rows), facecolor="white")
    panels = figure.subfigures(rows, COLUMNS, squeeze=False).flat
    for quantity, part in zip(quantities, panels, strict=False):
        axes = part.add_axes((0.105, 0.165, 0.71, 0.645))
        plot_quality([r for r in records if r.quantity == quantity], axes)
        axes.margins(y=0.1)
        axes.autoscale(axis="y")
    top = 1 - 1 / rows
    for criterion, y in (("ppm", 0.6), ("random", 0.53)):
        style = CRITERION_STYLE[criterion]
        figure.text(0.045, top + y / rows, f"{style.glyph} {criterion}", color=style.color, size=11)
    return figure


def save(records: Path, quantities: Sequence[str], picture: Path) -> None:
    """Draw these quantities of a records file, by default all scores; the same bytes every time."""
    found = load(records)
    quantities = quantities or list(dict.fromkeys(r.quantity for r in found if r.floor_kind))
    with rc_context({"svg.hashsalt": picture.stem}):
        draw(found, quantities).savefig(picture, metadata={"Date": None})


if __name__ == "__main__":
    save(ROOT / "results" / "smollm2-demo.jsonl", SHOWN, ROOT / "docs" / "smollm2.svg")
    save(ROOT / "results" / "smollm2-paper.jsonl", (), ROOT / "docs" / "smollm2-paper.svg")
