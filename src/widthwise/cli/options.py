"""Options that several commands share."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from ..arch import Target
from ..prune import CRITERIA, MOMENT_CRITERIA

Command = Callable[..., Any]

dtype_option = click.option(
    "--dtype", type=click.Choice(["bfloat16", "float32"]), help="Default: the faster."
)
device_option = click.option(
    "--device", help="cpu, cuda, cuda:1 ...; by default CUDA where there is one."
)
thinking_option = click.option(
    "--thinking/--no-thinking",
    default=False,
    show_default=True,
    help="Of tasks with @chat: ask the model to think before it answers; its text is what follows.",
)


def seed_option(what: str) -> Callable[[Command], Command]:
    """`--seed`, of what is drawn by it."""
    return click.option(
        "--seed", type=click.IntRange(0, 2**31 - 1), default=0, show_default=True, help=what
    )


def data_option(what: str) -> Callable[[Command], Command]:
    """`--data`, a folder of documents."""
    return click.option(
        "--data",
        type=click.Path(path_type=Path, file_okay=False, exists=True),
        help=f"Folder with {what}; by default they come from the hub.",
    )


def out_option(default: str, what: str) -> Callable[[Command], Command]:
    """`-o`, the folder of a study."""
    return click.option(
        "-o",
        "--out",
        type=click.Path(path_type=Path, file_okay=False),
        default=Path(default),
        show_default=True,
        help=what,
    )


def widths_options(command: Command) -> Command:
    """`--to` and `--remove`, lists of widths; `parse_widths` joins them."""
    remove = click.option(
        "--remove",
        type=parse_names,
        metavar="LIST",
        default="",
        help="Shares of neurons to remove: 10%,40%.",
    )
    to = click.option(
        "--to",
        type=parse_names,
        metavar="LIST",
        default="",
        help="Expansion ratios to cut to: 2.4x.",
    )
    return to(remove(command))


def parse_names(value: str) -> tuple[str, ...]:
    """Names with commas between them, each once."""
    return tuple(dict.fromkeys(part.strip() for part in value.split(",") if part.strip()))


def parse_item_limits(value: str) -> dict[str, int]:
    """`200` for all tasks (under the empty name), `mmlu=400` for one; with commas between them."""
    limits: dict[str, int] = {}
    for part in parse_names(value):
        match = re.fullmatch(r"(?:([^=]+)=)?([0-9]{1,9})", part)
        if match is None or int(match[2]) < 2:
            raise click.BadParameter(f"{part!r} is not a number of items, at least 2, or TASK=N.")
        task = (match[1] or "").strip()
        if limits.setdefault(task, int(match[2])) != int(match[2]):
            raise click.BadParameter(f"{value!r} has two limits for {task or 'all tasks'}.")
    return limits


def parse_ints(context: click.Context, parameter: click.Parameter, value: str) -> tuple[int, ...]:
    """`64,256,1024` as numbers."""
    parts = [part.strip() for part in value.split(",")]
    if not all(part.isascii() and part.isdigit() and len(part) < 10 for part in parts):
        raise click.BadParameter(
            f"{value!r} must be whole numbers with commas between them, all below 10^9"
        )
    return tuple(int(part) for part in parts)


def networks_options(flag: str, default: str, kernels: str) -> Callable[[Command], Command]:
    """Widths of finite networks, `--limit` and `--kernels`; `parse_networks` joins them.

    Args:
        flag: Of the widths.
        default: Of the widths.
        kernels: What kernels there are.
    """

    def add(command: Command) -> Command:
        widths = click.option(
            flag,
            "widths",
            callback=_ascending,
            default=default,
            show_default=True,
            metavar="LIST",
            help="Of finite networks; '' for none.",
        )
        limit = click.option(
            "--limit/--no-limit", default=True, show_default=True, help="Infinite width, too."
        )
        of_kernels = click.option(
            "--kernels/--no-kernels", default=True, show_default=True, help=f"{kernels}, too."
        )
        return widths(limit(of_kernels(command)))

    return add


def _ascending(context: click.Context, parameter: click.Parameter, value: str) -> tuple[int, ...]:
    """`2,8,32` as numbers, each once; "" is none."""
    parts = parse_names(value)
    if not all(part.isascii() and part.isdigit() and len(part) < 10 for part in parts):
        raise click.BadParameter(f"{value!r} must be whole numbers with commas between them")
    return tuple(sorted({int(part) for part in parts}))


def parse_networks(
    flag: str, widths: Sequence[int], limit: bool, kernels: Sequence[str]
) -> list[tuple[str, int | None]]:
    """Kind and width of every network that `networks_options` ask for.

    Raises:
        click.UsageError: None is asked for.
    """
    asked: list[tuple[str, int | None]] = [("finite", width) for width in widths]
    asked += [("limit", None)] * limit + [(kernel, None) for kernel in kernels]
    if not asked:
        raise click.UsageError(f"nothing to train: give {flag}, --limit or --kernels")
    return asked


def parse_widths(to: tuple[str, ...], remove: tuple[str, ...]) -> tuple[str, ...]:
    """All widths, each one read as what it was given as: `--to 40%` is none."""
    return (
        *(Target("to", text).text for text in to),
        *(Target("remove", text).text for text in remove),
    )


def model_name(value: str) -> str:
    """A MODEL; a folder is the same one with and without a slash at its end."""
    return value.rstrip("/") or value


def calibration_options(command: Command) -> Command:
    """`--calibration` and `--tokens` of a study; `read_calibration` reads them."""
    text = click.option(
        "--calibration",
        metavar="TEXT",
        help="Text that activation and +refit go by: a file or folder, or a data set of the hub. "
        "Default: embedded text.",
    )
    tokens = click.option(
        "--tokens",
        type=click.IntRange(min=1024),
        default=65_536,
        show_default=True,
        help="Most tokens of the calibration text; half of them are held out.",
    )
    return text(tokens(command))


def read_calibration(options: dict[str, Any]) -> str | None:
    """The calibration text of a study, a file by its whole path.

    Raises:
        click.UsageError: No criterion goes by what was given.
    """
    from ..study import is_calibrated

    context = click.get_current_context()
    typed = click.core.ParameterSource.COMMANDLINE
    names = ("calibration", "tokens")
    given = [f"--{name}" for name in names if context.get_parameter_source(name) == typed]
    if given and not any(map(is_calibrated, options["criteria"])):
        raise click.UsageError(
            f"{given[0]} goes with a criterion that is calibrated, such as activation+refit."
        )
    text: str | None = options["calibration"]
    if text is not None and not text.strip():
        raise click.UsageError("--calibration must name a text; got an empty name.")
    path = None if text is None else Path(text).expanduser()
    return str(path.resolve()) if path is not None and path.exists() else text


def criteria_help(done: str) -> str:
    """What `--criterion` of a study takes."""
    return (
        f"How neurons are {done}: {', '.join((*CRITERIA, *MOMENT_CRITERIA))}; with +refit "
        "(activation+refit) down_proj is refitted as well; obs only so. random is always "
        "measured beside them."
    )
