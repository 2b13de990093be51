"""`widthwise export`."""

from __future__ import annotations

from pathlib import Path

import click

from ..cut.checkpoint import resolve_model
from ..cut.gguf import FILE_TYPES, export_gguf
from .interrupts import NOTHING_WRITTEN
from .json_output import json_option, print_json, wants_json
from .options import MODEL, force_option
from .progress_bar import progress_bar
from .prose import echo


@click.command(
    epilog="Example: widthwise export smollm2-2.4x -o smollm2-2.4x.gguf --type q4_k_m",
)
@click.argument("model", type=MODEL)
@click.option("-o", "--out", type=click.Path(path_type=Path), required=True, help="File to write.")
@click.option(
    "--type",
    "file_type",
    type=click.Choice([*FILE_TYPES]),
    required=True,
    help="Type of most tensors. f32, f16 and bf16 are exact for weights stored so.",
)
@force_option
@json_option
def export(model: str, out: Path, file_type: str, force: bool) -> None:
    """Write MODEL as a .gguf file, which llama.cpp loads.

    MODEL is a checkpoint folder, also one that was cut, refitted or healed, a hub id, or smollm2
    (the embedded model). Metadata, tokenizer and names are the work of llama.cpp's own converter,
    which is fetched once.
    """
    source = resolve_model(model)
    with progress_bar(NOTHING_WRITTEN) as bar:
        result = export_gguf(source, out, file_type, force=force, progress=bar.tell)
    echo(result, err=True)
    if wants_json():
        print_json(result)
    else:
        click.echo(result.path)
