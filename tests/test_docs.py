"""What the documents say is run: console blocks, Python blocks, the command reference."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from widthwise.assets import embedded_model
from widthwise.cli import main
from widthwise.errors import AssetError

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf8")


def blocks(language: str, text: str = README) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder, with the embedded model at hand."""
    try:
        embedded_model()
    except AssetError as error:
        pytest.skip(f"the embedded model cannot be had: {error}")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.demo
def test_readme_commands_print_what_the_readme_shows(elsewhere: Path) -> None:
    for block in blocks("console"):
        command, _, shown = block.partition("\n")
        assert command.startswith("$ widthwise ")
        result = CliRunner().invoke(main, command.split()[2:])
        assert result.exit_code == 0, result.output
        printed = result.output.replace(f"{elsewhere}/", "/your/folder/")
        assert printed.rstrip() == shown.rstrip()


@pytest.mark.demo
def test_readme_python_runs(elsewhere: Path) -> None:
    for block in blocks("python"):
        with contextlib.redirect_stdout(io.StringIO()) as out:
            exec(compile(block, "README.md", "exec"), {})
        assert out.getvalue() == "816\n"


@pytest.mark.demo
def test_the_example_of_a_study_runs(elsewhere: Path) -> None:
    (block,) = blocks("python", (ROOT / "docs" / "study.md").read_text(encoding="utf8"))
    with contextlib.redirect_stdout(io.StringIO()) as out:
        exec(compile(block, "study.md", "exec"), {})
    assert out.getvalue().count("piqa") == 3  # dense, ppm and the control


def test_readme_is_short_and_names_both_commands() -> None:
    assert README.count("\n") <= 150
    assert "make demo" in README
    assert "make test" in README


def test_readme_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\(([^)]+)\)", README):
        assert (ROOT / target).exists(), target


def test_the_command_reference_is_fresh() -> None:
    spec = importlib.util.spec_from_file_location("reference", ROOT / "docs" / "cli_reference.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert (ROOT / "docs" / "cli.md").read_text(encoding="utf8") == module.reference()


def test_every_word_of_the_glossary_stands_once() -> None:
    words = re.findall(r"^\| (.+?) \|", (ROOT / "GLOSSARY.md").read_text(), re.MULTILINE)
    assert len(words) == len(set(words))
