"""Tables as a reader sorts and filters them."""

from __future__ import annotations

from widthwise.findings import Table
from widthwise.report.html_table import html_table, sort_key

MADE = Table(
    title="Scores",
    about="Every score",
    header=("task", "criterion", "score", "weights", "verdict"),
    rows=(
        ("mmlu", "dense", "0.500 ± 0.050", "134.5 MB", "▲ improves"),
        ("mmlu", "ppm", "missing [1]", "1.2 GB\n2.00 [1.90, 2.10]", ""),
        ("mmlu", "ppm", "0.4", "-", "▼ degrades"),
    ),
)


def test_numbers_are_sorted_by_their_size_and_what_is_missing_last() -> None:
    view = html_table(MADE, "scores", filtered=False)
    keys = [[cell.key for cell in cells] for cells, _ in view.rows]
    assert [row[2] for row in keys] == [0.5, "", 0.4]
    assert [row[3] for row in keys] == [134.5e6, 1.2e9, ""]
    assert [numeric for _, numeric in view.header] == [False, False, True, True, False]
    assert view.rows[1][0][3].below == "2.00 [1.90, 2.10]"
    assert view.filters == ()


def test_rows_are_filtered_by_what_differs() -> None:
    view = html_table(MADE, "scores", filtered=True)
    assert dict(view.filters) == {
        "criterion": ("dense", "ppm"),
        "verdict": ("improves", "missing", "degrades"),
    }
    assert [choices for _, choices in view.rows] == [
        "dense|improves",
        "ppm|missing",
        "ppm|degrades",
    ]


def test_a_ratio_and_a_bound_are_numbers_and_a_name_is_none() -> None:
    assert sort_key("x 1.105 [1.000, 1.221]") == 1.105
    assert sort_key("<0.001") == 0.001
    assert sort_key("1B mmlu") == "1B mmlu"
