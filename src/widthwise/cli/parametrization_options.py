"""Parametrizations as commands are asked for them: by name, by exponents, or both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import click

from ..theory import Abc, Abcd, exponents, faithful_abcd, named
from .options import Decorator, is_typed, together

_NAMES = {"mup": "muP", "sp": "SP", "ntp": "NTP", "mfp": "MFP"}


def parametrization_options(layers: int) -> Decorator:
    """NAME, `--layers` with this default, `--a`, `--b` and `--c`."""
    return together(
        click.argument("name", required=False, callback=_stripped),
        click.option("--layers", default=layers, help="Number of hidden layers, if NAME is given."),
        click.option(
            "--a", metavar="LIST", help="Multipliers are n^-a: one fraction for each layer."
        ),
        click.option(
            "--b", metavar="LIST", help="Weights start with a standard deviation of n^-b."
        ),
        click.option("--c", metavar="LIST", help="Learning rates are n^-c; one for all, or each."),
    )


def _stripped(context: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    return None if value is None else value.strip()


def parse_parametrization(
    name: str | None, layers: int, given: Mapping[str, str | None], optimizer: Any = "sgd"
) -> Abc | Abcd:
    """From a name, from exponents, or from a name with some of its exponents replaced."""
    parts = {letter: exponents(text) for letter, text in given.items() if text is not None}
    if name is not None:
        start = named(name, layers, optimizer)
        parts = {**{letter: getattr(start, letter) for letter in "abc"}, **parts}
    elif len(parts) < 3:
        raise click.UsageError("give the name of a parametrization, or all of --a, --b and --c")
    elif is_typed("layers"):
        raise click.UsageError("--layers goes with a name; --a, --b and --c say it themselves")
    if len(parts["c"]) == 1:
        parts["c"] *= len(parts["a"])
    return (Abc if optimizer == "sgd" else faithful_abcd)(**parts)


def format_title(name: str | None, given: Sequence[str | None]) -> str:
    """What it is called in words and figures."""
    changed = [f"{x} = {text}" for x, text in zip("abc", given, strict=True) if text is not None]
    if name is None:
        return "; ".join(changed)
    return ", ".join([_NAMES.get(name.lower(), name), *changed])
