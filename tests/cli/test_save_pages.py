"""Pages that commands write beside their runs and figures."""

from __future__ import annotations

from pathlib import Path

import pytest
import tiny_corpus
import tiny_omniglot
from click.testing import CliRunner
from run_pages import report

from widthwise.cli import main
from widthwise.cli.save_pages import check_beside
from widthwise.errors import OutputError


def test_each_command_ends_with_its_page(tmp_path: Path) -> None:
    tiny_corpus.save(tmp_path)
    text = tmp_path / "text.txt"
    text.write_text("Here and there a word is said twice. " * 60)
    out = {name: tmp_path / name for name in ("maml", "words", "rates")}
    omniglot = tiny_omniglot.save(tmp_path / "tiny.npz")
    for name, asked in {
        "maml": f"maml --data {omniglot} --widths 4 --steps 3 --no-kernels",
        "words": f"word2vec {tmp_path / 'text.gz'} --analogies {tmp_path / 'analogies.txt'} "
        "--width 8 --no-limit --no-kernels --min-count 1 --epochs 1",
        "rates": f"mup transfer {text} --widths 16,32 --learning-rates 0.001,0.01,0.1 --seeds 2 "
        "--steps 2 --tokens 8",
    }.items():
        result = CliRunner().invoke(main, [*asked.split(), "-o", str(out[name])])
        assert result.exit_code == 0, result.output
        page = out[name] / "report.html"
        assert result.stdout.splitlines()[-1] == f"report: {page}"
        before = page.read_bytes()
        assert report(out[name]).exit_code == 0
        assert page.read_bytes() == before


@pytest.mark.parametrize("suffix", [".png", ".jsonl", ".html"])
def test_neither_figure_nor_records_nor_page_are_written_over(suffix: str, tmp_path: Path) -> None:
    figure = tmp_path / "drawn.png"
    check_beside(None, force=False, command="mup check")
    check_beside(figure, force=False, command="mup check")
    figure.with_suffix(suffix).touch()
    check_beside(figure, force=True, command="mup check")
    with pytest.raises(OutputError, match=rf"drawn\{suffix} already exists; pass --force"):
        check_beside(figure, force=False, command="mup check")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("drawn.jsonl", '{"cell": "a", "quantity": "piqa"}\n'),
        ("drawn.jsonl", '{"layers": [], "changes": []}\n'),
        ("drawn.jsonl", "mine"),
        ("drawn.jsonl", b"\xff"),
        ("drawn.html", "mine"),
    ],
)
def test_force_replaces_nothing_of_another_kind(
    name: str, text: str | bytes, tmp_path: Path
) -> None:
    """The records of a study next to the picture, or a user's own page."""
    figure = tmp_path / "drawn.png"
    asked = f"limit converge mup --widths 16,32 --steps 2 --seeds 2 -o {figure}"
    (tmp_path / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    before = (tmp_path / name).read_bytes()
    result = CliRunner().invoke(main, [*asked.split(), "--force"])
    assert (result.exit_code, result.stdout) == (1, "")
    assert f"{name} would be written over, and is not of widthwise limit converge" in result.stderr
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {name: before}
    (tmp_path / name).unlink()
    assert CliRunner().invoke(main, asked.split()).exit_code == 0
    assert CliRunner().invoke(main, [*asked.split(), "--force"]).exit_code == 0


def test_an_experiment_leaves_a_folder_of_something_else_as_it_is(tmp_path: Path) -> None:
    omniglot = tiny_omniglot.save(tmp_path / "tiny.npz")
    tiny_corpus.save(tmp_path)
    text = tmp_path / "text.txt"
    text.write_text("Here and there a word is said twice. " * 60)
    folder = tmp_path / "out"
    folder.mkdir()
    for file, holds in (("records.jsonl", "a study"), ("report.html", "other files")):
        (folder / file).write_text("mine")
        for asked in (
            f"maml --data {omniglot} --widths 4 --steps 3",
            f"word2vec {tmp_path / 'text.gz'} --analogies {tmp_path / 'analogies.txt'} --width 8",
            f"mup transfer {text} --widths 16,32 --seeds 2 --steps 2",
        ):
            result = CliRunner().invoke(main, [*asked.split(), "-o", str(folder)])
            assert (result.exit_code, result.stdout) == (1, "")
            assert f"holds {holds}" in result.stderr
            assert result.stderr.count("\n") == 1
        assert {path.name: path.read_text() for path in folder.iterdir()} == {file: "mine"}
        (folder / file).unlink()


def test_networks_under_way_are_gone_on_with_before_there_is_a_result(tmp_path: Path) -> None:
    tiny_corpus.save(tmp_path)
    out = tmp_path / "out"
    asked = f"word2vec {tmp_path / 'text.gz'} --analogies {tmp_path / 'analogies.txt'} "
    asked += f"--width 8 --no-limit --no-kernels --min-count 1 --epochs 1 -o {out}"
    assert CliRunner().invoke(main, asked.split()).exit_code == 0
    for name in ("results.jsonl", "word2vec.png", "report.html"):
        (out / name).unlink()
    assert CliRunner().invoke(main, asked.split()).exit_code == 0
