"""The list of commands names all of them, and each is loaded when it is named."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from click.shell_completion import ShellComplete
from click.testing import CliRunner
from command_line import run

import widthwise.cli
from widthwise.cli import main
from widthwise.cli.commands import SHORT_HELP, Commands


def test_every_command_is_listed_in_the_order_of_the_alphabet_with_a_sentence() -> None:
    listed, _, last = run("--help").stdout.partition("Commands:\n")[2].partition("\n\n")
    lines = listed.splitlines()
    assert [line.split()[0] for line in lines] == sorted(SHORT_HELP)
    assert all(line.endswith(".") and len(line) <= 78 for line in lines)  # none is cut short
    assert last.startswith("  Exit codes: 0 done; 1 ")


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
        (["plan"], "smol", ["smollm2", "smollm2-narrow", "smollm2.gguf"]),
        (["heal", "x", "--dense"], "qwen2.5-coder-0", ["qwen2.5-coder-0.5b"]),
        (["measure", "smollm2"], "qwen2.5-coder-1", ["qwen2.5-coder-1.5b"]),
    ],
)
def test_a_shell_can_complete_commands_options_models_and_choices(
    words: list[str], begun: str, offered: list[str], tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("smollm2-narrow").mkdir()
    for file in ("smollm2.gguf", "smollm2.txt"):
        Path(file).touch()
    shell = ShellComplete(main, {}, "widthwise", "_WIDTHWISE_COMPLETE")
    assert [item.value for item in shell.get_completions(words, begun)] == offered


def test_every_command_can_be_quiet_and_print_json() -> None:
    for words in _names(main):
        shown = run(*words, "--help").stdout
        assert "-q, --quiet" in shown, words
        assert "--json" in shown, words


def _names(group: click.Group, *before: str) -> Iterator[tuple[str, ...]]:
    """What is typed for each command, those in groups among them."""
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from _names(command, *before, name)
        else:
            yield (*before, name)


def test_quiet_leaves_results_and_errors(saved: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    words = ["prune", saved, "--width", "9", "--criterion", "ppm", "-o"]
    assert "chosen by ppm" in run(*words, tmp_path / "loud").stderr
    quiet = run(*words, out, "--quiet")
    assert (quiet.exit_code, quiet.stdout, quiet.stderr) == (0, f"{out}\n", "")
    again = run("prune", "-q", *words[1:], out)
    assert (again.exit_code, again.stdout) == (1, "")
    assert again.stderr.startswith(f"Error: {out} already exists")
    assert again.stderr.count("\n") == 1
    wrong = run("prune", "--quiet", saved, "--nosuch")
    assert wrong.exit_code == 2
    assert "No such option '--nosuch'" in wrong.stderr


def test_what_is_no_name_of_a_model_is_completed_as_a_file() -> None:
    shell = ShellComplete(main, {}, "widthwise", "_WIDTHWISE_COMPLETE")
    (found,) = shell.get_completions(["prune"], "models/ti")
    assert (found.value, found.type) == ("models/ti", "file")


def test_the_lines_of_the_documentation_switch_completion_on() -> None:
    """Click finds the variable by the name of the command."""
    text = (Path(__file__).parents[2] / "docs" / "cli.md").read_text(encoding="utf8")
    shells = re.findall(r"_WIDTHWISE_COMPLETE=(\w+)_source widthwise", text)
    assert shells == ["bash", "zsh", "fish"]
    for shell in shells:
        asked = {"_WIDTHWISE_COMPLETE": f"{shell}_source"}
        result = CliRunner().invoke(main, [], prog_name="widthwise", env=asked)
        assert result.exit_code == 0
        assert f"_WIDTHWISE_COMPLETE={shell}_complete" in result.stdout
