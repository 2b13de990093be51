"""Options that several commands share."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem

from ..arch import Target
from ..assets import model_names
from ..errors import RunError
from ..io import check_new_file
from ..notices import notice
from ..prune import CRITERIA, DEFAULT_CRITERION, MOMENT_CRITERIA
from ..prune.calibration import whole_paths

DEFAULT_CRITERIA = f"{DEFAULT_CRITERION}+refit"  # of a study, as it is typed

Command = Callable[..., Any]
Decorator = Callable[[Command], Command]


def together(*options: Decorator) -> Decorator:
    """Several options as one decorator, in this order."""

    def add(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return add


def names_models(command: Command) -> Command:
    """Say what a MODEL may be, in the place of `{MODEL}` in the help of a command."""
    *names, last = model_names()
    what = "a checkpoint folder, a .gguf file, a hub id, or one by its name"
    stated = f"{what}: {', '.join(names)} or {last}"
    command.__doc__ = (command.__doc__ or "").replace("{MODEL}", stated)
    return command


def list_option(*names: str, default: str = "", **attributes: Any) -> Decorator:
    """An option that takes a text with commas in it; an empty default is not shown."""
    shown = bool(default)
    return click.option(*names, metavar="LIST", default=default, show_default=shown, **attributes)


def is_typed(name: str) -> bool:
    """Whether an option of the running command, by the name of its parameter, was given."""
    source = click.get_current_context().get_parameter_source(name)
    return source == click.core.ParameterSource.COMMANDLINE


def flag(name: str) -> str:
    """An option as it is typed, by the name of its parameter."""
    return f"--{name.replace('_', '-')}"


def only_given(options: Mapping[str, Any], names: Collection[str], ask: str = "Give") -> str:
    """The one of these options that has a value.

    Raises:
        click.UsageError: None of them has one, or several.
    """
    given = [name for name in names if options[name] is not None]
    if len(given) != 1:
        flags, got = ", ".join(map(flag, names)), " and ".join(map(flag, given)) or "none"
        raise click.UsageError(f"{ask} exactly one of {flags}; got {got}.")
    return given[0]


dtype_option = click.option(
    "--dtype", type=click.Choice(["bfloat16", "float32"]), help="Default: the faster one."
)

_DEVICE = re.compile(r"(cpu|cuda|hpu|mps|mtia|xla|xpu|privateuseone)(:[0-9]{1,3})?")  # of PyTorch


def parse_device(
    context: click.Context, parameter: click.Parameter, value: str | None
) -> str | None:
    """The name of a device; a wrong one is refused without loading torch, which takes seconds.

    Raises:
        RunError: It is none.
    """
    if value is not None and not _DEVICE.fullmatch(value):
        raise RunError(
            f"device {value} cannot be used here: PyTorch knows none of this name; pass --device "
            "cpu, cuda, or cuda:1 for the second GPU"
        )
    return value


device_option = click.option(
    "--device",
    callback=parse_device,
    help="cpu, cuda, cuda:1 ...; by default CUDA where there is one.",
)
thinking_option = click.option(
    "--thinking/--no-thinking",
    default=False,
    help=(
        "In tasks with @chat, ask the model to think before it answers; only the text after that "
        "is scored."
    ),
)


max_new_tokens_option = click.option(
    "--max-new-tokens", type=click.IntRange(1), help="Most tokens of each text that is written."
)
force_option = click.option("--force", is_flag=True, help="Replace the file of -o.")


def check_writable(path: Path | None, force: bool) -> None:
    """See, before any work, that the file of -o may be written.

    Raises:
        OutputError: The file is there and may not be replaced, it is a folder, or its folder is not
            there.
    """
    if path is not None:
        check_new_file(path, force=force)


def seed_option(what: str) -> Decorator:
    """`--seed`, of what is drawn by it."""
    return click.option("--seed", type=click.IntRange(0, 2**31 - 1), default=0, help=what)


def data_option(what: str) -> Decorator:
    """`--data`, the whole path of a folder of documents."""
    return click.option(
        "--data",
        type=click.Path(file_okay=False, exists=True, resolve_path=True),
        help=f"Folder with {what}; by default they come from the hub.",
    )


def out_option(default: str, what: str) -> Decorator:
    """`-o`, the folder of a study."""
    place = click.Path(path_type=Path, file_okay=False)
    return click.option("-o", "--out", type=place, default=Path(default), help=what)


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


def parse_points(value: str) -> float:
    """`2pp`, percentage points, as a share."""
    match = re.fullmatch(r"([0-9]*\.?[0-9]+)pp", value.strip())
    if match is None or not 0 < float(match[1]) < 100:
        raise click.BadParameter(f"{value!r} is not a number of percentage points such as 2pp.")
    return float(match[1]) / 100


def parse_ints(context: click.Context, parameter: click.Parameter, value: str) -> tuple[int, ...]:
    """`64,256,1024` as numbers."""
    parts = [part.strip() for part in value.split(",")]
    if not all(part.isascii() and part.isdigit() and len(part) < 10 for part in parts):
        raise click.BadParameter(
            f"{value!r} must be whole numbers with commas between them, all below 10^9"
        )
    return tuple(int(part) for part in parts)


def parse_seeds(context: click.Context, parameter: click.Parameter, value: str) -> tuple[int, ...]:
    """`0,1,2` as seeds, each once."""
    names = parse_names(value)
    if not names or not all(part.isdecimal() and int(part) < 2**31 for part in names):
        raise click.BadParameter(f"{value!r} must be whole numbers with commas between them")
    return tuple(int(part) for part in names)


def parse_ascending(
    context: click.Context, parameter: click.Parameter, value: str
) -> tuple[int, ...]:
    """`2,8,32` as numbers, each once; "" is none."""
    numbers = ",".join(parse_names(value))
    return tuple(sorted({*parse_ints(context, parameter, numbers)})) if numbers else ()


def networks_options(widths_flag: str, default: str, kernels: str) -> Decorator:
    """Widths of finite networks, `--limit` and `--kernels`; `parse_networks` joins them.

    Args:
        widths_flag: Flag of the widths.
        default: The widths where none are given.
        kernels: What kernels there are.
    """
    return together(
        list_option(
            widths_flag,
            "widths",
            callback=parse_ascending,
            default=default,
            help="Widths of finite networks; '' for none.",
        ),
        click.option("--limit/--no-limit", default=True, help="Infinite width, too."),
        click.option("--kernels/--no-kernels", default=True, help=f"{kernels}, too."),
    )


def parse_networks(
    widths_flag: str,
    widths: Sequence[int],
    limit: bool,
    kernels: Sequence[str],
    others: Mapping[str, Sequence[int]] | None = None,
) -> list[tuple[str, int | None]]:
    """Kind and width of every network that `networks_options` ask for.

    Args:
        widths_flag: Flag of the widths.
        widths: Of finite networks.
        limit: Whether the limit is asked for.
        kernels: The kernels that are.
        others: Widths of networks of other kinds.

    Raises:
        click.UsageError: None is asked for.
    """
    asked: list[tuple[str, int | None]] = [("finite", width) for width in widths]
    asked += [("limit", None)] * limit
    asked += [(kind, width) for kind, each in (others or {}).items() for width in each]
    asked += [(kernel, None) for kernel in kernels]
    if not asked:
        raise click.UsageError(f"nothing to train: give {widths_flag}, --limit or --kernels")
    return asked


def parse_widths(context: click.Context, parameter: click.Parameter, value: str) -> tuple[str, ...]:
    """Widths, each one read as what it was given as: `--to 40%` is none."""
    kind: Any = parameter.name
    return tuple(Target(kind, text).text for text in parse_names(value))


widths_options = together(
    list_option("--to", callback=parse_widths, help="Expansion ratios to cut to: 2.4x."),
    list_option("--remove", callback=parse_widths, help="Shares of neurons to remove: 10%,40%."),
)


def model_name(value: str) -> str:
    """A MODEL; a folder is the same one with and without a slash at its end."""
    return value.rstrip("/") or value


class ModelName(click.ParamType):  # type: ignore[type-arg]  # generic from click 8.5 on
    """A MODEL, which a shell completes by the names of models, folders and .gguf files."""

    name = "model"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        return model_name(value)

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        names = [name for name in model_names() if name.startswith(incomplete)]
        if not names:
            return [CompletionItem(incomplete, type="file")]
        for path in sorted(Path().iterdir()):
            is_model = path.is_dir() or path.suffix == ".gguf"
            if is_model and path.name.startswith(incomplete) and not path.name.startswith("."):
                names.append(path.name)
        return [*map(CompletionItem, names)]


MODEL = ModelName()

dense_option = click.option(
    "--dense",
    type=MODEL,
    required=True,
    metavar="MODEL",
    help="The parent that CHILD was cut from.",
)


calibration_options = together(
    click.option(
        "--calibration",
        metavar="TEXT",
        help=(
            "Text for activation and +refit: a file or folder, a data set of the hub, or several "
            "by shares of the tokens (my-code/:0.7,embedded:0.3). Default: embedded text."
        ),
    ),
    click.option(
        "--tokens",
        type=click.IntRange(min=1024),
        default=65_536,
        help="Use at most this many tokens of the calibration text; half of them are held out.",
    ),
)


def read_calibration(text: str | None, criteria: Sequence[str]) -> str | None:
    """The calibration text of a study, a file by its whole path.

    Raises:
        click.UsageError: No criterion goes by what was given.
    """
    from ..study import is_calibrated

    given = [flag(name) for name in ("calibration", "tokens") if is_typed(name)]
    if given and not any(map(is_calibrated, criteria)):
        raise click.UsageError(
            f"{given[0]} goes with a criterion that is calibrated, such as activation+refit."
        )
    if text is None:
        return None
    if not text.strip():
        raise click.UsageError("--calibration must name a text; got an empty name.")
    return whole_paths(text)


def read_criteria(typed: tuple[str, ...], out: Path) -> tuple[str, ...]:
    """The criteria of a study: as typed, or those of the folder that is gone on with."""
    from ..study import usual_criteria

    if is_typed("criteria"):
        return typed
    criteria = usual_criteria(out)
    if criteria != typed:
        notice(f"{out} goes on with its criteria ({', '.join(criteria)}); --criterion adds others.")
    return criteria


def criteria_help(done: str) -> str:
    """What `--criterion` of a study takes."""
    return (
        f"How neurons are {done}: {', '.join((*CRITERIA, *MOMENT_CRITERIA))}. activation goes by "
        "a text, ppm by how far the weights of a neuron spread; with +refit (activation+refit) "
        "down_proj is refitted as well, which obs needs, in one pass for all "
        "widths; with +refit+scales each width is cut as `prune` does it, which takes longer. "
        "random is always measured too. A folder goes on with its own."
    )
