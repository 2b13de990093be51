"""What the documents say is run: console blocks, Python blocks, the command reference."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import json
import re
from pathlib import Path

import datasets
import pytest
from click.testing import CliRunner
from PIL import Image

from widthwise.assets import embedded_model
from widthwise.cli import main
from widthwise.errors import AssetError
from widthwise.experiments.maml import load_omniglot
from widthwise.study import load

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


def test_questions_of_ones_own_are_asked_as_the_document_shows(
    tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its files, under the names that it gives them, and its command, of a tiny model."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    text = (ROOT / "docs" / "evaluate.md").read_text(encoding="utf8")
    (questions,), (described,) = blocks("json", text), blocks("yaml", text)
    (tmp_path / "cooking.jsonl").write_text(questions)
    (tmp_path / "cooking.yaml").write_text(described)
    (command,) = [block for block in blocks("sh", text) if "cooking.yaml" in block]
    words = command.replace("smollm2", str(tiny_checkpoint)).split()[1:]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 0, result.output
    records = load(tmp_path / "widthwise-evaluate" / "records.jsonl")
    asked = [record for record in records if record.quantity == "cooking"]
    assert [(record.asked, record.criterion) for record in asked] == [
        ("dense", None), ("20%", "ppm"), ("20%", "random")
    ]  # fmt: skip
    right = [json.loads(line)["answer"] for line in questions.splitlines()]
    assert {record.floor for record in asked} == {max(map(right.count, right)) / len(right)}
    assert all(len(record.items) == len(right) for record in asked)


def test_the_document_makes_the_file_of_omniglot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of 15 characters of two made-up alphabets, one drawing of each a bar, the other a dot."""
    monkeypatch.chdir(tmp_path)
    names = []
    for number in range(15):
        part, alphabet = ("background", "Ay") if number < 8 else ("evaluation", "Bee")
        names.append(f"{alphabet}/character{number:02}")
        folder = tmp_path / "omniglot" / f"images_{part}" / names[-1]
        folder.mkdir(parents=True)
        for drawing, box in (("1", (0, 0, 105, 15)), ("2", (45, 45, 60, 60))):
            image = Image.new("1", (105, 105), 1)
            image.paste(0, box)
            image.save(folder / f"{number:04}_{drawing}.png")
    for part, own in (("train", names[::3]), ("val", names[1::3]), ("test", names[2::3])):
        lines = [f"{name}/rot{turn:03}\n" for name in own for turn in (0, 90, 180, 270)]
        (tmp_path / "omniglot" / f"{part}.txt").write_text("".join(lines))
    making, _ = blocks("python", (ROOT / "docs" / "maml.md").read_text(encoding="utf8"))
    exec(compile(making, "maml.md", "exec"), {})
    found = load_omniglot(Path("omniglot28.npz"))
    assert [one.shape for one in (found.train, found.val, found.test)] == [
        (20, 2, 784), (20, 2, 784), (5, 2, 784)
    ]  # fmt: skip
    bar, dot = found.test[0].reshape(2, 28, 28)
    assert (bar[:4] == 255).all()  # the upper seventh, ink 255
    assert not bar[4:].any()
    assert dot[14, 14] == 255
    assert dot.sum() == 16 * 255


def test_readme_is_short_and_names_both_commands() -> None:
    assert README.count("\n") <= 150
    assert "make demo" in README
    assert "make test" in README


def test_readme_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\(([^)]+)\)", README):
        assert (ROOT / target).exists(), target


def test_the_command_reference_is_fresh() -> None:
    spec = importlib.util.spec_from_file_location("reference", ROOT / "tools" / "cli_reference.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert (ROOT / "docs" / "cli.md").read_text(encoding="utf8") == module.reference()


def test_every_word_of_the_glossary_stands_once() -> None:
    words = re.findall(r"^\| (.+?) \|", (ROOT / "GLOSSARY.md").read_text(), re.MULTILINE)
    assert len(words) == len(set(words))
