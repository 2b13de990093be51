"""`widthwise tinynet search`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .engine_options import cores, engine_options, gpus, read_engine
from .json_output import json_option, print_json, wants_json, without
from .options import list_option, out_option, parse_names, parse_seeds, seed_option
from .progress_bar import progress_bar
from .prose import echo
from .save_pages import save_page

if TYPE_CHECKING:
    from ..experiments.tinynet_search import SearchResult, SearchSettings, SearchTrial
    from ..experiments.tinynet_search.findings import TinyFindings
    from ..runs import Event, MakeEngine

_MOST_WORKERS = 8  # by default; each holds the photos, and PyTorch, in memory


def _pair(context: click.Context, parameter: click.Parameter, value: str) -> tuple[float, float]:
    """`0.35-1.4` as two numbers."""
    low, dash, high = value.partition("-")
    try:
        return float(low), float(high if dash else low)
    except ValueError as error:
        raise click.BadParameter(f"{value!r} must be two numbers such as 0.35-1.4") from error


def _pixels(context: click.Context, parameter: click.Parameter, value: str) -> tuple[int, int]:
    low, high = _pair(context, parameter, value)
    if not (low.is_integer() and high.is_integer() and high <= 4096):
        raise click.BadParameter(f"{value!r} must be two whole numbers such as 32-96")
    return int(low), int(high)


@click.command(
    short_help="Search networks on your photos, and fit the formula.",
    epilog="Example: widthwise tinynet search --data photos --nets 24 -o my-search",
)
@click.option(
    "--data",
    required=True,
    type=click.Path(path_type=Path, exists=True),
    help=(
        "Folder with one folder of photos for each class; or a folder with train, validation and "
        "test in it, as folders or .npz."
    ),
)
@click.option("--family", default="efficientnet-96", help="Family to scale.")
@list_option(
    "--budgets", type=parse_names, default="2M,3.2M,5M,8M", help="Multiply-adds of one photo."
)
@click.option(
    "--nets",
    type=click.IntRange(1, 10_000),
    default=24,
    help="Networks to draw; the paper's number is about 100.",
)
@list_option(
    "--seeds",
    callback=parse_seeds,
    default="0,1",
    help="Seeds; each network is trained once for each.",
)
@click.option("--pixels", callback=_pixels, default="32-96", help="Sides of the photos.")
@click.option("--depth", callback=_pair, default="0.35-1.4", help="Multipliers of depth.")
@click.option("--epochs", type=click.IntRange(1, 10_000), help="Epochs of training.  [default: 8]")
@click.option("--lr", type=float, help="Largest learning rate of training.")
@click.option(
    "--sampler",
    type=click.Choice(["random", "optuna"]),
    default="random",
    help="optuna draws where networks were good before (TPE).",
)
@click.option(
    "--sieve",
    type=click.Choice(["synflow", "naswot", "parameters"]),
    help="Draw 4 networks at a time, and train only the one that this proxy ranks first.",
)
@seed_option("Seed of the draws, and of the split of photos.")
@engine_options("Default: one for each GPU; without GPUs, one for each core, at most 8.")
@out_option("widthwise-search", "Folder of the search; an interrupted search continues there.")
@json_option
def search(out: Path, **options: Any) -> None:
    """Draw networks for a budget, train them on your photos, and fit the tiny formula to the best.

    Resolution and depth are drawn, the width is solved for the budget. Networks are chosen on the
    validation photos and reported on the test photos. Every training is a line of trials.jsonl; a
    failed training has its reason there. If it is interrupted, the same command continues it.
    Writes search.md, search.svg and report.html.
    """
    from ..experiments.tinynet_search.findings import tiny_findings

    engine = read_engine(options, _usual_workers)
    assert engine is not None
    settings = _settings(options)
    if settings.warning:
        echo(f"Warning: {settings.warning}", err=True)
    searched = _run(out, settings, engine)
    findings = tiny_findings(
        searched.trials, classes=len(searched.photos.classes), is_chance=settings.is_chance
    )
    _write(out, findings, searched)
    if wants_json():
        print_json({"folder": out, "report": out / "report.html", **_values(findings, searched)})


def _settings(options: dict[str, Any]) -> SearchSettings:
    from ..experiments.tinynet_search import SearchSettings
    from ..tinynet import Space, TrainingRecipe, parse_budget

    changed = {name: options[name] for name in ("epochs", "lr") if options[name] is not None}
    return SearchSettings(
        data=str(options["data"]),
        family=options["family"],
        budgets=tuple(
            parse_budget("macs", text, what="--budgets").amount for text in options["budgets"]
        ),
        nets=options["nets"],
        seeds=options["seeds"],
        space=Space(pixels=options["pixels"], depth=options["depth"]),
        recipe=TrainingRecipe(**changed),
        sampler=options["sampler"],
        sieve=options["sieve"],
        draw_seed=options["seed"],
    )


def _usual_workers() -> int:
    """One for each GPU; without GPUs, one for each core."""
    return gpus() or min(_MOST_WORKERS, cores())


def _run(out: Path, settings: SearchSettings, engine: MakeEngine) -> SearchResult:
    """Run the search under a bar that counts trainings."""
    from ..experiments.tinynet_search import Search
    from ..runs import Failed, Finished, Progressed, Retrying

    shares: dict[str, float] = {}
    with progress_bar() as bar:

        def on_event(event: Event) -> None:
            if isinstance(event, Retrying | Failed):
                bar.print(f"{event.job.label}: {event.reason}")
            ended = float(isinstance(event, Finished | Failed))
            shares[event.job.key] = event.share if isinstance(event, Progressed) else ended
            bar.update(min(1.0, sum(shares.values()) / whole.n_trainings), event.job.label[:60])

        whole = Search(
            out,
            settings,
            engine=engine,
            on_trial=lambda trial: bar.print(_line(trial)),
            on_event=on_event,
            on_progress=bar.describe,
        )
        return whole.run()


def _line(trial: SearchTrial) -> str:
    """A training as one line, so that the first numbers are seen at once."""
    network = trial.network
    name = f"{trial.experiment.removeprefix('tinynet '):8} {network['asked_macs'] / 1e6:5.2f}M"
    name += f" {network['pixels']:3} px, depth {network['depth']:.2f}, width {network['width']:.2f}"
    name += f", seed {trial.seed}"
    if trial.reason is not None:
        return f"{name}: failed: {trial.reason}"
    values = [
        f"{key} {100 * value:.1f} %"
        for key in ("validation", "test")
        if (value := trial.value(key)) is not None
    ]
    return f"{name}: {', '.join(values) or 'proxies'}, {trial.duration_sec:.0f} s"


def _values(findings: TinyFindings, searched: SearchResult) -> dict[str, Any]:
    """What the search says; single trainings are in trials.jsonl."""
    from ..experiments.tinynet_search import TEST, VALIDATION, sentences_of

    networks = ("drawn", "formula_nets", "inverse_nets", "front", "behind")
    means = {
        name: [
            {
                "experiment": net.experiment,
                "network": net.network,
                **{key: net.mean(key) if net.is_trained else None for key in (VALIDATION, TEST)},
            }
            for net in getattr(findings, name)
        ]
        for name in networks
    }
    said = {"sentences": sentences_of(findings), "notes": searched.notes}
    return {**said, **without(findings, *networks, "failed"), **means}


def _write(out: Path, findings: TinyFindings, searched: SearchResult) -> None:
    """The report beside the trials, and its first part on the terminal."""
    from ..experiments.tinynet_search import draw_search, search_text, sentences_of
    from ..io import write_text
    from ..runs import TRIALS
    from .figure_options import save_figure

    text = out / "search.md"
    write_text(text, search_text(findings, searched.notes))
    save_figure(draw_search(findings), out / "search.svg")
    for sentence in (*sentences_of(findings), *searched.notes):
        echo(sentence)
    click.echo(f"text: {text}")
    save_page(out / TRIALS)
