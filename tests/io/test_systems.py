"""Which Pythons and systems are promised, and what the others are answered."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf8"))
_NO_FCNTL = "import sys; sys.modules['fcntl'] = sys.modules['resource'] = None\n"  # as on Windows


def run(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False
    )


def test_promised_python_is_the_oldest_that_the_dependencies_take() -> None:
    """transformers 5.22 and newer install on Python 3.11 and newer alone."""
    metadata = PROJECT["project"]
    assert metadata["requires-python"] == ">=3.11"
    assert PROJECT["tool"]["ruff"]["target-version"] == "py311"
    assert PROJECT["tool"]["mypy"]["python_version"] == "3.11"
    assert "Programming Language :: Python :: 3.11" in metadata["classifiers"]
    assert "Python 3.11" in (ROOT / "README.md").read_text(encoding="utf8")


def test_promised_system_is_linux() -> None:
    named = [name for name in PROJECT["project"]["classifiers"] if "Operating System" in name]
    assert named == ["Operating System :: POSIX :: Linux"]
    assert "on Linux" in (ROOT / "README.md").read_text(encoding="utf8")


@pytest.mark.parametrize("command", ["plan", "evaluate", "heal", "study", "limit"])
def test_system_without_file_locks_is_refused_in_one_sentence(command: str, tmp_path: Path) -> None:
    code = f"{_NO_FCNTL}from widthwise.cli import main; main()"
    result = run(code, command, str(tmp_path))
    assert result.returncode == 1
    assert result.stderr.startswith("Error: widthwise runs on Linux, and this system cannot lock")
    assert result.stderr.count("\n") == 1


def test_library_without_file_locks_names_the_system(tmp_path: Path) -> None:
    code = (
        f"{_NO_FCNTL}from pathlib import Path\n"
        "from widthwise.io import locked_workdir\n"
        "from widthwise import WidthwiseError\n"
        "try:\n"
        f"    with locked_workdir(Path({str(tmp_path / 'work')!r})): pass\n"
        "except WidthwiseError as error: print(error)"
    )
    assert run(code).stdout.startswith("widthwise runs on Linux")
