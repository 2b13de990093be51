"""`widthwise maml`: first-order MAML on Omniglot, finite networks beside their limit."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import click

from ..io import file_sha256
from ..runs import RESULTS
from .figure_options import save_figure
from .interrupts import RUNS_KEPT, interruption
from .json_output import json_option, print_json, wants_json, without
from .options import (
    list_option,
    networks_options,
    out_option,
    parse_ascending,
    parse_networks,
)
from .progress_bar import progress_bar
from .save_pages import save_page
from .tables import print_rows, print_wrapped, table_console

if TYPE_CHECKING:
    from ..experiments.maml import MamlJob, MamlResult


@click.command()
@click.option(
    "--data",
    required=True,
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Omniglot at 28x28: .npz with the images X and the classes train, val and test.",
)
@networks_options("--widths", "2,8,32,128,512,2048,8192", "Linear, ReLU GP and NTK")
@list_option(
    "--relu-widths",
    callback=parse_ascending,
    default="512",
    help="Widths of finite ReLU networks, to set beside the ReLU kernels; '' for none.",
)
@click.option("--ways", type=int, default=5, help="Classes of a task.")
@click.option(
    "--shots", type=int, default=1, help="Images of each class to learn from; one more is asked."
)
@click.option(
    "--steps",
    type=click.IntRange(1, 10_000_000),
    default=10_000,
    help="Steps of meta-training.",
)
@click.option(
    "--kernel-steps",
    type=click.IntRange(1, 10_000_000),
    default=100,
    help="Steps of the ReLU kernels, which get slower with each image that they see.",
)
@click.option(
    "--seeds",
    type=click.IntRange(1, 1000),
    default=1,
    help="Runs of each network.",
)
@click.option("--lr", type=float, help="Learning rate. Default: the paper's for each.")
@out_option(
    "widthwise-maml",
    "Folder for results.jsonl, maml.png and report.html; what is there is not run again.",
)
@json_option
@interruption(RUNS_KEPT)
def maml(
    data: Path,
    widths: tuple[int, ...],
    out: Path,
    *,
    limit: bool,
    kernels: bool,
    relu_widths: tuple[int, ...],
    **options: Any,
) -> None:
    """Meta-train muP networks, their limit and kernels by first-order MAML on Omniglot.

    Networks are linear, as their limit is, and ReLU. 5-way 1-shot: which of 5 new characters, with
    one image each, does another image show? A run that diverges is kept with its reason. If it is
    interrupted, the same command continues it.

    Example: widthwise maml --data omniglot28.npz --widths 2,8,32 --steps 1000 -o my-maml
    """
    from ..experiments.maml import FORMAT, MamlNetwork, draw_runs, load_omniglot, run_maml

    kinds = tuple(MamlNetwork.kernel_names) if kernels else ()
    networks = parse_networks("--widths", widths, limit, kinds, {"relu": relu_widths})
    jobs = _jobs(networks, **options)
    click.get_current_context().with_resource(FORMAT.folder(out).held())
    images = load_omniglot(data)
    images.check_tasks(options["ways"], options["shots"])
    digest = file_sha256(data)
    with progress_bar(RUNS_KEPT) as bar:
        results = run_maml(images, jobs, out, data=digest, **bar.results(_describe))
    save_figure(draw_runs(results, ways=options["ways"], shots=options["shots"]), out / "maml.png")
    _print(results, options["ways"])
    save_page(out / RESULTS)
    if wants_json():
        print_json({"folder": out, "report": out / "report.html", "networks": _values(results)})


def _jobs(
    networks: Sequence[tuple[str, int | None]],
    *,
    steps: int,
    kernel_steps: int,
    seeds: int,
    lr: float | None,
    **tasks: int,
) -> list[MamlJob]:
    from ..experiments.maml import MamlJob, MamlSettings

    settings = {
        is_slow: MamlSettings(steps=kernel_steps if is_slow else steps, **tasks)
        for is_slow in (False, True)
    }
    return [
        MamlJob(
            network=network,
            width=width,
            seed=seed,
            settings=settings[network in MamlJob.slow_kernels],
            lr=lr,
        )
        for seed in range(seeds)
        for network, width in networks
    ]


def _values(results: Sequence[MamlResult]) -> list[dict[str, Any]]:
    """A network without its runs, which results.jsonl has."""
    from ..experiments.maml import summary

    return [without(row, "runs") for row in summary(results)]


def _describe(result: MamlResult) -> str:
    """A run in a few words."""
    if result.test is None:
        return f"missing: {result.reason}"
    error = result.test.standard_error or 0.0
    score = f"{100 * result.test.accuracy:.2f} ± {100 * error:.2f} %"
    return f"{score} on {result.test.tasks:,} tasks, {result.duration_sec:.0f} s"


def _print(results: Sequence[MamlResult], ways: int) -> None:
    """A row a network: its mean accuracy, and how fast it trained."""
    from ..experiments.maml import collapse, summary

    console = table_console()
    header = ["network", "accuracy [%]", "std. error", "seeds", "best step", "steps/s"]
    rows, notes = [], []
    for row in summary(results):
        value = error = "-"
        if row.estimate is not None:
            value = f"{100 * row.estimate.value:.2f}"
        if row.estimate is not None and row.estimate.standard_error is not None:
            error = f"{100 * row.estimate.standard_error:.2f}"
        good = [run for run in row.runs if run.test is not None]
        best = ", ".join(f"{run.best_step:,}" for run in good) or "-"
        speeds = [run.steps_per_sec for run in good if run.steps_per_sec is not None]
        speed = f"{median(speeds):,.0f}" if speeds else "-"
        rows.append([row.label, value, error, str(len(good)), best, speed])
        notes += [f"{run.title}: {run.reason}" for run in row.runs if run.reason is not None]
        notes += filter(None, (collapse(run, ways) for run in row.runs))
    print_rows(console, header, rows)
    for note in notes:
        print_wrapped(console, note)
    print_wrapped(
        console, "Standard errors are over seeds; all networks of a seed meet the same tasks."
    )
