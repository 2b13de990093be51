"""What the documents say is run: console blocks, Python blocks, the command reference."""

from __future__ import annotations

import contextlib
import inspect
import io
import json
import re
from pathlib import Path

import datasets
import pytest
import yaml
from click.testing import CliRunner
from every_family import FAMILIES
from PIL import Image
from scripts import ROOT, load_script

import widthwise
from widthwise.assets import embedded_model
from widthwise.cli import main
from widthwise.cut.gguf.llama_cpp import OTHER_TOKENS
from widthwise.errors import AssetError
from widthwise.evaluate import check_tasks, load_tasks
from widthwise.experiments.maml import load_omniglot
from widthwise.study import load

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


@pytest.mark.long
@pytest.mark.demo
def test_the_example_of_a_study_runs(elsewhere: Path) -> None:
    (block,) = blocks("python", (ROOT / "docs" / "study.md").read_text(encoding="utf8"))
    with contextlib.redirect_stdout(io.StringIO()) as out:
        exec(compile(block, "study.md", "exec"), {})
    assert out.getvalue().count("piqa") == 3  # dense, ppm and the control


def test_the_examples_of_mup_run(capsys: pytest.CaptureFixture[str]) -> None:
    space: dict[str, object] = {}
    for block in blocks("python", (ROOT / "docs" / "mup.md").read_text(encoding="utf8")):
        exec(compile(block, "mup.md", "exec"), space)
    assert "model.layers.*.mlp.down_proj.weight" in capsys.readouterr().out


def test_questions_of_ones_own_are_asked_as_the_document_shows(
    tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its files, under the names that it gives them, and its command, of a tiny model."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    text = (ROOT / "docs" / "evaluate.md").read_text(encoding="utf8")
    (questions, answer, passage), (described,) = blocks("json", text), blocks("yaml", text)
    (tmp_path / "cooking.jsonl").write_text(questions)
    (tmp_path / "cooking.yaml").write_text(described)
    (tmp_path / "answers.jsonl").write_text(answer * 3)
    (tmp_path / "texts.jsonl").write_text(passage * 3)
    check_tasks(["cooking.yaml", "answers.jsonl", "texts.jsonl"])
    (command,) = [block for block in blocks("sh", text) if "cooking.jsonl" in block]
    words = command.replace("smollm2", str(tiny_checkpoint)).split()[1:]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 0, result.output
    (by_file,) = load_tasks(["cooking.yaml"])
    (by_path,) = load_tasks(["cooking.jsonl"])
    assert [r.args for r in by_file.requests] == [r.args for r in by_path.requests]
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
    assert (bar[:3] == 255).all()  # the upper seventh, ink 255; its edge is spread over two rows
    assert not bar[5:].any()
    assert bar[3, 0] + bar[4, 0] == pytest.approx(255, abs=1)  # whole numbers
    assert dot[14, 14] == 255
    assert dot.sum() == pytest.approx(16 * 255, rel=0.02)


def test_readme_is_short_and_names_both_commands() -> None:
    assert README.count("\n") <= 150
    assert "make demo" in README
    assert "make test" in README


PAGES = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("[br]*/README.md")]


def anchors(page: Path) -> set[str]:
    """What GitHub calls the headings of a page in links."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf8"), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if not target.startswith("https://"):
            file, _, anchor = target.partition("#")
            linked = page.parent / file if file else page
            assert linked.exists(), target
            assert not anchor or anchor in anchors(linked), target


NOW = [page for page in PAGES if page.name != "LOG.md"]  # which names files as they were


@pytest.mark.parametrize("page", NOW, ids=lambda page: str(page.relative_to(ROOT)))
def test_files_that_are_named_exist(page: Path) -> None:
    """Paths are those of the repository or of the package; NAME and ROOM stand for others."""
    whole = page.name in ("ARCHITECTURE.md", "CONTRIBUTING.md")
    folders = "" if whole else "(?:src|tests|docs|benchmarks|tools|examples|results)/"
    named = re.findall(rf"`({folders}[\w./-]+)`", page.read_text(encoding="utf8"))
    named = [name for name in named if "/" in name and not re.search("NAME|ROOM", name)]
    assert len(named) > 9 or not whole
    for name in named:
        assert any((root / name).exists() for root in (ROOT, ROOT / "src" / "widthwise")), name


def test_the_architecture_has_every_room_in_its_order() -> None:
    rooms = load_script("tests/test_imports.py").ORDER
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf8")
    assert re.findall(r"^\| `(\w+)` \| .+\. \|$", text, re.MULTILINE) == rooms


def test_contributing_is_short() -> None:
    assert (ROOT / "CONTRIBUTING.md").read_text(encoding="utf8").count("\n") <= 50


def test_the_index_has_every_page_of_the_documents() -> None:
    text = (ROOT / "docs" / "index.md").read_text(encoding="utf8")
    listed = re.findall(r"^\| \[([\w.-]+)\]", text, re.MULTILINE)
    pages = {path.name for path in (ROOT / "docs").glob("*.md")} - {"index.md"}
    assert sorted(listed) == sorted(pages)


def test_a_commit_is_checked_by_what_make_check_runs() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf8")
    (recipe,) = re.findall(r"^check:.*\n((?:\t.*\n)+)", makefile, re.MULTILINE)
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf8"))
    entries = [hook["entry"] for repo in hooks["repos"] for hook in repo["hooks"]]
    assert entries == recipe.replace("$(BIN)", ".venv/bin").replace("\t", "").splitlines()


def test_the_command_reference_is_fresh() -> None:
    module = load_script("tools/cli_reference.py")
    assert (ROOT / "docs" / "cli.md").read_text(encoding="utf8") == module.reference()


def test_the_page_of_stored_results_is_what_the_records_say() -> None:
    module = load_script("tools/results_readme.py")
    assert (ROOT / "results" / "README.md").read_text(encoding="utf8") == module.readme()
    stored = {str(p.relative_to(ROOT / "results")) for p in (ROOT / "results").rglob("*.jsonl")}
    assert {source.path for source in module.FILES} == stored


def test_every_benchmark_has_its_last_figures() -> None:
    """Scripts that are run by themselves have a section; others are named in one."""
    text = (ROOT / "benchmarks" / "README.md").read_text(encoding="utf8")
    for path in (ROOT / "benchmarks").glob("*.py"):
        is_run = "__main__" in path.read_text(encoding="utf8")
        assert (f"## {path.name}\n" if is_run else f"`{path.name}`") in text, path.name


def test_the_log_lists_every_entry_once_by_topic() -> None:
    text = (ROOT / "LOG.md").read_text(encoding="utf8")
    entries = re.findall(r"^## (2026.+)$", text, re.MULTILINE)
    assert sorted(re.findall(r"^  - \[(.+)\]\(#", text, re.MULTILINE)) == sorted(entries)


def test_every_word_of_the_glossary_stands_once() -> None:
    words = re.findall(r"^\| (.+?) \|", (ROOT / "GLOSSARY.md").read_text(), re.MULTILINE)
    assert len(words) == len(set(words))


def test_the_table_of_families_has_every_family_of_the_tests() -> None:
    """Its words are those of the trials (`tools/families_table.py`), which take minutes."""
    table = (ROOT / "docs" / "families.md").read_text(encoding="utf8")
    rows = re.findall(r"^\| `(\w[\w-]*)` \| (.*) \|$", table, re.MULTILINE)
    assert [family for family, _ in rows] == [*FAMILIES]
    assert all(words.split(" | ")[0] == "yes" for _, words in rows)
    number = re.findall(r"^(\d+)\. llama.cpp writes other tokens", table, re.MULTILINE)
    others = [family for family, words in rows if words.endswith(f"no ({number[0]})")]
    assert sorted(others) == [*OTHER_TOKENS]  # export says so


def test_options_that_the_help_of_a_public_name_refers_to_are_public() -> None:
    for name in widthwise.__all__:
        text = inspect.getdoc(getattr(widthwise, name)) or ""
        assert set(re.findall(r"`(\w+Options)`", text)) <= set(widthwise.__all__), name
