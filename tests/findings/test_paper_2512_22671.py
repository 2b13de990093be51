"""The published numbers: each headline figure again, beside what floors and intervals say."""

import pytest

from widthwise.findings import Findings
from widthwise.findings.paper_2512_22671 import published, records
from widthwise.findings.paper_2512_22671.tables import costs, rows_of


@pytest.fixture(scope="module")
def found() -> dict[str, Findings]:
    return {one.model: one for one in published()}


@pytest.fixture(scope="module")
def rows(found: dict[str, Findings]) -> dict[str, tuple[str, ...]]:
    claims = found["The headline claims of arXiv 2512.22671"]
    return {row[0]: row[1:] for table in claims.tables for row in table.rows}


def test_published_errors_are_those_of_the_full_test_sets() -> None:
    """Where the repository has an error, ours is the same to its four digits: half of the last
    one, and 0.1 % for n - 1 in place of n.

    That of MUSR is within its three parts, so a little smaller than ours.
    """
    named = {
        "gsm8k": "exact_match_stderr,flexible-extract",
        "ifeval": "prompt_level_strict_acc_stderr,none",
        "leaderboard_musr": "acc_norm_stderr,none",
    }
    there = {
        (f"Llama-3.2-{row['model']}", row["intermediate_size"], row["task"]): float(row["value"])
        for row in rows_of("capability")
        if named.get(row["task"]) == row["metric"]
    }
    ours = {(r.model, str(r.width), r.quantity): r.standard_error for r in records()}
    assert len(there) == 3 * 18
    for key, error in there.items():
        if "musr" in key[2]:
            assert 1 <= ours[key] / error < 1.06
        else:
            assert ours[key] == pytest.approx(error, abs=7e-5)


def test_all_rows_of_the_paper_are_there() -> None:
    shown = [r for r in records() if r.quantity in {row["task"] for row in rows_of("tasks")}]
    assert len(shown) == 2 * 7 * 13 + 4 * 7
    assert {r.expansion_ratio for r in shown if r.criterion is None} == {4.0, 8192 / 3072}


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


def test_tasks_that_only_fall_beside_one_that_only_rises_have_no_p(
    found: dict[str, Findings], rows: dict[str, tuple[str, ...]]
) -> None:
    for task in ("hellaswag", "arc_challenge"):
        r, p_value, *_ = rows[f"1B {task}, truthfulqa_mc2"]
        assert r.startswith("-0.9")
        assert p_value == "-"
    claims = found["The headline claims of arXiv 2512.22671"]
    (table,) = [one for one in claims.tables if one.title == "Knowledge against truthfulness"]
    assert table.header[2] == "p (Holm)"
    assert "p is adjusted for all 4 pairs that have one." in table.notes
    assert any(note.startswith("No p where both only fall or only rise") for note in table.notes)


def test_headline_energy_and_latency(rows: dict[str, tuple[str, ...]]) -> None:
    assert rows["1B up to 23 % less energy: mmlu b1, 60 % removed"][0].endswith("-23 %")
    small = rows["1B energy, mean of 6 workloads, 60 % removed"]
    assert small[0] == "0.1682 to 0.1352 J/token, -19.6 %"
    assert "-22.4 %; in right joules 0.499 to 0.387" in small[1]
    large = rows["3B energy, mean of 6 workloads, 60 % removed"]
    assert large[0] == "0.3616 to 0.2903 J/token, -19.7 %"
    assert rows["1B latency of requests, 60 % removed"][0].endswith("+59 %")
    assert rows["3B latency of requests, 60 % removed"][0].endswith("+89 %")
    assert rows["1B batches gain: energy at batch 8, 10 % removed"][0] == "+13 % to +19 %"
    assert rows["3B batches gain: energy at batch 8, 10 % removed"][0] == "+3 % to +9 %"


def test_joules_are_corrected() -> None:
    """Of dense 1B on hellaswag at batch 1: 0.2816 in the repository, 0.8063 J."""
    (record,) = (
        r
        for r in records()
        if (r.model, r.criterion, r.quantity) == ("Llama-3.2-1B", None, "hellaswag b1 net_joules")
    )
    assert record.value == pytest.approx(0.8063063, rel=1e-6)
    assert costs()["1B", "hellaswag_latency_b1", 0, "all3_joules_per_token_mean"] == pytest.approx(
        0.2815864, rel=1e-6
    )


def test_sentences_answer_the_claims(found: dict[str, Findings]) -> None:
    said = found["The headline claims of arXiv 2512.22671"].sentences
    assert said[0] == (
        "IFEval is said to improve by +46 % and +75 % in 1B: of the 14 base networks, dense or "
        "cut, none is shown above the 0.2865 of the prompt echoed 10 times."
    )
    assert "IFEval falls from 0.364 to 0.137" in said[1]
    assert "none is shown above the 0.4484 of uniform likelihood" in said[2]
    assert "HellaSwag against MC2 has -0.865" in said[3]


@pytest.mark.parametrize("model", ["Llama-3.2-1B", "Llama-3.2-3B"])
def test_what_rose_is_at_the_floor_and_what_fell_was_above(
    found: dict[str, Findings], model: str
) -> None:
    trends = {curve.quantity: curve.trend for curve in found[model].curves}
    assert trends["ifeval"] == trends["truthfulqa_mc2"] == "at the floor"
    for task in ("mmlu", "gsm8k", "arc_challenge", "hellaswag", "winogrande", "piqa"):
        assert trends[task] == "falls"
    assert trends["lambada_openai"] == trends["wikitext"] == "cannot tell"  # no error is known
    assert "unpaired" in " ".join(found[model].tables[0].notes)


def test_letters_said_always_reach_what_a_cut_model_gets(found: dict[str, Findings]) -> None:
    """MMLU of 1B, .2511 to .2689 when cut, where always D gets .2689; MUSR .4087 beside .3849."""
    words = {c.quantity: [p.word for p in c.points[1:]] for c in found["Llama-3.2-1B"].curves}
    assert set(words["mmlu"]) == {"at the floor"}
    assert "improves" not in words["leaderboard_musr"][-1:]


def test_a_model_that_follows_instructions_loses_them(found: dict[str, Findings]) -> None:
    curves = {curve.quantity: curve for curve in found["Llama-3.2-1B-Instruct"].curves}
    assert curves["ifeval"].trend == "falls"
    assert [point.word for point in curves["ifeval"].points] == [
        None,
        "at the floor",
        "at the floor",
        "at the floor",
    ]


def test_fronts_of_the_paper_have_every_cost(found: dict[str, Findings]) -> None:
    costs_of_3b = {front.cost for front in found["Llama-3.2-3B"].fronts}
    assert len(costs_of_3b) == 1 + 2 * 6
    assert {"bytes", "mmlu b8 net_joules", "ifeval b1 throughput"} <= costs_of_3b
    assert found["Llama-3.2-1B-Instruct"].fronts == ()
