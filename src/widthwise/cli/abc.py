"""`widthwise abc`: what a parametrization does as the width grows."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from typing import Any

import click

from ..theory import Abc, Abcd, Classification, classify, draw_region, power
from .figure_options import drawing_options, save_figure
from .json_output import json_option, print_json, wants_json
from .options import check_writable
from .parametrization_options import format_title, parametrization_options, parse_parametrization
from .tables import print_titled, print_wrapped, table_console


@click.command()
@parametrization_options(2)
@click.option(
    "--optimizer",
    type=click.Choice(["sgd", "adam"]),
    default="sgd",
    help="adam means any optimizer that works entry by entry.",
)
@json_option
@drawing_options("Draw it among the stable, feature and kernel parametrizations, for SGD.")
def abc(
    name: str | None,
    layers: int,
    optimizer: Any,
    *,
    out: Path | None,
    force: bool,
    **exponents: str | None,
) -> None:
    """Say whether networks of a parametrization learn features as they get wider.

    NAME is sp, ntp, mfp, mup, up_s with a fraction for s, or muP as table3, table8 or table9 of
    arXiv 2203.03466 has it. --a, --b and --c take comma-separated fractions, one for each layer
    that has weights, the output last; with NAME they replace its own.

    Example: widthwise abc --a=-1/2,0,1/2 --b=1/2,1/2,1/2 --c=0 --json
    """
    asked = parse_parametrization(name, layers, exponents, optimizer)
    if out is not None and not isinstance(asked, Abc):
        raise click.UsageError("the picture is of parametrizations for SGD; drop --optimizer adam")
    check_writable(out, force)
    result = classify(asked)
    title = format_title(name, tuple(exponents[letter] for letter in "abc"))
    if out is not None and isinstance(asked, Abc):
        save_figure(draw_region(asked, title), out)
    if wants_json():
        print_json(_as_json(asked, result, optimizer))
    else:
        _print(title, asked, result, optimizer)


def _texts(values: Iterable[Fraction]) -> list[str]:
    return [str(value) for value in values]


def _as_json(parametrization: Abc | Abcd, result: Classification, optimizer: str) -> dict[str, Any]:
    """Fractions as text: they are exact."""
    letters = "abcd" if hasattr(parametrization, "d") else "abc"
    return {
        "optimizer": optimizer,
        "hidden_layers": parametrization.hidden_layers,
        **{letter: _texts(getattr(parametrization, letter)) for letter in letters},
        **vars(result),
        "r": str(result.r),
        "r_layers": _texts(result.r_layers),
    }


def _print(title: str, parametrization: Abc | Abcd, result: Classification, optimizer: str) -> None:
    """The exponents as powers of the width, and what they lead to."""
    console, hidden = table_console(), parametrization.hidden_layers
    exponents = zip(parametrization.a, parametrization.b, parametrization.c, strict=True)
    rows = [
        [str(layer) if layer <= hidden else "output", *(power(-x) for x in abc), r]
        for layer, (abc, r) in enumerate(
            zip(exponents, [*_texts(result.r_layers), "-"], strict=True), start=1
        )
    ]
    print_titled(
        console,
        f"{title}: {hidden} hidden layer{'s' * (hidden > 1)}, {optimizer}",
        ["layer", "multiplier", "initial std", "learning rate", "r"],
        rows,
    )
    print_wrapped(console, f"regime {result.regime or 'not decided'}, r = {result.r}")
    print_wrapped(console, result.explanation)
