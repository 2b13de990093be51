"""`widthwise limit`: networks beside what they become at infinite width."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..stats import with_ends
from ..theory import (
    Abc,
    Activation,
    Case,
    Convergence,
    PowerLawFit,
    ToyTask,
    kernel_cases,
    standard_cases,
    toy,
)
from ..theory import activation as activation_of
from ..theory import converge as run_case
from .figure_options import drawing_options
from .interrupts import NOTHING_KEPT, interruption
from .json_output import json_option, print_json, wants_json
from .options import is_typed, list_option, parse_ints, seed_option, together
from .parametrization_options import format_title, parametrization_options, parse_parametrization
from .progress_bar import ProgressBar, progress_bar
from .save_pages import check_beside, save_with_page
from .tables import print_titled, print_wrapped, table_console

if TYPE_CHECKING:
    from rich.console import Console

_UNDECIDED = (
    "Undecided: the interval is too wide to tell theory's slope from 0 or from those of other "
    "parametrizations; more --seeds or --widths make it narrower."
)


_task_options = together(
    click.option("--activation", help="linear, tanh, relu or erf.  [default: tanh]"),
    click.option(
        "--lr", type=float, help="Learning rate at width 1: eta in eta n^-c.  [default: 0.5]"
    ),
    click.option(
        "--steps", type=click.IntRange(1, 10_000), help="Steps of training.  [default: 12]"
    ),
    list_option(
        "--widths",
        callback=parse_ints,
        default="64,128,256,512,1024",
        help="Widths in ascending order, at least two.",
    ),
    click.option(
        "--seeds",
        type=click.IntRange(2, 10_000),
        default=16,
        help="Number of networks at each width.",
    ),
    seed_option("The first seed."),
    json_option,
)


@click.group()
def limit() -> None:
    """Set finite networks beside what they become as their width grows without bound.

    Example: widthwise limit converge -o limits.png
    """


@limit.command(short_help="Fit how fast networks come near their limit.")
@parametrization_options(1)
@_task_options
@drawing_options(
    "Draw every run, the fits and the theory; records and page are written next to it."
)
@interruption(NOTHING_KEPT)
def converge(
    widths: tuple[int, ...],
    seeds: int,
    seed: int,
    out: Path | None,
    force: bool,
    **asked: Any,
) -> None:
    """Train small networks of several widths and fit how their distance to the limit falls.

    NAME, --a, --b and --c are as for `widthwise abc`; without them, four standard cases: muP with
    linear networks of one and of two hidden layers and with tanh, and NTP with tanh. The task is a
    small one, four examples in two dimensions.

    Example: widthwise limit converge mup --activation erf -o limits.png
    """
    check_beside(out, force, command="limit converge")
    cases = _cases(**asked)
    results = _run(cases, widths, seeds, seed)
    if out is not None:
        from ..experiments.convergence import convergence_line, draw_convergence

        lines = [convergence_line(result, seed) for result in results]
        save_with_page(draw_convergence(results), out, lines)
    if wants_json():
        print_json({"cases": [_as_json(result) for result in results]})
    else:
        _print(results)


@limit.command(short_help="Draw how far features move, beside the kernel regime.")
@click.option("--layers", type=click.IntRange(1, 100), default=2, help="Number of hidden layers.")
@_task_options
@drawing_options(
    "Draw the limit's features by step and layer, and networks; records and page are written next "
    "to it."
)
@interruption(NOTHING_KEPT)
def kernel(
    layers: int,
    widths: tuple[int, ...],
    seeds: int,
    seed: int,
    *,
    out: Path | None,
    force: bool,
    **asked: Any,
) -> None:
    """Follow how far features move in training, in muP and in the kernel regime (NTP).

    In the limit of muP they move, layer by layer; in that of NTP they stay, and a fixed kernel is
    followed. Networks of several widths are set beside both. The task is a small one, four examples
    in two dimensions.

    Example: widthwise limit kernel --layers 3 -o features.png
    """
    check_beside(out, force, command="limit converge")
    cases = kernel_cases(layers, *_asked_task(asked))
    results = _run(cases, widths, seeds, seed)
    if out is not None:
        from ..experiments.convergence import convergence_line, draw_movement

        lines = [convergence_line(result, seed, by_step=True) for result in results]
        save_with_page(draw_movement(results), out, lines)
    if wants_json():
        print_json({"cases": [{**_as_json(r), **_moved_json(r)} for r in results]})
    else:
        _print_movement(results, table_console())


def _moved_json(result: Convergence) -> dict[str, Any]:
    moved = result.limit_movements
    return {"limit_movements": None if moved is None else moved.tolist()}


def _run(cases: Sequence[Case], widths: Sequence[int], seeds: int, seed: int) -> list[Convergence]:
    """All cases, one after the other."""
    results: list[Convergence] = []
    with progress_bar(NOTHING_KEPT) as bar:
        for case in cases:
            done = partial(_tell, bar, case.name, len(results), len(cases))
            results.append(run_case(case, widths=widths, seeds=seeds, seed=seed, progress=done))
    return results


def _asked_task(asked: Mapping[str, Any]) -> tuple[Activation, ToyTask]:
    """The activation and the task that options ask for."""
    given = {key: asked[key] for key in ("lr", "steps") if asked[key] is not None}
    return activation_of(asked["activation"] or "tanh"), toy(**given)


def _tell(bar: ProgressBar, name: str, before: int, cases: int, share: float) -> None:
    bar.update((before + share) / cases, name)


def _cases(name: str | None, layers: int, **asked: Any) -> Sequence[Case]:
    exponents = {letter: asked[letter] for letter in "abc"}
    if name is None and not any(exponents.values()):
        changed = [f"--{key}" for key in ("activation", "lr", "steps") if asked[key] is not None]
        changed += ["--layers"] if is_typed("layers") else []
        if changed:
            raise click.UsageError(f"{' and '.join(changed)} must go with a parametrization")
        return standard_cases()
    parametrization = parse_parametrization(name, layers, exponents)
    assert isinstance(parametrization, Abc)  # as the optimizer is SGD
    phi, task = _asked_task(asked)
    hidden = parametrization.hidden_layers
    depth = [f"{hidden} layers"] if hidden > 1 else []
    label = ", ".join([format_title(name, tuple(exponents.values())), *depth, phi.name])
    return [Case(name=label, parametrization=parametrization, phi=phi, task=task)]


def _as_json(result: Convergence) -> dict[str, Any]:
    task = result.case.task
    return {
        "case": result.case.name,
        "lr": task.lr,
        "steps": task.steps,
        "distance": _rate_as_json(result.distance),
        "expected_slope": None if result.expected is None else str(result.expected),
        "verdict": result.verdict,
        "movement": _rate_as_json(result.movement),
        "expected_movement_slope": str(result.expected_movement),
        "movement_verdict": result.movement_verdict,
        "limit_movement": result.limit_movement,
        "limit_error": result.limit_error,
    }


def _rate_as_json(rate: PowerLawFit) -> dict[str, Any]:
    return {
        "widths": list(rate.widths),
        "runs": rate.runs.tolist(),
        "geometric_means": list(rate.sizes),
        "slope": rate.slope.value,
        "slope_standard_error": rate.slope.standard_error,
        "slope_interval": list(rate.slope.interval()),
    }


def _print(results: Sequence[Convergence]) -> None:
    """A row a case: sizes, slopes, and what their intervals say of the theory's slopes."""
    console = table_console()
    rows = [
        [
            result.case.name,
            *_rate_cells(result.distance),
            "not known" if result.expected is None else str(result.expected),
            result.verdict or "-",
        ]
        for result in results
    ]
    print_titled(console, "Distance of outputs from the limit", _header(results), rows)
    print_wrapped(console, "")
    _print_movement(results, console)
    if any("undecided" in (result.verdict, result.movement_verdict) for result in results):
        print_wrapped(console, _UNDECIDED)
    for result in results:
        if result.limit_error > 0.1 * result.distance.sizes[-1]:
            print_wrapped(
                console,
                f"{result.case.name}: the limit itself is known to {result.limit_error:.1g} only, "
                "so that distances near that say nothing",
            )


def _header(results: Sequence[Convergence], *limit: str) -> list[str]:
    sizes = [f"n={width}" for width in results[0].distance.widths]
    return ["case", *sizes, *limit, "slope [95 %]", "theory", "verdict"]


def _print_movement(results: Sequence[Convergence], console: Console) -> None:
    rows = [
        [
            result.case.name,
            *_rate_cells(result.movement, f"{result.limit_movement:.3g}"),
            str(result.expected_movement),
            result.movement_verdict,
        ]
        for result in results
    ]
    title = "Movement of the last features in training"
    print_titled(console, title, _header(results, "limit"), rows)


def _rate_cells(rate: PowerLawFit, *limit: str) -> list[str]:
    """Sizes at all widths, what they are in the limit, and their slope."""
    slope = with_ends(rate.slope.value, *rate.slope.interval())
    return [*(f"{size:.3g}" for size in rate.sizes), *limit, slope]
