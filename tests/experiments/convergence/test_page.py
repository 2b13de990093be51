"""The page of convergences: written beside the figure, and read back."""

from __future__ import annotations

from pathlib import Path

from run_pages import drawn_page

from widthwise.experiments.convergence.results import load_convergences


def test_convergences_leave_records_and_a_page_beside_the_figure(tmp_path: Path) -> None:
    found, records = drawn_page("limit converge --widths 16,64 --seeds 3", tmp_path)
    assert len(load_convergences(records)) == len(found["cases"]) == 4
