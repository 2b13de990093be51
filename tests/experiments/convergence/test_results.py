"""Lines of convergences, read back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from run_pages import report

from widthwise.experiments.convergence.results import convergence_line, load_convergences
from widthwise.io import from_plain
from widthwise.runs import write_lines
from widthwise.theory import activation, converge, kernel_cases, standard_cases, toy


def test_a_convergence_is_read_back_as_it_was(tmp_path: Path) -> None:
    found = [converge(case, widths=(16, 64), seeds=3) for case in standard_cases()]
    path = tmp_path / "cases.jsonl"
    write_lines(path, [convergence_line(one, 0) for one in found])
    for one, (again, settings) in zip(found, load_convergences(path), strict=True):
        assert again.case.name == one.case.name
        assert again.case.parametrization == one.case.parametrization
        assert again.distance.slope == one.distance.slope
        assert again.movement.sizes == one.movement.sizes
        assert (again.expected, again.expected_movement) == (one.expected, one.expected_movement)
        assert again.verdict == one.verdict
        assert settings["first_seed"] == 0


def test_movements_by_step_are_read_back_where_they_were_asked_for(tmp_path: Path) -> None:
    found = [
        converge(case, widths=(16, 64), seeds=2)
        for case in kernel_cases(2, activation("linear"), toy(lr=0.3, steps=3))
    ]
    path = tmp_path / "cases.jsonl"
    write_lines(path, [convergence_line(one, 0, by_step=True) for one in found])
    for one, (again, _) in zip(found, load_convergences(path), strict=True):
        assert again.limit_movements is not None
        assert again.limit_movements.shape == (4, 2)
        np.testing.assert_array_equal(again.limit_movements, one.limit_movements)
    write_lines(path, [convergence_line(one, 0) for one in found])
    assert all(again.limit_movements is None for again, _ in load_convergences(path))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"widths": [16]}, "every width must have as many runs"),
        ({"a": ["1/0", "0"]}, "limits.jsonl:1 is no run of widthwise limit converge"),
        ({"activation": "sine"}, "an activation must be one of"),
        ({"distances": [[1.0, None], [1.0, 2.0]]}, "distances must be a finite number, not None"),
        ({"distances": [[1.0, 0.0], [1.0, 2.0]]}, "fitted to sizes above 0"),
        ({"limit_movements": [[0.0]]}, "every step must have the movement of every layer"),
    ],
)
def test_damaged_cases_are_one_sentence(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    case = standard_cases()[0]
    line = convergence_line(converge(case, widths=(16, 64), seeds=2), 0)
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
