"""Trends of the paper's models, and what their fronts cost."""

import pytest

from widthwise.findings import Findings


@pytest.mark.parametrize("model", ["Llama-3.2-1B", "Llama-3.2-3B"])
def test_what_rose_is_at_the_floor_and_what_fell_was_above(
    published_findings: dict[str, Findings], model: str
) -> None:
    trends = {curve.quantity: curve.trend for curve in published_findings[model].curves}
    assert trends["ifeval"] == trends["truthfulqa_mc2"] == "at the floor"
    for task in ("mmlu", "gsm8k", "arc_challenge", "hellaswag", "winogrande", "piqa"):
        assert trends[task] == "falls"
    assert trends["lambada_openai"] == trends["wikitext"] == "cannot tell"  # no error is known
    assert "unpaired" in " ".join(published_findings[model].tables[0].notes)


def test_letters_said_always_reach_what_a_cut_model_gets(
    published_findings: dict[str, Findings],
) -> None:
    """MMLU of 1B, .2511 to .2689 when cut, where always D gets .2689; MUSR .4087 beside .3849."""
    words = {
        c.quantity: [p.word for p in c.points[1:]]
        for c in published_findings["Llama-3.2-1B"].curves
    }
    assert set(words["mmlu"]) == {"at the floor"}
    assert "improves" not in words["leaderboard_musr"][-1:]


def test_a_model_that_follows_instructions_loses_them(
    published_findings: dict[str, Findings],
) -> None:
    curves = {curve.quantity: curve for curve in published_findings["Llama-3.2-1B-Instruct"].curves}
    assert curves["ifeval"].trend == "falls"
    assert [point.word for point in curves["ifeval"].points] == [
        None,
        "at the floor",
        "at the floor",
        "at the floor",
    ]


def test_fronts_of_the_paper_have_every_cost(
    published_findings: dict[str, Findings],
) -> None:
    costs_of_3b = {front.cost for front in published_findings["Llama-3.2-3B"].fronts}
    assert len(costs_of_3b) == 1 + 2 * 6
    assert {"bytes", "mmlu b8 net_joules", "ifeval b1 throughput"} <= costs_of_3b
    assert published_findings["Llama-3.2-1B-Instruct"].fronts == ()
