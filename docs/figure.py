"""Draw docs/smollm2.svg, the README's picture, from the stored records of a demo run."""

from __future__ import annotations

from pathlib import Path

from matplotlib import rc_context
from matplotlib.figure import Figure

from widthwise.report import CRITERION_STYLE, plot_quality
from widthwise.study import load

ROOT = Path(__file__).parent.parent
RECORDS = ROOT / "results" / "smollm2-demo.jsonl"
SHOWN = ("prose", "hellaswag", "arc_easy")


def draw() -> Figure:
    """A panel for prose and for two tasks on which the dense model beats its floor."""
    records = load(RECORDS)
    figure = Figure(figsize=(15.6, 3.8), facecolor="white")
    for quantity, part in zip(SHOWN, figure.subfigures(1, len(SHOWN)), strict=True):
        axes = part.add_axes((0.105, 0.165, 0.71, 0.645))
        plot_quality([r for r in records if r.quantity == quantity], axes)
        axes.margins(y=0.1)
        axes.autoscale(axis="y")
    for criterion, y in (("ppm", 0.6), ("random", 0.53)):
        style = CRITERION_STYLE[criterion]
        figure.text(0.045, y, f"{style.glyph} {criterion}", color=style.color, size=11)
    return figure


if __name__ == "__main__":
    with rc_context({"svg.hashsalt": "smollm2"}):  # the same bytes every time
        draw().savefig(ROOT / "docs" / "smollm2.svg", metadata={"Date": None})
