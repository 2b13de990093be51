"""Options of `plan` and `prune`: how wide a model is to be, and how its neurons are chosen."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from ..cut import Plan
from ..cut.checkpoint import ModelSource
from ..cut.gguf import vocabulary_note
from ..notices import notice
from ..prune import (
    CALIBRATED,
    CRITERIA,
    DEFAULT_CRITERION,
    MOMENT_CRITERIA,
    PAPER_CRITERION,
    CutEstimate,
    PruneOptions,
    PruneSpec,
    WidthOptions,
    check_calibration,
    check_memory,
    estimate_cut,
    in_bytes,
    in_minutes,
    make_plan,
    measured_pace,
    open_model,
    weights_advised,
)
from ..prune.calibration import BLOCK_TOKENS, TOKENS, check_source
from .options import flag, is_typed, only_given, together
from .progress_bar import hush_transformers, layer_progress
from .prose import echo

_TARGETS = tuple(WidthOptions.__annotations__)
CHOOSING = ("criterion", "seed", "calibration", "tokens")  # have no say in a width
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
        "default": DEFAULT_CRITERION,
        "help": f"How neurons are scored: {', '.join((*CRITERIA, *MOMENT_CRITERIA))}. activation "
        "and obs go by text, ppm by weights alone (how far those of a neuron spread).",
    },
    "preset": {
        "type": click.Choice(["paper"]),
        "help": "Cut as arXiv 2512.22671 does: --criterion ppm --paper-widths. --criterion changes "
        "the first.",
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
        "help": f"Most tokens of the calibration text, at least {2 * BLOCK_TOKENS}; half of them "
        "are held out. A refit needs in each half as many as the widest layer has neurons. "
        f"Default: {TOKENS:,}, or more where a refit needs more.",
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
        tokens: Most tokens of it; None for as many as are usual, or needed.
        refitting: Whether down_proj is refitted.
    """

    spec: PruneSpec
    calibration: str | None
    tokens: int | None
    refitting: bool = False

    @property
    def most_tokens(self) -> int:
        """Most tokens of the text, as asked or usual."""
        return TOKENS if self.tokens is None else self.tokens


def with_preset(options: dict[str, Any]) -> dict[str, Any]:
    """The options with what the preset says, if one is asked for."""
    if options["preset"] is None:
        return options
    criterion = options["criterion"] if is_typed("criterion") else PAPER_CRITERION
    return {**options, "criterion": criterion, "paper_widths": True}


def read_request(options: dict[str, Any], *, refitting: bool = False) -> PlanRequest:
    """The options of `plan_options`, refused where no model allows them, before one is looked for.

    Args:
        options: All options of the command, with those of the preset.
        refitting: Whether down_proj is refitted, which goes by text whatever the criterion is.
    """
    only_given(options, _TARGETS, "Ask for a width with")
    if options["exact"] and options["align"] is not None:
        raise click.UsageError("--exact and --align contradict each other.")
    if options["paper_widths"] and (options["exact"] or options["align"] is not None):
        raise click.UsageError("The paper's rule rounds to no multiple; drop --exact or --align.")
    asked: Any = {name: options[name] for name in (*_TARGETS, *PruneOptions.__annotations__)}
    spec = PruneSpec.of(**{**asked, "align": 1 if options["exact"] else options["align"]})
    text, tokens = options["calibration"], options["tokens"]
    request = PlanRequest(spec=spec, calibration=text, tokens=tokens, refitting=refitting)
    if refitting:
        check_source(text, request.most_tokens)
    else:
        check_calibration(spec.criterion, text, request.most_tokens)
    return request


def build_plan(source: ModelSource, request: PlanRequest, console: Console) -> Plan:
    """The plan that is asked for; how far it is goes to the console."""
    text: Any = {"calibration": request.calibration, "tokens": request.most_tokens}
    tell_method(source, request)
    if request.spec.criterion not in MOMENT_CRITERIA:  # no layer takes long
        with console.status("choosing neurons"):
            return make_plan(source, request.spec, **text)
    layers = source.checkpoint.architecture.layers
    estimate = estimate_cut(source, request.spec, request.most_tokens)
    with weights_advised():
        tell_needs(source, estimate)
    with layer_progress(console, layers, "choosing neurons") as progress, weights_advised():
        hush_transformers()
        return make_plan(source, request.spec, progress=progress, **text)


def tell_method(
    source: ModelSource, request: PlanRequest, order: str = "", *, scales: bool = False
) -> None:
    """Say on stderr, before the work, what is done with which text, and what tells how long.

    Raises TargetError where the model has no such width.

    Args:
        source: The model.
        request: What is asked of it.
        order: In which order layers are refitted.
        scales: Whether rows of the weights are scaled after it, of a model that has answers.
    """
    criterion, architecture = request.spec.criterion, source.checkpoint.architecture
    request.spec.width(architecture)  # an impossible one is refused, and nothing else is said
    text = request.calibration or "the embedded text"
    is_calibrated = request.refitting or criterion in MOMENT_CRITERIA
    on = f"on up to {request.most_tokens:,} tokens of {text}" if is_calibrated else ""
    chosen, done = f"neurons are chosen by {criterion}", "and down_proj is only cut"
    if request.refitting and scales and architecture.is_causal:
        chosen, done = f"{chosen},", f"down_proj is refitted, {order}, and rows are scaled,"
    elif request.refitting:
        done = f"and down_proj is refitted, {order},"
    parts = [chosen, done, on]
    if not is_calibrated and criterion not in CALIBRATED:
        parts[0] += ", without text,"
    long = f"; {architecture.layers} layers, and from the first on the time that is left is shown"
    echo(
        f"{source.name}: {' '.join(filter(None, parts))}{long if is_calibrated else ''}.", err=True
    )


def tell_needs(
    source: ModelSource,
    estimate: CutEstimate,
    out: Path | None = None,
    *,
    is_divided: bool = False,
) -> float:
    """Say on stderr how long a calibrated cut takes, and how much memory and disk.

    Args:
        source: The model.
        estimate: What its cut takes.
        out: The result, if one is written.
        is_divided: Whether the text is divided among workers.

    Returns:
        Roughly the seconds that it takes.

    Raises:
        RunError: Memory is too small for certain.
    """
    check_memory(source, estimate)
    with open_model(source) as model:
        pace = measured_pace(model.weights, *model.run_in)
    needs = [f"{in_bytes(estimate.memory_bytes)} of memory"]
    if out is not None:
        disk = estimate.kept_bytes + estimate.result_bytes
        needs.append(f"{in_bytes(disk)} of disk beside {out}")
    if estimate.state_bytes:
        needs.append(f"{in_bytes(estimate.state_bytes)} in {tempfile.gettempdir()}")
    seconds = estimate.work.seconds(pace)
    long = in_minutes(seconds)
    workers = "; workers take some of the time off, and need memory too" if is_divided else ""
    echo(f"Roughly {long} if nothing else runs, {', '.join(needs)}{workers}.", err=True)
    return seconds


def print_notes(*notes: str) -> None:
    """Say on stderr what is to be noted; "" is nothing."""
    for note in filter(None, notes):
        echo(f"Note: {note}.", err=True)


def tell_bytes(source: ModelSource) -> None:
    """Say which bytes are counted of a GGUF file, and how many it has."""
    if source.gguf is not None:
        notice(f"{source.name}: {source.checkpoint.storage_note}.")


def tell_vocabulary(source: ModelSource) -> None:
    """Say what a GGUF file would save by storing its vocabulary once, if it is stored twice."""
    if source.gguf is not None and (note := vocabulary_note(source.gguf)):
        notice(f"{note}.")
