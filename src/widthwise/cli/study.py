"""`widthwise study`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..evaluate import SUITES
from ..runs import RayExecutor
from .json_output import json_option, print_json, print_study_json, wants_json
from .options import (
    DEFAULT_CRITERIA,
    MODEL,
    calibration_options,
    criteria_help,
    data_option,
    device_option,
    dtype_option,
    flag,
    is_typed,
    list_option,
    max_new_tokens_option,
    names_models,
    out_option,
    parse_item_limits,
    parse_names,
    parse_seeds,
    read_calibration,
    read_criteria,
    thinking_option,
    widths_options,
)

if TYPE_CHECKING:
    from ..runs import MakeEngine
    from ..study import StudySettings

_CHOICES = ("tasks", "workloads", "criteria", "seeds")  # of a preset; others have no say in it


@click.command(
    epilog="Example: widthwise study smollm2 --to 2.4x,1.6x --suite embedded --limit 50 "
    "--measure 128x16 -o smollm2-study",
)
@click.argument("models", nargs=-1, required=True, type=MODEL)
@widths_options
@list_option(
    "--criterion",
    "criteria",
    type=parse_names,
    default=DEFAULT_CRITERIA,
    help=criteria_help("chosen"),
)
@calibration_options
@list_option(
    "--suite",
    "tasks",
    type=parse_names,
    help=f"Suites ({', '.join(SUITES)}) and tasks, as for evaluate. By default embedded, but "
    "nothing where --measure is given.",
)
@list_option(
    "--measure",
    "workloads",
    type=parse_names,
    help="Workloads to time, as for widthwise measure: 512x32x8, grid, paper.",
)
@click.option(
    "--preset",
    type=click.Choice(["paper"]),
    help=(
        "Use the design of arXiv 2512.22671: seven widths, thirteen tasks, six workloads, three "
        "seeds. Other options change parts of it."
    ),
)
@list_option(
    "--seeds",
    callback=parse_seeds,
    default="0",
    help="The first seed is for samples and prompts; each further seed adds a draw of the control.",
)
@click.option(
    "--limit",
    "limits",
    type=parse_item_limits,
    metavar="ITEMS",
    default="",
    show_default=False,
    help="Number of items for each task: 200, or 200,ifeval=50.",
)
@max_new_tokens_option
@thinking_option
@click.option("--rounds", type=click.IntRange(5), default=5, help="Rounds of timing.")
@click.option("--energy/--no-energy", default=True, help="Measure joules, if there is a meter.")
@click.option("--country", metavar="CODE", help="Country whose electricity gives the CO2: FRA.")
@data_option("the tasks' documents")
@dtype_option
@device_option
@click.option(
    "--engine",
    type=click.Choice(["local", "ray"]),
    default="local",
    help="local: one worker for each device of this machine. ray: a Ray cluster.",
)
@click.option("--address", help="Ray cluster. Default: RAY_ADDRESS, or a new one on this machine.")
@click.option(
    "--workers", type=click.IntRange(1), help="Workers on Ray. Default: one for each GPU."
)
@click.option(
    "--gpus-per-worker", type=click.FloatRange(0), help="GPUs for each worker on Ray: 0.5."
)
@click.option("--dry-run", is_flag=True, help="Say what would be measured, and how long it takes.")
@out_option("widthwise-study", "Folder of the study; an interrupted study continues there.")
@json_option
@names_models
def study(models: tuple[str, ...], out: Path, dry_run: bool, **options: Any) -> None:
    """Measure MODELS at many widths: what they know, and what they cost to run.

    A MODEL is {MODEL}. Every cell (one network, one task or workload) is measured once. If a run is
    killed, the same command continues it. Widths, tasks and models may be added to a folder. Writes
    records.jsonl, items/*.parquet and report.html.
    """
    from ..study import Study
    from .progress import planned_values, print_plan, run_study

    engine = _engine(options)
    options["criteria"] = read_criteria(options["criteria"], out)
    settings = _settings(models, options)
    if dry_run:
        planned = Study(out, settings)
        planned.look()
        print_plan(planned)
        if wants_json():
            print_json(planned_values(planned))
        return
    records = run_study(out, settings, engine)
    missing = [record for record in records if record.value is None and record.n == 0]
    click.echo(f"report: {out / 'report.html'}")
    click.echo(f"records: {out / 'records.jsonl'}")
    if wants_json():
        print_study_json(out, {out: records})
    if any(record.unit not in _MAY_LACK for record in missing):
        raise click.ClickException("some cells could not be measured; run again to retry")


_MAY_LACK = ("joules_per_token", "grams_per_token", "bytes")  # no meter, no counter: no failure


def _settings(models: tuple[str, ...], options: dict[str, Any]) -> StudySettings:
    """What was asked, on top of the preset where one is named."""
    from ..study import StudySettings

    limits, widths = options.pop("limits"), options.pop("to") + options.pop("remove")
    preset = options.pop("preset")
    settings = {
        **options,
        "limit": limits.pop("", None),
        "limits": limits,
        "calibration": read_calibration(options["calibration"], options["criteria"]),
    }
    if preset is None:
        if not settings["tasks"] and not settings["workloads"]:
            settings["tasks"] = ("embedded",)
        return StudySettings(models=models, widths=widths, **settings)
    for name in _CHOICES:
        if not is_typed(name):
            del settings[name]
    return StudySettings.paper(*models, **settings, **({"widths": widths} if widths else {}))


def _engine(options: dict[str, Any]) -> MakeEngine | None:
    """Who does the work; None for this machine's devices."""
    name = options.pop("engine")
    asked = {key: options.pop(key) for key in ("address", "workers", "gpus_per_worker")}
    given = [flag(key) for key, value in asked.items() if value is not None]
    if name == "local":
        if given:
            raise click.UsageError(f"{given[0]} goes with --engine ray.")
        return None
    return lambda make: RayExecutor(make, **asked)
