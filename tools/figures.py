"""Draw the pictures of README.md and docs from the stored records."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from matplotlib import rc_context
from matplotlib.figure import Figure

from widthwise.report import CRITERION_STYLE, plot_quality
from widthwise.report.svg import HEIGHT, INNER, WIDTH
from widthwise.study import Record, read_study

ROOT = Path(__file__).parent.parent
THREE_TASKS = ("prose", "hellaswag", "arc_easy")  # two fall, one is hardly above its floor
COLUMNS = 3
LEGEND = {  # criteria, and what they are called
    "ppm": "ppm",
    "ppm_activation": "ppm_activation",
    "activation+refit": "activation+refit",
    "random": "random control",
}
PHOTO_CLASSES = 10  # classes of the photos behind the search
LEGEND_HEIGHT = 24  # points above all panels


def draw(records: Sequence[Record], quantities: Sequence[str]) -> Figure:
    """A panel a quantity, three in a row, and what the colours mean."""
    rows = -(-len(quantities) // COLUMNS)
    height = rows * HEIGHT + LEGEND_HEIGHT
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
    for criterion, name in LEGEND.items():
        if criterion in drawn:
            style, y = CRITERION_STYLE[criterion], 1 - 12 / height
            figure.text(x, y, f"{style.glyph} {name}", color=style.color, size=10.5, va="center")
            x += 0.049 + 0.007 * len(name)
    return figure


@contextmanager
def saved(picture: str) -> Iterator[Callable[[Figure], None]]:
    """Within, figures of the same records are the same bytes every time."""
    with rc_context({"svg.hashsalt": picture.removesuffix(".svg")}):
        yield lambda figure: figure.savefig(ROOT / "docs" / picture, metadata={"Date": None})


def save_scores(name: str, quantities: Sequence[str], picture: str) -> None:
    """Draw these quantities of a records file, by default all scores."""
    found = read_study(ROOT / "results" / name).records
    quantities = quantities or list(dict.fromkeys(r.quantity for r in found if r.floor_kind))
    with saved(picture) as save:
        save(draw(found, quantities))


def save_runs() -> None:
    """Draw the experiments beside language models, each from its own kind of runs."""
    from widthwise.experiments.lr_transfer import draw_transfer, optimum_shifts
    from widthwise.experiments.lr_transfer import results as transfer
    from widthwise.experiments.maml import draw_runs as draw_maml
    from widthwise.experiments.maml import results as maml
    from widthwise.experiments.tinynet_search import draw_search
    from widthwise.experiments.tinynet_search.findings import tiny_findings
    from widthwise.experiments.tinynet_search.trials import load_trials
    from widthwise.experiments.word2vec import draw_runs as draw_words
    from widthwise.experiments.word2vec import results as word2vec

    at = ROOT / "results"
    meta = [run for run, _ in maml.load(at / "maml" / "results.jsonl").values()]
    words = [run for run, _ in word2vec.load(at / "word2vec" / "results.jsonl").values()]
    rates = [run for run, _ in transfer.load(at / "transfer-256" / "results.jsonl").values()]
    trials = load_trials(at / "tinynet-search")
    note = f"{len({run.seed for run in rates})} seeds, whose single runs are faint; 95 % intervals."
    for picture, draw_it in (
        ("maml.svg", lambda: draw_maml(meta)),
        ("word2vec.svg", lambda: draw_words(words)),
        ("transfer.svg", lambda: draw_transfer(optimum_shifts(rates), note)),
        ("tinynet-search.svg", lambda: draw_search(tiny_findings(trials, classes=PHOTO_CLASSES))),
    ):
        with saved(picture) as save:
            save(draw_it())


if __name__ == "__main__":
    save_scores("smollm2-demo.jsonl", THREE_TASKS, "smollm2.svg")
    save_scores("smollm2-paper.jsonl", (), "smollm2-paper.svg")
    save_scores("smollm2-criteria.jsonl", THREE_TASKS, "smollm2-criteria.svg")
    save_runs()
