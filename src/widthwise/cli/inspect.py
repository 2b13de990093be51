"""`widthwise inspect`."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict
from typing import Any

import click

from ..arch import (
    MAX_CONTEXT,
    Architecture,
    counts_at,
    default_alignment,
    draft_note,
    experts_per_token,
    left_alone_note,
    parse_width,
    unsuited_kinds,
    widths_of,
)
from ..cut.checkpoint import Checkpoint, inspect_refit, lineage_of, resolve_model
from ..cut.gguf import vocabulary_note
from ..prune import draft_criterion
from ..prune.healing import inspect_healing
from .json_output import json_option, print_json, wants_json
from .options import MODEL, names_models


@click.command(
    epilog="Example: widthwise inspect smollm2 --context 2048",
)
@click.argument("model", type=MODEL)
@click.option(
    "--width",
    "widths",
    multiple=True,
    help="Count at this width as well: 4864; in a mixture of experts: experts=512,shared=1024.",
)
@click.option(
    "--context",
    type=click.IntRange(1, MAX_CONTEXT),
    default=1024,
    help="Number of tokens of the prompt or in the cache.",
)
@json_option
@names_models
def inspect(model: str, widths: tuple[str, ...], context: int) -> None:
    """Print MODEL's GLU blocks and exact costs as JSON; with --json in one line.

    Of a checkpoint that says it was refitted or healed, weights are read and compared with its
    record, and a head that is stored beside tied embeddings is compared with them; otherwise no
    weights are read. Of a padded checkpoint, `widths` are those of its layers; counts are of the
    checkpoint as it stands, padding included. `kinds` are the blocks whose width one setting
    states; `groups` is their number, each expert counted by itself.

    MODEL is {MODEL}.
    """
    asked = [parse_width(text) for text in widths]
    source = resolve_model(model)
    with source.checkpoint as checkpoint:
        architecture = checkpoint.architecture
        counted = [architecture.dense_widths, *(widths_of(architecture, each) for each in asked)]
        summary = {
            "model": checkpoint.name,
            "model_type": architecture.model_type,
            "layers": architecture.layers,
            "hidden_size": architecture.hidden_size,
            "intermediate_size": architecture.intermediate_size,
            "fused_gate_up": architecture.fused,
            "kinds": _kinds(architecture),
            "experts_per_token": experts_per_token(architecture),
            "widths": _layer_widths(checkpoint),
            "quantization": checkpoint.storage_note,
            "vocabulary": source.gguf and vocabulary_note(source.gguf),
            "draft_layers": _draft_words(checkpoint) or None,
            "left_alone": left_alone_note(architecture) or None,
            "default_alignment": default_alignment(architecture.intermediate_size),
            "counts": [_counted(architecture, each, context) for each in counted],
            "refit": inspect_refit(checkpoint),
            "healing": inspect_healing(checkpoint),
        }
    if wants_json():
        print_json(summary)
    else:
        click.echo(json.dumps(summary, indent=2))


def _kinds(architecture: Architecture) -> list[dict[str, Any]]:
    """For each kind of block its setting and width, and how many blocks of how many layers it has.

    The number of routed experts is that of a layer; a list where layers have more and fewer.
    """
    result = []
    for place, kind in enumerate(architecture.kinds):
        groups = [group for group in architecture.groups if group.kind == place]
        routed = Counter(group.layer for group in groups if group.expert is not None)
        counts = sorted(set(routed.values()))
        result.append(
            {
                "name": kind.name,
                "key": kind.key,
                "width": kind.width,
                "layers": len({group.layer for group in groups}),
                "groups": len(groups),
                "experts_per_layer": counts[0] if len(counts) == 1 else counts or None,
            }
        )
    return result


def _layer_widths(checkpoint: Checkpoint) -> list[int] | None:
    """The width of each layer's block, where they differ; None of a mixture, whose kinds tell."""
    is_told = checkpoint.architecture.is_mixture or len(set(checkpoint.widths)) == 1
    return None if is_told else list(checkpoint.widths)


def _draft_words(checkpoint: Checkpoint) -> str:
    """What a cut makes of draft layers; of a checkpoint that was cut, what it made of them."""
    lineage = lineage_of(checkpoint.path) if checkpoint.architecture.drafts else None
    if lineage is None:
        return draft_note(checkpoint.architecture)
    criterion = draft_criterion(lineage.criterion.removesuffix("+refit"))
    return draft_note(checkpoint.architecture, criterion)


def _counted(architecture: Architecture, widths: tuple[int, ...], context: int) -> dict[str, Any]:
    """Counts at widths of the kinds; an encoder has none of what a model has that writes text."""
    counts = asdict(counts_at(architecture, widths, context=context))
    named = zip(architecture.kinds, widths, strict=True)
    counts["widths"] = {kind.name: width for kind, width in named}
    counts["unsuited_for"] = unsuited_kinds(architecture.kinds, widths)
    if not architecture.is_causal:
        counts |= {name: None for name in counts if "flops" in name}
        counts["no_flops"] = "they are counted of causal language models, and this is an encoder"
    return counts
