"""Imports go one way: a room may import only the rooms above it in ORDER."""

import ast
import importlib
import subprocess
import sys
from pathlib import Path

from room_order import ORDER

import widthwise

PACKAGE = Path(__file__).parent.parent / "src" / "widthwise"


def imported_modules(path: Path) -> list[str]:
    """Absolute names of everything that the file imports, relative imports resolved."""
    package = ["widthwise", *path.relative_to(PACKAGE).parent.parts]
    names = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf8"))):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            prefix = ".".join([*base, *([node.module] if node.module else [])])
            names += [f"{prefix}.{alias.name}" for alias in node.names]
    return names


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def test_imports_go_one_way() -> None:
    wrong = []
    for path in PACKAGE.rglob("*.py"):
        room = room_of(path)
        if room in ("__init__", "__main__"):
            continue  # the façade and the entry point
        for name in imported_modules(path):
            parts = name.split(".")
            if parts[0] != "widthwise" or parts[1:2] in ([], [room], ["__version__"]):
                continue
            if parts[1] not in ORDER or ORDER.index(parts[1]) > ORDER.index(room):
                wrong.append(f"{path.relative_to(PACKAGE)} imports {name}")
    assert not wrong, wrong


def test_every_room_is_in_the_order() -> None:
    rooms = {room_of(p) for p in PACKAGE.rglob("*.py")} - {"__init__", "__main__"}
    assert rooms <= set(ORDER), rooms - set(ORDER)


def test_importing_the_package_is_light() -> None:
    """`import widthwise` and `widthwise --help` load neither numpy nor torch, nor any command;
    the help of a command loads no torch."""
    code = """
import sys
from click.testing import CliRunner
from widthwise.cli import main
from widthwise.cli.commands import SHORT_HELP
assert CliRunner().invoke(main, ["--help"]).exit_code == 0
heavy = {"numpy", "torch", "rich", *(f"widthwise.cli.{name}" for name in SHORT_HELP)}
loaded = heavy & {*sys.modules}
for name in SHORT_HELP:
    assert CliRunner().invoke(main, [name, "--help"]).exit_code == 0
sys.exit(" ".join(loaded | {"torch"} & {*sys.modules}) or 0)
"""
    result = subprocess.run([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True)
    assert (result.returncode, result.stderr) == (0, "")


def test_public_names_are_those_that_type_checkers_see() -> None:
    """They are stated for the checkers by imports, and loaded by `__getattr__`."""
    facade = ast.parse((PACKAGE / "__init__.py").read_text(encoding="utf8"))
    (choice,) = (node for node in facade.body if isinstance(node, ast.If))
    stated = {
        alias.name: importlib.import_module(f".{node.module}", "widthwise")
        for node in choice.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert sorted(stated) == sorted(widthwise.__all__)
    assert {*widthwise.__all__} <= {*dir(widthwise)}
    for name, room in stated.items():
        whole = room if name == "prune" else getattr(room, name)  # that room can be called
        assert getattr(widthwise, name) is whole


def test_rooms_are_attributes_of_the_package_and_other_names_are_refused() -> None:
    assert widthwise.runs.Processes is importlib.import_module("widthwise.runs").Processes
    assert not hasattr(widthwise, "nosuch")
