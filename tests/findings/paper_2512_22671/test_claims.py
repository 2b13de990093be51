"""Sentences and tables that answer the claims of the paper."""

from widthwise.findings import Findings


def test_tasks_that_only_fall_beside_one_that_only_rises_have_no_p(
    published_findings: dict[str, Findings], rows: dict[str, tuple[str, ...]]
) -> None:
    for task in ("hellaswag", "arc_challenge"):
        r, p_value, *_ = rows[f"1B {task}, truthfulqa_mc2"]
        assert r.startswith("-0.9")
        assert p_value == "-"
    claims = published_findings["The headline claims of arXiv 2512.22671"]
    (table,) = [table for table in claims.tables if table.title == "Knowledge against truthfulness"]
    assert table.header[2] == "p (Holm)"
    assert "p is adjusted for all 4 pairs that have one." in table.notes
    assert any(note.startswith("No p where both only fall or only rise") for note in table.notes)


def test_sentences_answer_the_claims(published_findings: dict[str, Findings]) -> None:
    said = published_findings["The headline claims of arXiv 2512.22671"].sentences
    assert said[0] == (
        "IFEval is said to improve by +46 % and +75 % in 1B: of the 14 base networks, dense or "
        "cut, none is shown above the 0.2865 of the prompt echoed 10 times."
    )
    assert "IFEval falls from 0.364 to 0.137" in said[1]
    assert "none is shown above the 0.4484 of uniform likelihood" in said[2]
    assert "HellaSwag against MC2 has -0.865" in said[3]
