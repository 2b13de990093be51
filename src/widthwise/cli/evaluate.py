"""`widthwise evaluate`."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..errors import RunError
from ..evaluate import BACKENDS, SUITES
from .json_output import json_option, pair_values, print_study_json, wants_json
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
    model_name,
    names_models,
    out_option,
    parse_item_limits,
    parse_names,
    parse_points,
    read_calibration,
    read_criteria,
    seed_option,
    thinking_option,
    widths_options,
)
from .prose import echo

if TYPE_CHECKING:
    from ..study import EvaluateSettings, Record

CUT_FROM = "parent"  # the value of a bare --against
OWN, OTHER = "model", "against"  # folders of both models' evaluations


def _some_names(value: str) -> tuple[str, ...]:
    """At least one name."""
    if not (names := parse_names(value)):
        raise click.BadParameter(f"{value!r} names nothing; leave the option out for its default.")
    return names


@click.command(
    epilog="Example: widthwise evaluate smollm2 --suite embedded --limit 200 --to 2.4x,1.6x",
)
@click.argument("model", type=MODEL)
@list_option(
    "--suite",
    "tasks",
    type=_some_names,
    default="embedded",
    help=f"Suites ({', '.join(SUITES)}), one task of a suite (paper:mmlu), tasks of lm-eval, "
    "files of your own questions (mine.jsonl), or task YAML files; with commas between them.",
)
@widths_options
@list_option(
    "--criterion",
    "criteria",
    type=_some_names,
    default=DEFAULT_CRITERIA,
    help=criteria_help("scored"),
)
@calibration_options
@click.option(
    "--limit",
    "limits",
    type=parse_item_limits,
    metavar="ITEMS",
    default="",
    show_default=False,
    help=(
        "Number of items for each task, a sample that is the same at all widths: 200, or "
        "200,ifeval=50,wikitext=8."
    ),
)
@seed_option("Seed of samples and control.")
@data_option("the tasks' documents")
@max_new_tokens_option
@thinking_option
@click.option(
    "--until",
    type=parse_points,
    metavar="POINTS",
    help=(
        "End a task for a width as soon as its difference from dense is known to within this: 2pp."
    ),
)
@click.option(
    "--against",
    is_flag=False,
    flag_value=CUT_FROM,
    metavar="[DENSE]",
    help="Ask the dense model that MODEL was cut from as well, and compare answer by answer; "
    "without a name, the one that MODEL's own files tell.",
)
@click.option(
    "--prompt",
    "prompts",
    multiple=True,
    metavar="TEXT",
    help="Let MODEL and every width go on with this text, side by side on the page; may be given "
    "several times.",
)
@click.option(
    "--backend",
    type=click.Choice(BACKENDS),
    default=BACKENDS[0],
    help="Program that computes the answers: widthwise, or lm-eval's hf or vllm.",
)
@dtype_option
@device_option
@out_option(
    "widthwise-evaluate", "Folder of records, items and report; an interrupted run continues there."
)
@json_option
@names_models
def evaluate(
    model: str,
    out: Path,
    to: tuple[str, ...],
    remove: tuple[str, ...],
    against: str | None,
    **options: Any,
) -> None:
    """Measure what MODEL knows: tasks of lm-eval, each score beside its floor.

    The floor is the score of the best answerer that understands nothing. MODEL is {MODEL}. With
    --to or --remove it is measured at these widths as well, in one process, on the same items,
    beside random pruning. Prints a table; writes records.jsonl, items/*.parquet and report.html.
    """
    from ..study import EvaluateSettings

    limits = options.pop("limits")
    options["criteria"] = read_criteria(options["criteria"], out)
    options["calibration"] = read_calibration(options["calibration"], options["criteria"])
    settings = EvaluateSettings(
        model=model, widths=to + remove, limit=limits.pop("", None), limits=limits, **options
    )
    for name in ("criteria", "calibration", "tokens"):
        if is_typed(name) and not settings.widths:
            option = "--criterion" if name == "criteria" else flag(name)
            raise click.UsageError(f"{option} chooses neurons of a width: add --to or --remove.")
    if against is None:
        records = _alone(out, settings)
    elif settings.widths:
        raise click.UsageError("--against compares MODEL as it is: leave --to and --remove out.")
    else:
        records = _beside(out, settings, against)
    missing = [record for record in records if record.value is None]
    if missing:
        cells = "1 cell" if len(missing) == 1 else f"{len(missing)} cells"
        raise click.ClickException(f"{cells} could not be measured; run again to retry")


def _alone(out: Path, settings: EvaluateSettings) -> list[Record]:
    """Measure a model and its widths, print their table, and write their page."""
    from ..report import write_page
    from ..study import Evaluation, calibration_notes
    from .tables import print_table, run

    study, records = run(partial(Evaluation, out, settings))
    title = f"What {study.parent.checkpoint.name} knows"
    stored, texts = study.settings.stored, study.texts
    write_page(records, out / "report.html", title=title, settings=stored, texts=texts)
    print_table(records)
    for note in calibration_notes(records):
        echo(note, err=True)
    _tell_files(out, out)
    if wants_json():
        print_study_json(out, {out: records})
    return records


def _tell_files(out: Path, kept: Path) -> None:
    click.echo(f"report: {out / 'report.html'}")
    click.echo(f"records: {kept / 'records.jsonl'}")


def _beside(out: Path, settings: EvaluateSettings, against: str) -> list[Record]:
    """Measure another model and this one on the same items, print the table of both, and write the
    page of both."""
    from ..findings import task_pairs
    from ..report import write_report
    from ..study import Evaluation, read_study
    from .tables import print_pairs, run

    if out.exists() and not (out / OTHER).is_dir() and (not out.is_dir() or any(out.iterdir())):
        raise RunError(f"{out} is there and holds no comparison; name another folder with -o")
    dense, others = run(
        partial(Evaluation, out / OTHER, _other_model(settings, against)), with_model=True
    )
    study, records = run(partial(Evaluation, out / OWN, settings, against=dense), with_model=True)
    write_report([read_study(out / OTHER), read_study(out / OWN)], out / "report.html")
    print_pairs((Path(study.parent.name).name, records), (Path(dense.parent.name).name, others))
    _tell_files(out, out / OWN)
    if wants_json():
        pairs = pair_values(task_pairs(records, others))
        print_study_json(out, {out / OWN: records, out / OTHER: others}, pairs=pairs)
    return [*others, *records]


def _other_model(settings: EvaluateSettings, against: str) -> EvaluateSettings:
    """The settings by which the other model is asked."""
    from ..cut.checkpoint import parent_of, resolve_model

    source = resolve_model(settings.model)
    name = parent_of(source) if against == CUT_FROM else model_name(against)
    if resolve_model(name).found.resolve() == source.found.resolve():
        raise click.UsageError(f"--against {name} is MODEL itself.")
    return replace(settings, model=name)
