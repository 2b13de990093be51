"""`widthwise inspect`."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

import click

from ..arch import MAX_CONTEXT, Architecture, counts_at, default_alignment, draft_note, unsuited
from ..cut.checkpoint import Checkpoint, inspect_refit, lineage_of, resolve_model
from ..cut.gguf import vocabulary_note
from ..prune import draft_criterion
from ..prune.healing import inspect_healing


@click.command(
    short_help="Print exact costs, and check a refit or a healing.",
    epilog="Example: widthwise inspect smollm2 --context 2048",
)
@click.argument("model")
@click.option(
    "--width", "widths", type=click.IntRange(0), multiple=True, help="Count at this width as well."
)
@click.option(
    "--context",
    type=click.IntRange(1, MAX_CONTEXT),
    default=1024,
    help="Number of tokens of the prompt or in the cache.",
)
def inspect(model: str, widths: tuple[int, ...], context: int) -> None:
    """Print MODEL's GLU blocks and exact costs as JSON.

    Of a checkpoint that says it was refitted or healed, weights are read and compared with its
    record, and a head that is stored beside tied embeddings is compared with them; otherwise no
    weights are read. Of a padded checkpoint, `widths` are those of its
    layers; counts are of the checkpoint as it stands, padding included.

    MODEL is a checkpoint folder, a .gguf file, a hub id, or one by its name: smollm2,
    qwen2.5-coder-0.5b or qwen2.5-coder-1.5b.
    """
    source = resolve_model(model)
    with source.checkpoint as checkpoint:
        architecture = checkpoint.architecture
        summary = {
            "model": checkpoint.name,
            "model_type": architecture.model_type,
            "layers": architecture.layers,
            "hidden_size": architecture.hidden_size,
            "intermediate_size": architecture.intermediate_size,
            "fused_gate_up": architecture.fused,
            "kinds": [asdict(kind) for kind in architecture.kinds],
            "widths": None if len(set(checkpoint.widths)) == 1 else list(checkpoint.widths),
            "quantization": checkpoint.quantization and checkpoint.quantization.note,
            "vocabulary": source.gguf and vocabulary_note(source.gguf),
            "draft_layers": _draft_words(checkpoint) or None,
            "default_alignment": default_alignment(architecture.intermediate_size),
            "counts": [
                _counted(architecture, width, context)
                for width in (architecture.intermediate_size, *widths)
            ],
            "refit": inspect_refit(checkpoint),
            "healing": inspect_healing(checkpoint),
        }
    click.echo(json.dumps(summary, indent=2))


def _draft_words(checkpoint: Checkpoint) -> str:
    """What a cut makes of draft layers; of a checkpoint that was cut, what it made of them."""
    lineage = lineage_of(checkpoint.path) if checkpoint.architecture.drafts else None
    if lineage is None:
        return draft_note(checkpoint.architecture)
    criterion = draft_criterion(lineage.criterion.removesuffix("+refit"))
    return draft_note(checkpoint.architecture, criterion)


def _counted(architecture: Architecture, width: int, context: int) -> dict[str, Any]:
    """Counts at a width; an encoder has none of those of a model that continues a text."""
    counts = asdict(counts_at(architecture, width, context=context))
    counts["unsuited_for"] = unsuited(width, architecture.intermediate_size)
    if not architecture.is_causal:
        counts |= {name: None for name in counts if "flops" in name}
        counts["no_flops"] = "they are counted of causal language models, and this is an encoder"
    return counts
