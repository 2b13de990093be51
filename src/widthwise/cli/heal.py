"""`widthwise heal`."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..io import check_overwrite
from .figure_options import save_figure
from .json_output import json_option, print_json, wants_json, without
from .options import MODEL, dense_option, device_option, dtype_option, names_models, seed_option
from .progress_bar import ProgressBar, hush_transformers, progress_bar
from .prose import echo

if TYPE_CHECKING:
    from ..prune.healing import Healing, TrainingStep

_LINE_SECONDS = 30.0  # between two lines where there is no terminal
_SCALES = {"": 1, "k": 10**3, "m": 10**6, "b": 10**9}


def _tokens(value: str) -> int:
    """A number of tokens: 500000, 1M, 2.5M."""
    match = re.fullmatch(r"([0-9]{1,12}(?:\.[0-9]{1,6})?)([kmb]?)", value.strip().lower())
    count = int(float(match[1]) * _SCALES[match[2]]) if match else 0
    if count < 1:
        raise click.BadParameter(f"{value!r} is not a number of tokens such as 500000 or 1M.")
    return count


@click.command(
    epilog="Example: widthwise heal smollm2-2.4x --dense smollm2 --minutes 30 -o healed",
)
@click.argument("child", type=MODEL)
@dense_option
@click.option(
    "--text",
    metavar="TEXT",
    help="Text to train on: a file or folder, a data set of the hub, or several by shares of the "
    "tokens (my-code/:0.7,embedded:0.3). Default: embedded text. "
    "A part of it is held out.",
)
@click.option(
    "--tokens", type=_tokens, metavar="N", help="Most tokens to train on; 1M without --minutes."
)
@click.option(
    "--minutes",
    type=click.FloatRange(0, min_open=True),
    help="Take at most this many minutes on the clock, with loading and measuring.",
)
@click.option("--temperature", default=1.0, help="Temperature in the loss.")
@click.option("--hidden", default=0.0, help="Weight of the hidden-state term.")
@click.option("--learning-rate", type=float, help="Highest learning rate. Default: by a test.")
@click.option(
    "--mup-factors",
    is_flag=True,
    help="Multiply each weight's learning rate by its factor of mup after-prune.",
)
@click.option(
    "--batch-tokens",
    type=_tokens,
    default="2048",
    metavar="N",
    help="Tokens of one step; fewer if there is only time for few steps.",
)
@click.option(
    "--micro-tokens",
    type=_tokens,
    metavar="N",
    help="Tokens run at once; fewer take less memory. Default: 2048, on a GPU 16384.",
)
@click.option(
    "--lora", type=click.IntRange(1), metavar="RANK", help="Train only updates of this rank."
)
@seed_option("Seed of the order of the text.")
@dtype_option
@device_option
@click.option(
    "-o", "--out", type=click.Path(path_type=Path), required=True, help="Folder to write."
)
@click.option("--force", is_flag=True, help="Replace OUT if it exists.")
@json_option
@names_models
def heal(
    child: str,
    dense: str,
    *,
    text: str | None,
    dtype: str | None,
    device: str | None,
    out: Path,
    force: bool,
    **options: Any,
) -> None:
    """Train the pruned CHILD to give the logits of its dense parent; write a plain checkpoint.

    CHILD and MODEL are each {MODEL}. The state that is best on held-out text is written. If no
    state is better than CHILD, nothing is written, and the exit code is 1. If it is interrupted,
    the same command continues it.
    """
    check_overwrite(out, force=force)
    from ..prune.healing import HealSettings, heal, read_healing_record
    from ..report import draw_healing

    settings = HealSettings(**options)
    command = shlex.join(["widthwise", *sys.argv[1:]])
    hush_transformers()
    with progress_bar() as bar:
        healing = heal(
            child, dense, out=out, text=text, settings=settings, device=device, dtype=dtype,
            force=force, command=command, status=bar.describe, progress=_follow(bar),
        )  # fmt: skip
    for line in healing.warnings:
        echo(f"Warning: {line}", err=True)
    click.echo(_table(healing), err=True)
    save_figure(draw_healing(healing), healing.out / "widthwise_healing.png")
    if wants_json():
        print_json({"out": healing.out, **without(read_healing_record(healing.out), "curve")})
    else:
        click.echo(healing.out)


def _follow(bar: ProgressBar) -> Callable[[TrainingStep, float], None]:
    """What shows each step in the bar, and where there is no terminal in a line now and then."""
    earlier: TrainingStep | None = None
    printed_seconds = float("-inf")

    def tell(step: TrainingStep, share: float) -> None:
        nonlocal earlier, printed_seconds
        text = "training"
        if earlier:
            speed = (step.tokens - earlier.tokens) / max(step.seconds - earlier.seconds, 1e-9)
            text = f"loss {step.loss:.3f}, {speed:,.0f} tokens/s"
        earlier = step
        bar.update(share, text)
        if step.seconds - printed_seconds >= _LINE_SECONDS:
            printed_seconds = step.seconds
            bar.say(f"{share:.0%} of the way: {text}")

    return tell


def _table(healing: Healing) -> str:
    """Before and after, with intervals, and whether the difference is one."""
    from ..prune.healing import gain_verdict, nats_text

    minutes, gain = healing.seconds / 60, healing.gain
    fell, least, most = nats_text(gain.value, gain.low, gain.high)
    verdict = {
        "closer": "closer to its parent",
        "further": "further from its parent than before",
        None: "not shown to be closer to its parent",
    }[gain_verdict(gain)]
    rows = [("", "KL from dense, nats a token", "perplexity / dense")]
    for name, held_out in (("pruned", healing.before), ("healed", healing.after)):
        summary = held_out.summary()
        rows.append((name, summary.nats, summary.ratio))
    widths = [max(len(row[i]) for row in rows) for i in range(3)]
    lines = [
        "  ".join(cell.ljust(widths[i]) for i, cell in enumerate(row)).rstrip() for row in rows
    ]
    written = healing.curve[healing.best_step - 1].tokens
    return "\n".join(
        [
            f"{healing.tokens:,} tokens in {minutes:.1f} minutes, {healing.epochs:.2f} times "
            f"through {healing.source}",
            f"written: the state after {written:,} tokens (step {healing.best_step} of "
            f"{len(healing.curve)}), the best on held-out text; highest learning rate "
            f"{healing.learning_rate:.2g}",
            *lines,
            f"KL fell by {fell} [{least}, {most}] on {gain.n} blocks of {healing.block_tokens} "
            f"tokens held out: {verdict}; brackets are 95 % intervals over blocks",
        ]
    )
