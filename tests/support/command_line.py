"""The command line, run in this process."""

from __future__ import annotations

from click.testing import CliRunner, Result

from widthwise.cli import main


def run(*words: object) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words])


def piqa_at_ppm(command: str, model: object) -> list[object]:
    """A command that asks four questions of PIQA of a model and its cut by `ppm`."""
    asked = "--criterion ppm --to 1.4x --suite embedded:piqa --limit 4"
    return [command, model, *asked.split()]


def prune_by_weights(model: object, out: object, *asked: object) -> Result:
    """A cut by `ppm` to what is asked for."""
    return run("prune", model, "--criterion", "ppm", *asked, "-o", out)
