"""Pages of runs as the command writes them, and what a reader sees of them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from html import unescape
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from widthwise.cli import main
from widthwise.runs import write_lines

RESULTS = Path(__file__).parents[2] / "results"


def report(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["report", *map(str, arguments)])


def page_of(folder: Path, out: Path) -> str:
    result = report(folder, "-o", out)
    assert result.exit_code == 0, result.output
    assert result.stdout == f"report: {out}\n"
    return out.read_text(encoding="utf8")


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf8").splitlines()]


def words(html: str) -> str:
    """What stands on the page, without elements."""
    return unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", html))).replace("\u00a0", " ")


def stored(tmp_path: Path, name: str, change: Callable[[list[Any]], Any] = lambda x: x) -> Path:
    """A folder with stored runs, changed."""
    (source,) = (RESULTS / name).glob("*.jsonl")
    folder = tmp_path / name
    folder.mkdir()
    write_lines(folder / source.name, change(lines(source)))
    return folder


def drawn_page(command: str, folder: Path) -> tuple[Any, Path]:
    """What a command prints as JSON that also draws a figure, and the records beside that.

    The page beside it is the one that `report` makes, and nothing of it is written over.
    """
    figure = folder / "drawn.png"
    words = [*command.split(), "--json", "-o", str(figure)]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 0, result.output
    page = figure.with_suffix(".html")
    assert f"report: {page}\n" in result.stderr
    before = page.read_bytes()
    assert report(folder, "-o", page).exit_code == 0
    assert page.read_bytes() == before
    figure.unlink()
    again = CliRunner().invoke(main, words)
    assert "drawn.jsonl already exists; pass --force to replace it" in again.stderr
    assert not figure.exists()
    return json.loads(result.stdout), figure.with_suffix(".jsonl")
