"""`widthwise plan`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from ..arch import draft_note, left_alone_note
from ..cut import Plan, PlannedWidth
from ..cut.checkpoint import resolve_model
from ..cut.gguf import down_alignment
from ..prune import draft_criterion, planned_width
from .json_output import json_option, print_json, wants_json
from .options import MODEL, check_writable, flag, force_option, is_typed, names_models
from .plan_options import (
    CHOOSING,
    build_plan,
    plan_options,
    print_notes,
    read_request,
    tell_bytes,
    tell_vocabulary,
    with_preset,
)
from .prose import echo


@click.command(
    epilog="Example: widthwise plan smollm2 --to 2.4x",
)
@click.argument("model", type=MODEL)
@plan_options
@json_option
@click.option(
    "-o",
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Choose the neurons and save the plan here, for prune --plan.",
)
@force_option
@names_models
def plan(model: str, out: Path | None, force: bool, **options: Any) -> None:
    """Show which width MODEL would be cut to, and how large it would be.

    This follows from the shapes of its tensors, so no weight is read. With -o, the neurons are
    chosen as well. Writes nothing else.

    MODEL is {MODEL}. Of a .gguf file, bytes are counted in bfloat16, and the width is that of a
    checkpoint; for a .gguf result, pass --align 256, or 32 where it has no K types, as prune -o
    FILE.gguf does by itself.
    """
    check_writable(out, force)
    request = read_request(with_preset(options))
    if out is None and (given := [flag(name) for name in CHOOSING if is_typed(name)]):
        raise click.UsageError(
            f"{given[0]} is for the choice of neurons, which a plan file holds: add -o FILE."
        )
    source = resolve_model(model)
    request.spec.refuse_early(source)
    tell_bytes(source)
    tell_vocabulary(source)
    architecture = source.checkpoint.architecture
    result: Plan | PlannedWidth
    if out is None:
        result = sizes = planned_width(source.name, architecture, request.spec)
        drafts = draft_note(architecture)
    else:
        result = build_plan(source, request, Console(stderr=True))
        sizes, drafts = result.sizes, draft_note(architecture, draft_criterion(result.criterion))
        result.save(out)
    if wants_json():
        print_json(json.loads(result.to_json()))
    else:
        echo(result)
    print_notes(drafts, left_alone_note(architecture), sizes.suitability)
    if source.gguf is not None:
        _print_block_note(sizes, down_alignment(source.gguf))


def _print_block_note(sizes: PlannedWidth, multiple: int) -> None:
    """Say where a cut to a .gguf file would have another width than the plan."""
    if any(width % multiple for width in sizes.cut_widths):
        echo(
            f"Note: prune -o FILE.gguf rounds the width down to a multiple of {multiple}, so that "
            f"down_proj keeps its type; pass --align {multiple} to plan such a width.",
            err=True,
        )
