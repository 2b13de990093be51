"""Options of `plan` and `prune`: how wide a model is to be, and how its neurons are chosen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import click
from rich.console import Console

from ..arch import Architecture, draft_note
from ..cut import Plan
from ..cut.checkpoint import ModelSource
from ..cut.gguf import vocabulary_note
from ..notices import notice
from ..prune import (
    CRITERIA,
    MOMENT_CRITERIA,
    PruneOptions,
    PruneSpec,
    WidthOptions,
    check_calibration,
    draft_criterion,
    make_plan,
)
from ..prune.calibration import BLOCK_TOKENS, TOKENS, check_source
from .options import flag, is_typed, only_given, together
from .progress_bar import hush_transformers, layer_progress

_TARGETS = tuple(WidthOptions.__annotations__)
# Those of a spec by its own names, and three more.
_OPTIONS: dict[str, dict[str, Any]] = {
    "to": {"metavar": "RATIO", "help": "Expansion ratio to cut to: 2.4x."},
    "remove": {"metavar": "PERCENT", "help": "Share of neurons to remove: 40%."},
    "width": {
        "help": "Neurons to keep in each block: 4864; "
        "in a mixture of experts: experts=512,shared=1024."
    },
    "params": {
        "metavar": "N",
        "help": "Most parameters, those of all experts counted: 900M, or 85% of the dense model's.",
    },
    "size": {
        "metavar": "BYTES",
        "help": "Most bytes of weights: 1.7GB, or 85% of the dense model's.",
    },
    "criterion": {
        "default": "ppm",
        "help": f"How neurons are scored: {', '.join((*CRITERIA, *MOMENT_CRITERIA))}.",
    },
    "seed": {"default": 0, "help": "Seed of the random criterion."},
    "align": {"type": int, "help": "Round the width down to a multiple of this."},
    "exact": {"is_flag": True, "help": "Do not round the width."},
    "paper_widths": {"is_flag": True, "help": "Compute the width by the paper's rule."},
    "calibration": {
        "metavar": "TEXT",
        "help": "Text that is run through the model: a file or folder, a data set of the hub, or "
        "several by shares of the tokens (my-code/:0.7,embedded:0.3); ppm_activation needs a file "
        "of plain text. Default: embedded text. Loads the model.",
    },
    "tokens": {
        "type": int,
        "default": TOKENS,
        "help": f"Most tokens of the calibration text, at least {2 * BLOCK_TOKENS}; half of them "
        "are held out. A refit (--refit) needs in each half as many as the widest layer has "
        "neurons.",
    },
    "dtype": {"help": "Store as float32, float16 or bfloat16."},
}


# How a width is asked for and how neurons are chosen; `read_request` reads them.
plan_options = together(*(click.option(flag(name), **how) for name, how in _OPTIONS.items()))


def has_plan_options() -> list[str]:
    """The options of `plan_options`, but --dtype, that stand on the command line."""
    return [flag(name) for name in _OPTIONS if name != "dtype" and is_typed(name)]


@dataclass(frozen=True, kw_only=True)
class PlanRequest:
    """What the options of `plan_options` ask for.

    Attributes:
        spec: The width and the criterion.
        calibration: The calibration text.
        tokens: Most tokens of it.
    """

    spec: PruneSpec
    calibration: str | None
    tokens: int


def read_request(options: dict[str, Any], *, refitting: bool = False) -> PlanRequest:
    """The options of `plan_options`, refused where no model allows them, before one is looked for.

    Args:
        options: All options of the command.
        refitting: Whether down_proj is refitted, which goes by text whatever the criterion is.
    """
    only_given(options, _TARGETS, "Ask for a width with")
    if options["exact"] and options["align"] is not None:
        raise click.UsageError("--exact and --align contradict each other.")
    if options["paper_widths"] and (options["exact"] or options["align"] is not None):
        raise click.UsageError("--paper-widths rounds to no multiple; drop --exact or --align.")
    asked: Any = {name: options[name] for name in (*_TARGETS, *PruneOptions.__annotations__)}
    spec = PruneSpec.of(**{**asked, "align": 1 if options["exact"] else options["align"]})
    text, tokens = options["calibration"], options["tokens"]
    if refitting:
        check_source(text, tokens)
    else:
        check_calibration(spec.criterion, text, tokens)
    return PlanRequest(spec=spec, calibration=text, tokens=tokens)


def build_plan(source: ModelSource, request: PlanRequest, console: Console) -> Plan:
    """The plan that is asked for; how far it is goes to the console."""
    text: Any = {"calibration": request.calibration, "tokens": request.tokens}
    if request.spec.criterion not in MOMENT_CRITERIA:  # weights alone are read
        with console.status("choosing neurons"):
            return make_plan(source, request.spec, **text)
    layers = source.checkpoint.architecture.layers
    with layer_progress(console, layers, "choosing neurons") as progress:
        hush_transformers()
        return make_plan(source, request.spec, progress=progress, **text)


def print_notes(architecture: Architecture, plan: Plan) -> None:
    """Say on stderr what a cut makes of draft layers, and what its widths do not suit."""
    drafts = draft_note(architecture, draft_criterion(plan.criterion))
    for note in filter(None, (drafts, plan.suitability)):
        click.echo(f"Note: {note}.", err=True)


def tell_bytes(source: ModelSource) -> None:
    """Say which bytes are counted of a GGUF file, and how many it has."""
    if source.gguf is not None:
        notice(f"{source.name}: {source.checkpoint.storage_note}.")


def tell_vocabulary(source: ModelSource) -> None:
    """Say what a GGUF file would save by storing its vocabulary once, if it is stored twice."""
    if source.gguf is not None and (note := vocabulary_note(source.gguf)):
        notice(f"{note}.")
