"""Models as `widthwise mup` takes them: configs at other widths, small networks of their kind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

from ..arch import language_config
from ..cut.checkpoint import read_json, resolve_model
from ..errors import LimitError
from ..mup import AskedRole, NetworkFamily, glu_family
from .options import parse_ints, parse_names, together

if TYPE_CHECKING:
    from transformers import PretrainedConfig


def _pairs(value: str | None, example: str) -> dict[str, str]:
    """`a=1,b=2` as a mapping."""
    pairs = {}
    for part in parse_names(value or ""):
        name, equals, given = part.partition("=")
        if not (name.strip() and equals and given.strip()):
            raise click.BadParameter(f"{part!r} must look like {example}")
        pairs[name.strip()] = given.strip()
    return pairs


def parse_depths(
    context: click.Context, parameter: click.Parameter, value: str | None
) -> tuple[int, ...]:
    """Numbers of layers; () where none are given."""
    depths = parse_ints(context, parameter, value) if value else ()
    if depths and min(depths) < 2:
        raise click.BadParameter(f"numbers of layers must be at least 2; got {min(depths)}")
    return depths


def parse_sizes(
    context: click.Context, parameter: click.Parameter, value: str | None
) -> dict[str, int]:
    """`hidden_size=256,num_attention_heads=4` as numbers by the names of settings."""
    sizes = _pairs(value, "hidden_size=256")
    for name, given in sizes.items():
        if not (given.isdecimal() and int(given)):
            raise click.BadParameter(f"{name} must be a whole number above 0; got {given!r}")
    return {name: int(given) for name, given in sizes.items()}


def parse_roles(
    context: click.Context, parameter: click.Parameter, value: str | None
) -> dict[str, AskedRole]:
    """`*.prompt=input` as roles by patterns of names, which `parametrize` checks."""
    return cast("dict[str, AskedRole]", _pairs(value, "*.prompt=input"))


role_option = click.option(
    "--roles",
    callback=parse_roles,
    metavar="PATTERN=ROLE,...",
    help="What parameters are whose module does not say it: input, hidden, output or vector.",
)


optimizer_option = click.option(
    "--optimizer",
    type=click.Choice(["adamw", "muon"]),
    default="adamw",
    help="AdamW; or Muon for hidden matrices, with AdamW for all else.",
)


family_options = together(  # of small networks of a model's kind
    click.option(
        "--layers",
        type=click.IntRange(1, 1000),
        default=2,
        help="Layers of MODEL's small networks; more where one of each kind takes more.",
    ),
    click.option(
        "--set",
        "stated",
        callback=parse_sizes,
        metavar="NAME=N,...",
        help="Other settings of MODEL's config in the small networks.",
    ),
    role_option,
)


def model_config(model: str) -> PretrainedConfig:
    """The config of a MODEL's language model, or of a config.json.

    Raises:
        CheckpointError, AssetError: It cannot be read.
        LimitError: transformers has no class for it.
    """
    path = Path(model)
    if path.is_file() and path.suffix == ".json":
        stated: Mapping[str, Any] = read_json(path)
    else:
        source = resolve_model(model)
        stated = source.checkpoint.config if source.gguf else source.stated
    config: PretrainedConfig | None = language_config(stated)
    if config is None:
        raise LimitError(
            f"{model}: transformers has no class for model_type {stated.get('model_type')!r}"
        )
    return config


def take_family(options: dict[str, Any], widths: Sequence[int]) -> NetworkFamily | None:
    """Small networks of a MODEL's kind by the options of a command, which leave the mapping.

    None without a MODEL: what is meant is `glu_family`.

    Raises:
        LimitError, CheckpointError, AssetError: It has no such networks at one of the widths.
    """
    model = options.pop("model")
    given = {name: options.pop(name) for name in ("layers", "stated", "roles")}
    family = None
    if model is not None:
        family = NetworkFamily(config=model_config(model), **given)
    for width in widths:
        (family or glu_family()).at(width)
    return family
