"""The list of commands names all of them, and each is loaded when it is named."""

from __future__ import annotations

import ast
from pathlib import Path

import click
import pytest
from click.shell_completion import ShellComplete
from command_line import run

import widthwise.cli
from widthwise.cli import main
from widthwise.cli.commands import SHORT_HELP, Commands


def test_every_command_is_listed_in_the_order_of_the_alphabet_with_a_sentence() -> None:
    lines = run("--help").stdout.partition("Commands:\n")[2].splitlines()
    assert [line.split()[0] for line in lines] == sorted(SHORT_HELP)
    assert all(line.endswith(".") and len(line) <= 78 for line in lines)  # none is cut short


def test_every_module_that_holds_a_command_of_its_name_is_listed() -> None:
    folder = Path(widthwise.cli.__file__).parent
    parts = {path.stem: path.read_text(encoding="utf8") for path in folder.glob("*.py")}
    held = {name for name, text in parts.items() if _defines_command(text, name)}
    assert held - {"main"} == {*SHORT_HELP}


def _defines_command(text: str, name: str) -> bool:
    """Whether a module has a command, or a group of them, of this name."""
    return any(
        isinstance(node, ast.FunctionDef)
        and node.name == name
        and any(ast.unparse(each).startswith("click.") for each in node.decorator_list)
        for node in ast.parse(text).body
    )


def test_a_command_is_loaded_once_and_a_wrong_name_is_answered_by_the_nearest() -> None:
    commands = Commands()
    assert isinstance(commands["plan"], click.Command)
    assert commands["plan"] is commands["plan"]
    with pytest.raises(KeyError):
        commands["nosuch"]
    result = run("evalute", "x")
    assert result.exit_code == 2
    assert "No such command 'evalute'" in result.stderr
    assert "evaluate" in result.stderr


@pytest.mark.parametrize(
    ("words", "begun", "offered"),
    [
        ([], "p", ["plan", "prune"]),
        ([], "--v", ["--version"]),
        (["plan"], "--al", ["--align"]),
        (["tinynet"], "s", ["search"]),
        (["export", "smollm2", "--type"], "q8", ["q8_0"]),
    ],
)
def test_a_shell_can_complete_commands_options_and_choices(
    words: list[str], begun: str, offered: list[str]
) -> None:
    shell = ShellComplete(main, {}, "widthwise", "_WIDTHWISE_COMPLETE")
    found = [item.value for item in shell.get_completions(words, begun)]
    assert found == offered
