"""How the code is laid out: short files and functions, no circles, imports through faces, tests
where one looks for them.

What does not hold yet is listed by name; a list may become shorter, and a name in it that needs
no exception any more is a failure too.
"""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator, Mapping
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "widthwise"
FILE_LINES, FUNCTION_LINES = 400, 40
PARAMETERS, PUBLIC_PARAMETERS = 6, 8  # the latter with keywords only among them
TESTED_LINES = 60


def module_of(path: Path) -> str:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = {module_of(path): path for path in sorted(PACKAGE.rglob("*.py"))}
FACES = {module for module, path in FILES.items() if path.name == "__init__.py"}
BESIDE = {  # what is no module of the package
    path.relative_to(ROOT).as_posix(): path
    for folder in ("tests", "tools")
    for path in sorted((ROOT / folder).rglob("*.py"))
}


@cache
def trees() -> dict[str, ast.Module]:
    """The modules, parsed."""
    return {name: ast.parse(path.read_text(encoding="utf8")) for name, path in FILES.items()}


def imported(module: str) -> Iterator[tuple[str, str]]:
    """Every relative import of a module, wherever it stands: from which module, which name."""
    package = FILES[module].relative_to(PACKAGE).parent.parts
    for node in ast.walk(trees()[module]):
        if isinstance(node, ast.ImportFrom) and node.level:
            above = package[: len(package) - node.level + 1]
            source = ".".join([*above, *([node.module] if node.module else [])])
            yield from ((source, alias.name) for alias in node.names)


def exported(face: str) -> set[str]:
    return {name for _, name in imported(face)}


def functions(parsed: Mapping[str, ast.Module]) -> Iterator[tuple[str, ast.FunctionDef]]:
    for module, tree in parsed.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef):
                yield f"{module}.{node.name}", node


def test_files_and_functions_stay_short() -> None:
    """Of a function without its docstring; those of the tests and tools as well."""
    texts = {name: path.read_text(encoding="utf8") for name, path in (FILES | BESIDE).items()}
    long = [name for name, text in texts.items() if text.count("\n") > FILE_LINES]
    beside = {name: ast.parse(texts[name]) for name in BESIDE}
    for name, node in functions(trees() | beside):
        docstring = ast.get_docstring(node, clean=False)
        lines = node.end_lineno - node.lineno + 1 - (docstring.count("\n") + 1 if docstring else 0)
        if lines > FUNCTION_LINES:
            long.append(name)
    assert sorted(long) == sorted(LONG)


def test_functions_take_few_parameters() -> None:
    many = []
    for name, node in functions(trees()):
        arguments = node.args
        places = [a for a in (*arguments.posonlyargs, *arguments.args) if a.arg not in _BOUND]
        count = len(places) + len(arguments.kwonlyargs)
        is_public = node.name == "__init__" or not node.name.startswith("_")
        is_public &= bool(arguments.kwonlyargs)
        if count > (PUBLIC_PARAMETERS if is_public else PARAMETERS):
            many.append(name)
    assert sorted(many) == sorted(MANY_PARAMETERS)


def test_modules_import_each_other_in_no_circle() -> None:
    """Imports in functions and those for types alone count too."""
    graph = {
        module: {
            found
            for source, name in imported(module)
            for found in (f"{source}.{name}".lstrip("."), source)
            if found in FILES and found not in FACES and found != module
        }
        for module in FILES
        if module not in FACES
    }
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        raise AssertionError(" imports ".join(reversed(error.args[1]))) from error


def test_rooms_are_entered_through_their_faces() -> None:
    """A face is the `__init__` of a room, or of a part of it."""
    past = []
    for module in FILES:
        for source, name in imported(module):
            room = source.partition(".")[0]
            is_elsewhere = room != module.partition(".")[0] and module not in ("", "__main__")
            if is_elsewhere and "." in source and source not in FACES:
                past.append(f"{module} imports {name} of {source}")
            whole = f"{source}.{name}"
            if is_elsewhere and source and whole in FILES and whole not in FACES:
                if source in FACES and name not in exported(source):
                    past.append(f"{module} imports {whole}")
    assert sorted(past) == PAST_A_FACE


def test_classes_have_names_of_their_own() -> None:
    names: dict[str, list[str]] = defaultdict(list)
    for module, tree in trees().items():
        for node in tree.body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                names[node.name].append(module)
    assert {name: modules for name, modules in names.items() if len(modules) > 1} == {}


def test_every_module_has_its_test_file() -> None:
    """A module is tested in `tests/ROOM/test_MODULE.py`."""
    tests = {path.relative_to(ROOT / "tests").as_posix() for path in (ROOT / "tests").rglob("*.py")}
    missing = []
    for module, path in FILES.items():
        room, _, name = module.rpartition(".")
        file = f"{room.replace('.', '/')}/test_{name}.py".lstrip("/")
        is_long = path.read_text(encoding="utf8").count("\n") > TESTED_LINES
        if is_long and module not in FACES and file not in tests:
            missing.append(file)
    assert missing == []


_BOUND = ("self", "cls")
PAST_A_FACE: list[str] = []
LONG = [
    "tests/cli/test_mup_transfer.py.test_every_run_is_a_line_and_the_same_command_goes_on",
    "tests/prune/healing/test_run.py.test_an_interrupted_run_goes_on_and_ends_with_the_same_weights",
    "tests/study/test_asking.py.test_evaluate_states_and_records_how_it_asks",
]
MANY_PARAMETERS: list[str] = []
