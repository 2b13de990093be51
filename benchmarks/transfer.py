"""Learning-rate transfer on real text: muP's best rate stays, the standard one's falls.

    python benchmarks/transfer.py wikipedia.txt.gz
    python benchmarks/transfer.py wikipedia.txt.gz --seeds 16 -o results/transfer

Runs `widthwise mup transfer` with all its defaults, which goes on where it was, and sets what came
of it beside theory. Goals: `stays` of muP, `shifts` of the standard parametrization, down, also
where the embedding alone learns faster; theory has 0 and, of very wide networks, -1 octaves a
doubling.
"""

from __future__ import annotations

from pathlib import Path

import click

from widthwise.cli import main as cli
from widthwise.experiments.lr_transfer import optimum_shifts
from widthwise.experiments.lr_transfer import results as runs_of

THEORY = {"sp": ("shifts", -1.0), "sp-embedding": ("shifts", -1.0), "mup": ("stays", 0.0)}


@click.command()
@click.argument("text", type=click.Path(path_type=Path))
@click.option("--seeds", default=4, show_default=True)
@click.option("-o", "--out", default=Path("widthwise-transfer"), type=click.Path(path_type=Path))
def main(text: Path, seeds: int, out: Path) -> None:
    """Train everything and set it beside theory."""
    words = [text, "--seeds", seeds, "-o", out]
    cli(["mup", "transfer", *map(str, words)], standalone_mode=False)
    runs = [run for run, _ in runs_of.load(out / "results.jsonl").values() if run.seed < seeds]
    for shift in optimum_shifts(runs):
        verdict, slope = THEORY[shift.kind]
        right = shift.verdict == verdict and (slope == 0 or shift.slope.value < 0)
        click.echo(f"{shift.kind}: {shift.verdict}, expected {verdict}: {'ok' if right else 'OFF'}")


if __name__ == "__main__":
    main()
