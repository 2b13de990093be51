"""`widthwise limit`: networks beside what they become at infinite width."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .figure_options import drawing_options, save_figure
from .interrupts import NOTHING_KEPT, interruption
from .options import parse_ints
from .parametrization_options import format_title, parametrization_options, parse_parametrization
from .save_pages import check_beside, save_with_page

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..theory import Case, Convergence, PowerLawFit


_UNDECIDED = (
    "Undecided: the interval is too wide to tell theory's slope from 0 or from those of other "
    "parametrizations; more --seeds or --widths make it narrower."
)


@click.group(short_help="Set networks beside their infinite-width limits.")
def limit() -> None:
    """Set finite networks beside what they become as their width grows without bound.

    Example: widthwise limit converge -o limits.png
    """


@limit.command(short_help="Fit how fast networks come near their limit.")
@parametrization_options(1)
@click.option("--activation", help="linear, tanh, relu or erf.  [default: tanh]")
@click.option("--lr", type=float, help="Learning rate at width 1: eta in eta n^-c.  [default: 0.5]")
@click.option("--steps", type=click.IntRange(1, 10_000), help="Steps of training.  [default: 12]")
@click.option(
    "--widths",
    callback=parse_ints,
    default="64,128,256,512,1024",
    show_default=True,
    metavar="LIST",
    help="Ascending, at least two.",
)
@click.option(
    "--seeds",
    type=click.IntRange(2, 10_000),
    default=16,
    show_default=True,
    help="Networks at each width.",
)
@click.option(
    "--seed", type=click.IntRange(0, 2**31 - 1), default=0, show_default=True, help="The first."
)
@click.option("--json", "as_json", is_flag=True, help="Everything, for a machine to read.")
@drawing_options("Draw every run, the fits and the theory; records and page go beside it.")
@interruption(NOTHING_KEPT)
def converge(
    widths: tuple[int, ...],
    seeds: int,
    seed: int,
    as_json: bool,
    out: Path | None,
    force: bool,
    **asked: Any,
) -> None:
    """Train small networks of several widths and fit how their distance to the limit falls.

    NAME, --a, --b and --c are as of `widthwise abc`; without them, four standard cases: muP with
    linear networks of one and of two hidden layers and with tanh, and NTP with tanh. The task is a
    small one, four examples in two dimensions.

    Example: widthwise limit converge mup --activation erf -o limits.png
    """
    from ..theory import converge as run

    check_beside(out, force)
    cases = _cases(**asked)
    results = [run(case, widths=widths, seeds=seeds, seed=seed) for case in cases]
    if out is not None:
        from ..experiments.convergence import convergence_line, draw_convergence

        save_figure(draw_convergence(results), out)
        save_with_page(out, [convergence_line(result, seed) for result in results])
    if as_json:
        click.echo(json.dumps([_as_json(result) for result in results], allow_nan=False))
    else:
        _print(results)


def _cases(name: str | None, layers: int, **asked: Any) -> Sequence[Case]:
    from ..theory import Abc, Case, standard_cases, toy
    from ..theory import activation as activation_of

    exponents = {letter: asked[letter] for letter in "abc"}
    if name is None and not any(exponents.values()):
        source = click.get_current_context().get_parameter_source("layers")
        changed = [f"--{key}" for key in ("activation", "lr", "steps") if asked[key] is not None]
        changed += ["--layers"] if source == click.core.ParameterSource.COMMANDLINE else []
        if changed:
            raise click.UsageError(f"{' and '.join(changed)} must go with a parametrization")
        return standard_cases()
    parametrization = parse_parametrization(name, layers, exponents)
    assert isinstance(parametrization, Abc)  # as the optimizer is SGD
    phi = activation_of(asked["activation"] or "tanh")
    given = {key: asked[key] for key in ("lr", "steps") if asked[key] is not None}
    hidden = parametrization.hidden_layers
    depth = [f"{hidden} layers"] if hidden > 1 else []
    label = ", ".join([format_title(name, tuple(exponents.values())), *depth, phi.name])
    return [Case(name=label, parametrization=parametrization, phi=phi, task=toy(**given))]


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

    from .tables import print_rows, print_wrapped, table_console

    console = table_console()
    widths = results[0].distance.widths
    print_wrapped(console, "Distance of outputs from the limit", style="bold")
    ends = ["slope [95 %]", "theory", "verdict"]
    header = ["case", *(f"n={width}" for width in widths), *ends]
    rows = []
    for result in results:
        sizes = [f"{size:.3g}" for size in result.distance.sizes]
        theory = "not known" if result.expected is None else str(result.expected)
        rows.append(
            [result.case.name, *sizes, _slope(result.distance), theory, result.verdict or "-"]
        )
    print_rows(console, header, rows, [0] * len(header))
    print_wrapped(console, "\nMovement of the last features in training", style="bold")
    header = ["case", *(f"n={width}" for width in widths), "limit", *ends]
    rows = []
    for result in results:
        sizes = [f"{size:.3g}" for size in result.movement.sizes]
        limit_ = f"{result.limit_movement:.3g}"
        slope = str(result.expected_movement)
        verdict = result.movement_verdict
        rows.append([result.case.name, *sizes, limit_, _slope(result.movement), slope, verdict])
    print_rows(console, header, rows, [0] * len(header))
    if "undecided" in {
        verdict for result in results for verdict in (result.verdict, result.movement_verdict)
    }:
        print_wrapped(console, _UNDECIDED)
    for result in results:
        if result.limit_error > 0.1 * result.distance.sizes[-1]:
            print_wrapped(
                console,
                f"{result.case.name}: the limit itself is known to {result.limit_error:.1g} only, "
                "so that distances near that say nothing",
            )


def _slope(rate: PowerLawFit) -> str:
    low, high = rate.slope.interval()
    value, low, high = (round(x, 2) + 0.0 for x in (rate.slope.value, low, high))  # no -0.00
    return f"{value:.2f} [{low:.2f}, {high:.2f}]"
