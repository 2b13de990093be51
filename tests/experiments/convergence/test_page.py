"""Pages of convergences and coordinate checks: written beside the figure, and read back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from run_pages import report

from widthwise.cli import main
from widthwise.experiments.convergence import results as rates
from widthwise.io import from_plain
from widthwise.runs import write_lines
from widthwise.theory import converge, standard_cases


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


def test_a_convergence_is_read_back_as_it_was(tmp_path: Path) -> None:
    found = [converge(case, widths=(16, 64), seeds=3) for case in standard_cases()]
    path = tmp_path / "cases.jsonl"
    write_lines(path, [rates.convergence_line(one, 0) for one in found])
    for one, (again, settings) in zip(found, rates.load_convergences(path), strict=True):
        assert again.case.name == one.case.name
        assert again.case.parametrization == one.case.parametrization
        assert again.distance.slope == one.distance.slope
        assert again.movement.sizes == one.movement.sizes
        assert (again.expected, again.expected_movement) == (one.expected, one.expected_movement)
        assert again.verdict == one.verdict
        assert settings["first_seed"] == 0


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"widths": [16]}, "every width must have as many runs"),
        ({"a": ["1/0", "0"]}, "limits.jsonl:1 is no run of widthwise limit converge"),
        ({"activation": "sine"}, "an activation must be one of"),
        ({"distances": [[1.0, None], [1.0, 2.0]]}, "distances must be a finite number, not None"),
        ({"distances": [[1.0, 0.0], [1.0, 2.0]]}, "fitted to sizes above 0"),
    ],
)
def test_damaged_cases_are_one_sentence(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    case = standard_cases()[0]
    line = rates.convergence_line(converge(case, widths=(16, 64), seeds=2), 0)
    path = tmp_path / "limits.jsonl"
    write_lines(path, [{**line, **change}])
    result = report(path)
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (1, "", 1)
    assert said in result.stderr


@pytest.mark.parametrize(
    ("kind", "found"),
    [
        (int, True),
        (int, 1.5),
        (float, "1"),
        (float, float("nan")),
        (str, 1),
        (tuple[int, ...], "12"),
        (tuple[int, float], [1]),
    ],
)
def test_values_of_another_type_are_refused(kind: Any, found: Any) -> None:
    with pytest.raises(TypeError, match="it must be"):
        from_plain(kind, found, "it")
