"""Pages of convergences and coordinate checks: written beside the figure, and read back."""

from __future__ import annotations

import json
from pathlib import Path

from click.testing import CliRunner
from run_pages import report

from widthwise.cli import main
from widthwise.experiments.convergence import results as rates


def test_a_convergence_and_a_check_leave_records_and_a_page_beside_the_figure(
    tmp_path: Path,
) -> None:
    for asked, load in (
        ("limit converge --widths 16,64 --seeds 3 --json", rates.load_convergences),
        ("mup check --widths 32,64 --seeds 2 --json", rates.load_coordinates),
    ):
        figure = tmp_path / asked.split()[1] / "drawn.png"
        figure.parent.mkdir()
        command = [*asked.split(), "-o", str(figure)]
        result = CliRunner().invoke(main, command)
        assert result.exit_code == 0, result.output
        found = json.loads(result.stdout)
        page = figure.with_suffix(".html")
        assert f"report: {page}\n" in result.stderr
        before = page.read_bytes()
        assert report(figure.parent, "-o", page).exit_code == 0
        assert page.read_bytes() == before
        assert len(load(figure.with_suffix(".jsonl"))) == (4 if isinstance(found, list) else 1)
        figure.unlink()
        again = CliRunner().invoke(main, command)
        assert "drawn.jsonl already exists; pass --force to replace it" in again.stderr
        assert not figure.exists()
