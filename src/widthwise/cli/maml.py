"""`widthwise maml`: first-order MAML on Omniglot, finite networks beside their limit."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import click

from .figure_options import save_figure
from .interrupts import RUNS_KEPT, interruption
from .options import networks_options, out_option, parse_networks
from .run_lines import check_same, make_folder
from .save_pages import save_page

if TYPE_CHECKING:
    from ..experiments.maml import Key, MamlResult, MamlSettings, MetaRecipe, Omniglot

_DICTIONARY = ("gp", "ntk")  # whose steps get slower
_KERNELS = ("linear", *_DICTIONARY)


@click.command(short_help="Meta-train networks and their limit on Omniglot.")
@click.option(
    "--data",
    required=True,
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Omniglot at 28x28: .npz with the images X and the classes train, val and test.",
)
@networks_options("--widths", "2,8,32,128,512,2048,8192", "Linear, ReLU GP and NTK")
@click.option(
    "--steps",
    type=click.IntRange(1, 10_000_000),
    default=10_000,
    show_default=True,
    help="Of meta-training.",
)
@click.option(
    "--kernel-steps",
    type=click.IntRange(1, 10_000_000),
    default=100,
    show_default=True,
    help="Of the ReLU kernels, whose steps get slower the more images they have met.",
)
@click.option(
    "--seeds", type=click.IntRange(1, 1000), default=1, show_default=True, help="Runs of each."
)
@click.option("--lr", type=float, help="Learning rate of all; by default the paper's of each.")
@out_option(
    "widthwise-maml",
    "Folder for results.jsonl, maml.png and report.html; what is there is not run again.",
)
@interruption(RUNS_KEPT)
def maml(
    data: Path,
    widths: tuple[int, ...],
    limit: bool,
    kernels: bool,
    steps: int,
    kernel_steps: int,
    seeds: int,
    lr: float | None,
    out: Path,
) -> None:
    """Meta-train linear muP networks, their limit and kernels by first-order MAML on Omniglot.

    5-way 1-shot: of 5 new characters with one image each, which is the other image? A run that
    diverges is kept with its reason. The same command goes on where it was interrupted.

    Example: widthwise maml --data omniglot28.npz --widths 2,8,32 --steps 1000 -o my-maml
    """
    from ..experiments.maml import draw_runs, load_omniglot

    asked = parse_networks("--widths", widths, limit, _KERNELS if kernels else ())
    jobs = [
        _job(network, width, seed, lr, kernel_steps if network in _DICTIONARY else steps)
        for seed in range(seeds)
        for network, width in asked
    ]
    images = load_omniglot(data)
    digest = hashlib.sha256(data.read_bytes()).hexdigest()
    make_folder(out)
    found = _run(images, jobs, out / "results.jsonl", digest)
    save_figure(draw_runs(found), out / "maml.png")
    _print(found)
    save_page(out)


@dataclass(frozen=True, kw_only=True)
class _Job:
    """A run that is asked for."""

    network: str
    width: int | None
    seed: int
    recipe: MetaRecipe
    settings: MamlSettings

    @property
    def key(self) -> Key:
        return self.network, self.width, self.seed

    @property
    def name(self) -> str:
        """What it is called."""
        from ..experiments.maml import label_of

        return f"{label_of(self.network, self.width)}, seed {self.seed}"


def _job(network: str, width: int | None, seed: int, lr: float | None, steps: int) -> _Job:
    from ..experiments.maml import MamlSettings, recipe_of

    recipe = recipe_of(network, width)
    return _Job(
        network=network,
        width=width,
        seed=seed,
        recipe=recipe if lr is None else replace(recipe, lr=lr),
        settings=MamlSettings(steps=steps),
    )


def _run(images: Omniglot, jobs: Sequence[_Job], path: Path, digest: str) -> list[MamlResult]:
    """All runs, those that the file holds from there; the others are added to it as they end."""
    from rich.console import Console

    from ..experiments.maml import append, load, settings_of
    from .tables import Eta, progress

    known, kept = load(path), {}
    for job in jobs:
        kept[job.key] = settings_of(job.settings, job.recipe, digest)
        if job.key in known:
            check_same(path, job.name, known[job.key][1], kept[job.key])
    missing = [job for job in jobs if job.key not in known]
    results = {job.key: known[job.key][0] for job in jobs if job.key in known}
    console, left, done = Console(stderr=True), Eta(), 0
    total = sum(job.settings.steps for job in missing)
    with progress(console) as bar:
        task = bar.add_task("preparing", total=1.0, left="")
        for job in missing:

            def tell(step: int, done: int = done, label: str = job.name) -> None:
                share = (done + step) / total
                bar.update(task, completed=share, description=label, left=left(share))

            result = results[job.key] = _train(images, job, tell)
            append(path, result, kept[job.key])
            console.print(f"{job.name}: {_said(result)}", highlight=False, markup=False)
            done += job.settings.steps
    return [results[job.key] for job in jobs]


def _train(images: Omniglot, job: _Job, on_step: Callable[[int], None]) -> MamlResult:
    from ..experiments.maml import meta_train

    return meta_train(
        images,
        job.network,
        job.width,
        seed=job.seed,
        settings=job.settings,
        recipe=job.recipe,
        on_step=on_step,
    )


def _said(result: MamlResult) -> str:
    """A run in a few words."""
    if result.test is None:
        return f"missing: {result.reason}"
    error = result.test.standard_error or 0.0
    score = f"{100 * result.test.accuracy:.2f} ± {100 * error:.2f} %"
    return f"{score} on {result.test.tasks:,} tasks, {result.duration_sec:.0f} s"


def _print(results: Sequence[MamlResult]) -> None:
    """A row a network: its mean accuracy, and how fast it trained."""
    from rich.console import Console

    from ..experiments.maml import summary
    from .tables import WIDE, print_rows, print_wrapped

    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = WIDE
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
        for run in row.runs:
            if run.reason is not None:
                notes.append(f"{row.label}, seed {run.seed}: {run.reason}")
    print_rows(console, header, rows, [0] * len(header))
    for note in notes:
        print_wrapped(console, note)
    print_wrapped(
        console, "Standard errors are over seeds; all networks of a seed meet the same tasks."
    )
