"""The published curves beside those of a study: what is drawn, in which places, and what is not."""

from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner
from findings_records import study

from widthwise.cli import main
from widthwise.errors import RunError
from widthwise.findings.paper_2512_22671 import records
from widthwise.report import write_report
from widthwise.report.model_results import model_results, results_of
from widthwise.report.page import Page
from widthwise.report.published_section import with_published
from widthwise.report.study_page import study_page
from widthwise.study import Record, read_study

RESULTS = Path(__file__).parents[2] / "results"


def page_of(made: list[Record], name: str = "mine") -> Page:
    results = [model_results(made, name, {})]
    return with_published(study_page(results, "mine"), results)


def test_every_task_of_both_has_a_panel_with_all_four_models() -> None:
    results = results_of([read_study(RESULTS / "smollm2-paper.jsonl")])
    page = with_published(study_page(results, "t"), results)
    assert [section.key for section in page.sections[:2]] == ["scores", "published"]
    curves, table = page.sections[1].blocks
    assert [name for _, _, name in curves.legend] == [
        "SmolLM2-135M-Instruct",
        "Llama-3.2-1B",
        "Llama-3.2-3B",
        "Llama-3.2-1B-Instruct",
    ]
    assert len(curves.panels) == 13
    (mmlu,) = (panel for panel in curves.panels if panel.title.startswith("mmlu"))
    assert "mmlu, 60 % of neurons" in mmlu.tips
    assert "Llama-3.2-1B-Instruct" in mmlu.tips
    (rows,) = table.tables
    by_task = {row[0]: row for row in rows.rows}
    assert rows.about.endswith("with 40 % of its neurons.")
    assert by_task["ifeval"][1] == "0.287"
    assert by_task["ifeval"][-1].startswith("0.364 ")  # the paper's instruct model, dense
    assert " to 0.137 " in by_task["ifeval"][-1]
    assert by_task["hellaswag"][-1] == "-"  # which it was not asked


def test_places_are_shares_of_neurons_and_not_ratios() -> None:
    """Two models of other ratios that lost the same share stand at one place."""
    page = page_of(study((120, 110, 100), task="mmlu"))  # 1536, 1376 and 1216 of 1536 neurons
    (panel,) = page.sections[1].blocks[0].panels
    assert "mmlu, 90 % of neurons" in panel.tips
    assert "mmlu, 79 % of neurons" in panel.tips
    (table,) = page.sections[1].blocks[1].tables
    assert table.about.endswith("with 90 % of its neurons.")
    assert "0.600 [" in table.rows[0][2]
    assert " to 0.550 [" in table.rows[0][2]


def test_nothing_to_set_beside_is_an_error() -> None:
    for made in (
        study((120, 110), task="mmlu", criterion="activation+refit"),
        study((120, 110), task="prose"),
        study((120,), task="mmlu"),
        [
            replace(r, value=None, reason="lost", items=(), standard_error=None)
            for r in study((120, 110), task="mmlu")
        ],
    ):
        with pytest.raises(RunError, match="nothing here can be set beside"):
            page_of(made)


def test_the_command_draws_them_where_asked(tmp_path: Path) -> None:
    plain, beside = tmp_path / "plain.html", tmp_path / "beside.html"
    paper = RESULTS / "smollm2-paper.jsonl"
    write_report([read_study(paper)], plain)
    result = CliRunner().invoke(main, ["report", str(paper), "--published", "-o", str(beside)])
    assert result.exit_code == 0, result.output
    assert "Beside the published curves" in beside.read_text()
    assert "Beside the published curves" not in plain.read_text()
    demo = CliRunner().invoke(
        main, ["report", str(RESULTS / "maml"), "--published", "-o", str(tmp_path / "no.html")]
    )
    assert demo.exit_code == 1
    assert "drop --published" in " ".join(demo.stderr.split())
    assert not (tmp_path / "no.html").exists()


def test_the_published_models_are_as_their_table_has_them() -> None:
    """The section reads `records`, and no number is written down twice."""
    page = page_of(study((120, 110), task="gsm8k"))
    (row,) = page.sections[1].blocks[1].tables[0].rows
    dense = next(
        r
        for r in records()
        if r.model == "Llama-3.2-3B" and r.quantity == "gsm8k" and r.criterion is None
    )
    assert f"{dense.value:.3f} [" in row[4]


def test_as_many_studies_as_one_likes_have_looks_of_their_own() -> None:
    """There are more of them than styles of criteria."""
    made = study((120, 110), task="mmlu")
    results = [model_results(made, f"study {number}", {}) for number in range(16)]
    section = with_published(study_page(results[:1], "t"), results).sections[1]
    assert [name for _, _, name in section.blocks[0].legend][:16] == [r.name for r in results]
    assert len({color for _, color, _ in section.blocks[0].legend[:3]}) == 3
