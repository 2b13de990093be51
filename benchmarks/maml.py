"""First-order MAML on Omniglot, the whole table: ours beside the published one.

    python benchmarks/maml.py --data omniglot28.npz
    python benchmarks/maml.py --data omniglot28.npz --seeds 3 -o results/maml

Runs `widthwise maml` with all its defaults (7 widths, their limit, three kernels), which
goes on where it was, prints each accuracy beside that of arXiv 2011.14522, Table 2, and draws
both (published.png). Goals: width 2 within 2.5 points, the limit 0.5, kernels 1, other widths
within two published standard deviations and two standard errors of ours; 10,000 meta-steps of
the limit in 40 s on 2 cores.
"""

from __future__ import annotations

from pathlib import Path
from statistics import median

import click

from widthwise.cli import main as cli
from widthwise.cli.figure_options import save_figure
from widthwise.experiments.maml import MamlNetwork, MamlResult, QueryScore, draw_runs, load

# Label: accuracy, its standard deviation over seeds, and how far off is allowed (None: by errors).
PUBLISHED: dict[tuple[str, int | None], tuple[float, float, float | None]] = {
    ("finite", 2): (55.34, 1.24, 2.5),
    ("finite", 8): (64.54, 0.70, None),
    ("finite", 32): (66.21, 0.15, None),
    ("finite", 128): (66.31, 0.16, None),
    ("finite", 512): (66.43, 0.23, None),
    ("finite", 2048): (66.36, 0.22, None),
    ("finite", 8192): (66.41, 0.18, None),
    ("limit", None): (66.42, 0.19, 0.5),
    ("linear", None): (41.68, 0.09, 1.0),
    ("gp", None): (47.60, 0.02, 1.0),
    ("ntk", None): (47.82, 0.04, 1.0),
}


@click.command()
@click.option("--data", required=True, type=click.Path(path_type=Path), metavar="FILE")
@click.option("--seeds", default=1, show_default=True)
@click.option("-o", "--out", default=Path("widthwise-maml"), type=click.Path(path_type=Path))
def main(data: Path, seeds: int, out: Path) -> None:
    """Meta-train everything and set it beside the published table."""
    words = ["--data", data, "--seeds", seeds, "-o", out]
    cli(["maml", *map(str, words)], standalone_mode=False)
    runs = [run for run, _ in load(out / "results.jsonl").values() if run.seed < seeds]
    click.echo(f"\n{'network':14}{'ours':>7}{'error':>7}{'published':>11}{'off':>7}")
    for (network, width), published in PUBLISHED.items():
        of_it = [run for run in runs if (run.network, run.width) == (network, width)]
        scores = [run.test for run in of_it if run.test is not None]
        click.echo(f"{label_of(network, width):14}{beside(scores, *published)}")
    click.echo(speed([run for run in runs if run.network == "limit"]))
    paper = {label_of(*key): accuracy / 100 for key, (accuracy, _, _) in PUBLISHED.items()}
    save_figure(draw_runs(runs, paper=paper), out / "published.png")


def label_of(network: str, width: int | None) -> str:
    """What a network is called in tables and figures."""
    return MamlNetwork(network=network, width=width).label


def beside(
    scores: list[QueryScore], accuracy: float, deviation: float, allowed: float | None
) -> str:
    """Our mean, its error over tasks, the published number, and whether it is near enough."""
    if not scores:
        return "missing"
    mean = 100 * sum(score.accuracy for score in scores) / len(scores)
    error = 100 * sum((score.standard_error or 0) ** 2 for score in scores) ** 0.5 / len(scores)
    off = mean - accuracy
    near = abs(off) <= (allowed or 2 * (deviation**2 + error**2) ** 0.5)
    return f"{mean:7.2f}{error:7.2f}{accuracy:11.2f}{off:+7.2f}  {'ok' if near else 'OFF'}"


def speed(runs: list[MamlResult]) -> str:
    """How long 10,000 meta-steps of the limit take, validations not counted."""
    speeds = [run.steps_per_sec for run in runs if run.steps_per_sec]
    if not speeds:
        return "speed of the limit: missing"
    return f"10,000 meta-steps of the limit: {10_000 / median(speeds):.1f} s, goal 40 s on 2 cores"


if __name__ == "__main__":
    main()
