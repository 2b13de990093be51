"""A study as values: what its page says, without items."""

from __future__ import annotations

from pathlib import Path

from findings_records import study
from json_results import REFERENCE

from widthwise.findings import build_grid, compare_to_dense, estimate_of
from widthwise.report import study_values
from widthwise.study import read_study

RESULTS = Path(__file__).parents[2] / "results"


def test_scores_stand_beside_dense_as_findings_have_them() -> None:
    stored = read_study(RESULTS / "smollm2-demo.jsonl")
    (model,) = study_values([stored])
    assert [*model] == REFERENCE.MODEL_KEYS.split()
    grid = build_grid(stored.records)
    judged = {(n.criterion, n.width, q): found for (n, q), found in compare_to_dense(grid).items()}
    dense, cut = 0, 0
    for found in model["records"]:
        assert [*found] == REFERENCE.RECORD_KEYS.split()
        compared = judged.get((found["criterion"], found["width"], found["quantity"]))
        assert found["beside_dense"] == compared
        dense += found["criterion"] is None and found["verdict"] != ""
        cut += compared is not None
    assert dense > 0 < cut
    assert cut == len(judged)


def test_intervals_are_those_of_the_tables_and_ratios_those_of_costs() -> None:
    stored = read_study(RESULTS / "smollm2-demo.jsonl")
    by_cell = {record.cell: record for record in stored.records}
    for found in study_values([stored])[0]["records"]:
        estimate = estimate_of(by_cell[found["cell"]])
        if estimate is not None and estimate.standard_error is not None:
            assert found["interval"] == estimate.interval()
        else:
            assert found["interval"] is None
        is_cost = found["unit"] in ("count", "bytes", "tokens_per_sec")
        assert (found["ratio"] is not None) == (is_cost and found["criterion"] is not None)


def test_a_missing_score_keeps_its_reason(tmp_path: Path) -> None:
    from dataclasses import replace

    from piqa_studies import folder

    records = study((12, 8), 16)
    lost = replace(records[-1], value=None, standard_error=None, items=(), n=0, reason="no memory")
    (model,) = study_values([read_study(folder(tmp_path / "s", [*records[:-1], lost]))])
    found = next(each for each in model["records"] if each["reason"])
    assert (found["value"], found["interval"], found["flips"]) == (None, None, None)
    assert (found["reason"], found["beside_dense"]) == ("no memory", None)
