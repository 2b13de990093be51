"""`widthwise plan`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from rich.console import Console

from ..cut import Plan
from ..cut.checkpoint import resolve_model
from ..cut.gguf import down_alignment
from .options import check_writable, force_option, names_models
from .plan_options import (
    build_plan,
    plan_options,
    print_notes,
    read_request,
    tell_bytes,
    tell_vocabulary,
)


@click.command(
    short_help="Show the width and choose the neurons.",
    epilog="Example: widthwise plan smollm2 --to 2.4x",
)
@click.argument("model")
@plan_options
@click.option("--json", "as_json", is_flag=True, help="Print the whole plan as JSON.")
@click.option(
    "-o", "--out", type=click.Path(path_type=Path, dir_okay=False), help="Save the plan here."
)
@force_option
@names_models
def plan(model: str, as_json: bool, out: Path | None, force: bool, **options: Any) -> None:
    """Show which width MODEL would be cut to, and choose the neurons. Writes nothing else.

    MODEL is {MODEL}. Of a .gguf file, bytes are counted in bfloat16, and the width is that of a
    checkpoint; for a .gguf result, pass --align 256, or 32 where it has no K types, as prune -o
    FILE.gguf does by itself.
    """
    check_writable(out, force)
    request, source = read_request(options), resolve_model(model)
    tell_bytes(source)
    tell_vocabulary(source)
    result = build_plan(source, request, Console(stderr=True))
    if out is not None:
        result.save(out)
    click.echo(result.to_json() if as_json else result)
    print_notes(source.checkpoint.architecture, result)
    if source.gguf is not None:
        _print_block_note(result, down_alignment(source.gguf))


def _print_block_note(plan: Plan, multiple: int) -> None:
    """Say where a cut to a .gguf file would have another width than the plan."""
    widths = [kind.kept for kind in plan.kinds if kind.kept < kind.width] or plan.widths
    if any(width % multiple for width in widths):
        click.echo(
            f"Note: prune -o FILE.gguf rounds the width down to a multiple of {multiple}, so that "
            f"down_proj keeps its type; pass --align {multiple} to plan such a width.",
            err=True,
        )
