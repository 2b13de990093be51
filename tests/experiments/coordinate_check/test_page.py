"""The page of a coordinate check: written beside the figure, and read back."""

from __future__ import annotations

from pathlib import Path

from run_pages import drawn_page

from widthwise.experiments.coordinate_check.results import load_coordinates


def test_a_check_leaves_a_record_and_a_page_beside_the_figure(tmp_path: Path) -> None:
    found, records = drawn_page("mup check --widths 32,64 --seeds 2", tmp_path)
    assert isinstance(found, dict)
    assert len(load_coordinates(records)) == 1
