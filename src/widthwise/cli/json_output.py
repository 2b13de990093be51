"""`--json`: the result of a command as one JSON object, the only thing on standard output."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Mapping, Sequence, Set
from contextlib import redirect_stdout
from dataclasses import fields, is_dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..stats import Estimate

if TYPE_CHECKING:
    from ..findings import TaskPair
    from ..study import Record

_STREAM = "widthwise: standard output"


def _keep_output(context: click.Context, parameter: click.Parameter, value: bool) -> None:
    """Keep standard output for the object: what else is printed goes to standard error."""
    if value:
        root = context.find_root()
        root.meta[_STREAM] = sys.stdout
        root.with_resource(redirect_stdout(sys.stderr))


json_option = click.option(
    "--json",
    is_flag=True,
    expose_value=False,
    callback=_keep_output,
    help="Print the result as one JSON object, and all else on standard error.",
)


def wants_json() -> bool:
    """Whether `--json` was given."""
    return _STREAM in click.get_current_context().find_root().meta


def print_json(result: Any) -> None:
    """Print what a command found or made, where `--json` was given.

    Args:
        result: What `plain` takes, with the names of fields in Python.
    """
    stream = click.get_current_context().find_root().meta[_STREAM]
    click.echo(json.dumps(plain(result), allow_nan=False), file=stream)


def print_study_json(folder: Path, studies: Mapping[Path, Sequence[Record]], **more: Any) -> None:
    """Print what was measured, as the page of these studies shows it, where `--json` was given.

    Args:
        folder: What the command wrote.
        studies: Folders of studies, and of each the records that were asked for.
        **more: What is to be told besides.
    """
    from ..report import study_values
    from ..study import read_study

    asked = [replace(read_study(path), records=tuple(records)) for path, records in studies.items()]
    page = folder / "report.html"
    report = page if page.exists() else None
    print_json({"folder": folder, "report": report, "models": study_values(asked), **more})


def plain(value: Any) -> Any:
    """A value as JSON has it: a dataclass by its fields, a path and a fraction as text.

    An estimate has its 95 % `interval` as well, None where its error is unknown. A number that is
    not finite is None: JSON has none such.
    """
    if is_dataclass(value) and not isinstance(value, type):
        own = {field.name: plain(getattr(value, field.name)) for field in fields(value)}
        if isinstance(value, Estimate):
            own["interval"] = plain(value.interval()) if value.standard_error is not None else None
        return own
    if isinstance(value, Mapping):
        return {str(name): plain(part) for name, part in value.items()}
    if isinstance(value, list | tuple | Set):
        return [plain(part) for part in value]
    if type(value).__module__ == "numpy":
        return plain(value.tolist())
    if isinstance(value, Path | Fraction):
        return str(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value


def without(value: Any, *names: str) -> dict[str, Any]:
    """The fields of a dataclass but for some, which a file holds."""
    kept = (field.name for field in fields(value) if field.name not in names)
    return {name: getattr(value, name) for name in kept}


def pair_values(pairs: Sequence[TaskPair]) -> list[dict[str, Any]]:
    """Tasks of two models, without their records, each with its `verdict`."""
    return [{**without(pair, "own", "other"), "verdict": pair.word} for pair in pairs]
