"""The headline scores and correlations of the paper, beside floors and p-values."""

import pytest


@pytest.mark.parametrize(
    ("row", "change", "p_value"),
    [
        ("1B IFEval at 2.40x", "+46 %", "0.073"),
        ("1B IFEval at 2.80x", "+75 %", "0.002"),
        ("3B IFEval at 2.40x", "+39 %", "0.135"),
        ("1B-Instruct IFEval at 1.60x", "-62 %", "<0.001"),
    ],
)
def test_headline_scores(
    rows: dict[str, tuple[str, ...]], row: str, change: str, p_value: str
) -> None:
    cells = rows[row]
    assert cells[0] == change
    assert cells[-3:] == (p_value, "0.287", "at the floor")


def test_headline_correlations(rows: dict[str, tuple[str, ...]]) -> None:
    """P by Holm over the four pairs that have one: .01212, .01199 and .01200 times 4, and .096."""
    assert rows["3B mmlu, truthfulqa_mc2"][:2] == ("-0.864 [-0.980, -0.319]", "0.048")
    assert rows["3B mmlu, truthfulqa_mc2"][3] == "-0.940"
    assert rows["3B hellaswag, truthfulqa_mc2"][0].startswith("-0.865")
    assert rows["3B arc_challenge, truthfulqa_mc2"][0].startswith("-0.865")
    assert rows["3B hellaswag, truthfulqa_mc2"][1] == "0.048"
    assert rows["3B arc_challenge, truthfulqa_mc2"][1] == "0.048"
    assert rows["1B mmlu, truthfulqa_mc2"][:2] == ("-0.676 [-0.947, 0.157]", "0.096")
    assert rows["1B mmlu, truthfulqa_mc2"][3] == "-0.018"
