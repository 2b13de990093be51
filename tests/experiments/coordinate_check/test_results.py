"""Lines of coordinate checks, read back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from planted_slopes import checked
from run_pages import report

from widthwise.experiments.coordinate_check.results import coordinates_line, load_coordinates
from widthwise.runs import write_lines


def test_a_check_is_read_back_as_it_was(tmp_path: Path) -> None:
    found = checked(0.0)
    path = tmp_path / "check.jsonl"
    write_lines(path, [coordinates_line(found, "it", lr=0.01, seed=3)])
    (((title, again), settings),) = load_coordinates(path)
    assert (title, settings["learning_rate"], settings["first_seed"]) == ("it", 0.01, 3)
    assert (again.layers, again.steps, again.margin) == (found.layers, found.steps, found.margin)
    assert again.widening == found.widening == (False,)
    pairs = zip((*again.changes, *again.starts), (*found.changes, *found.starts), strict=True)
    for one, other in pairs:
        assert one is not None
        assert other is not None
        assert np.array_equal(one.runs, other.runs)
        assert one.slope == other.slope


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"layers": []}, "every layer must have its changes"),
        ({"widening": []}, "every layer must have its size at the start"),
        ({"widths": [16]}, "every width must have as many runs"),
        ({"margin": None}, "margin must be a finite number, not None"),
    ],
)
def test_damaged_checks_are_one_sentence(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    path = tmp_path / "check.jsonl"
    write_lines(path, [{**coordinates_line(checked(0.0), "it", lr=0.01, seed=0), **change}])
    result = report(path)
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (1, "", 1)
    assert said in result.stderr


def test_a_check_of_an_older_version_has_no_sizes_at_the_start(tmp_path: Path) -> None:
    line = coordinates_line(checked(0.0), "it", lr=0.01, seed=3)
    path = tmp_path / "check.jsonl"
    write_lines(path, [{k: v for k, v in line.items() if k not in ("starts", "widening")}])
    (((_, again), _),) = load_coordinates(path)
    assert (again.starts, again.start_verdict(0), again.overall_verdict) == ((), None, "pass")
    assert report(path).exit_code == 0
