"""The command group, and how errors leave it."""

from __future__ import annotations

import ctypes
import os
import sys
from functools import partial
from typing import Any

import click
from click.shell_completion import CompletionItem

from .. import __version__
from ..errors import RunError, WidthwiseError
from ..io import check_system, out_of_memory
from ..notices import shown
from .commands import SHORT_HELP, Commands
from .interrupts import Interrupted
from .prose import broken, echo


class _Main(click.Group):
    """Expected errors become one line and exit code 1; unexpected ones keep their traceback.

    Neither the list of commands nor its completion in a shell loads a command.
    """

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([*SHORT_HELP.items()])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        named = [name for name in SHORT_HELP if name.startswith(incomplete)]
        commands = [CompletionItem(name, help=SHORT_HELP[name]) for name in named]
        return [*commands, *click.Command.shell_complete(self, ctx, incomplete)]

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        for word in args:
            if (complaint := _undecodable(word)) is not None:
                raise click.UsageError(complaint, ctx)
        return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return self._invoke(ctx)
        except click.ClickException as error:
            _break_lines(error)
            raise

    def _invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except WidthwiseError as error:
            raise click.ClickException(" ".join(str(error).split())) from error
        except KeyboardInterrupt:
            raise Interrupted("interrupted") from None
        except (OSError, UnicodeError) as error:  # a path or a stream, whoever opened it
            raise click.ClickException(_sentence(error)) from error
        except (MemoryError, RuntimeError) as error:
            if not out_of_memory(error):
                raise
            first = str(error).partition("\n")[0]
            raise click.ClickException(f"memory does not suffice: {first}") from error


def _break_lines(error: click.ClickException) -> None:
    """Have an error shown in lines that a terminal does not break within words."""
    begin, text = "Error: ", error.format_message()
    lines = broken(f"{begin}{text}", sys.stderr).removeprefix(begin)
    setattr(error, "format_message", lambda: lines)  # noqa: B010  # of a method mypy says no


def _undecodable(text: str) -> str | None:
    """What is wrong with a text that holds bytes of a file's name that are no UTF-8."""
    try:
        text.encode("utf8")
    except UnicodeEncodeError:
        return f"{ascii(os.fsencode(text))[1:201]} is no text in UTF-8; use another name"
    return None


def _sentence(error: OSError | UnicodeError) -> str:
    """What went wrong with which path, as far as the error knows."""
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        return f"{os.fsdecode(error.filename)}: {error.strerror}"
    if isinstance(error, UnicodeEncodeError) and (complaint := _undecodable(error.object)):
        return complaint
    return f"{type(error).__name__}: {error}"


def _check_working_directory() -> None:
    """Raise RunError where it was removed: every path that is not absolute starts there."""
    try:
        os.getcwd()
    except FileNotFoundError as error:
        raise RunError(
            "the working directory does not exist any more; change to another one"
        ) from error


@click.group(
    cls=_Main,
    commands=Commands(),
    epilog="Exit codes: 0 done; 1 not done, or not all of it; 2 typed wrongly.",
    context_settings={"help_option_names": ["-h", "--help"], "show_default": True},
)
@click.version_option(__version__, prog_name="widthwise")
@click.pass_context
def main(context: click.Context) -> None:
    """How wide should this network be?

    Cut the GLU-MLP blocks of a language model to a chosen width, and see what it still knows;
    scale small networks to a budget; compare networks with their limits of infinite width.
    """
    check_system()
    _check_working_directory()
    _bound_busy_waiting()
    _keep_freed_memory()
    context.with_resource(shown(partial(echo, err=True)))


def _bound_busy_waiting() -> None:
    """Let threads of GNU OpenMP wait in a busy loop for microseconds only; before torch is loaded.

    Beside any other busy process, endless loops made torch 5 times slower than sharing the cores
    should; this bound cured it and cost nothing alone (LOG, 2026-11-22).
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "10000")


def _keep_freed_memory() -> None:
    """Have the GNU allocator reuse blocks of megabytes instead of returning them each time.

    Every block that is returned is mapped and zeroed anew by the kernel: 600 000 page faults and
    two seconds in pruning a model of 1 B parameters (LOG, 2026-11-22).
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        trim_threshold, mmap_threshold = -1, -3  # M_ constants of malloc.h
        mallopt(trim_threshold, 2**28)
        mallopt(mmap_threshold, 2**28)
