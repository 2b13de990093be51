"""Sentences, tables and the command: short, true of every kind of study, readable by machines."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from findings_records import place, right, sizes, study
from report_records import score, sweep_records

from widthwise.cli import main
from widthwise.errors import RunError
from widthwise.findings import Findings, build_findings
from widthwise.study import Record, append

RESULTS = Path(__file__).parents[2] / "results"


def documented(example: int) -> set[str]:
    """Lines of an example in the documentation."""
    text = (RESULTS.parent / "docs" / "findings.md").read_text(encoding="utf8")
    return set(re.findall(r"```text\n(.*?)```", text, re.DOTALL)[example].splitlines())


def printed(result: Result) -> set[str]:
    return {line.rstrip() for line in result.output.splitlines()}


def only(records: list[Record], loss: float = 0.02) -> Findings:
    (found,) = build_findings(records, loss=loss)
    return found


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["findings", *arguments])


def stored(folder: Path, records: list[Record]) -> str:
    append(folder / "records.jsonl", records)
    return str(folder / "records.jsonl")


def test_the_answer_comes_in_a_few_sentences() -> None:
    records = [
        *study((170, 165, 150, 120, 100, 80, 60), task="piqa", floor=0.25),
        *study((50, 51, 50, 49, 50, 51, 50), task="mmlu"),
        *sizes(),
    ]
    assert only(records).sentences == (
        "Dense SmolLM2-135M-Instruct beats the floor on piqa; on mmlu it does not, so this cannot "
        "show what a cut costs.",
        "Cut narrower by ppm, piqa falls; no task is shown to rise or to hold.",
        "Of the widths cut by ppm, none is shown to keep within a loss of 2 pp of right answers, "
        "5 % of anything else.",
        "Cut by ppm, these curves bend: piqa at 2.11x (2.11x to 2.39x), with most lost beyond.",
        "By piqa against bytes, 7 of 7 networks are on the front, where no other one is as good "
        "and as cheap: ppm 1.31x, ppm 1.58x, ppm 1.86x, ppm 2.11x and ppm 2.39x beyond doubt; of "
        "the others intervals leave it open.",
    )


def test_few_items_say_how_large_a_loss_could_be_ruled_out() -> None:
    """Of 30 items of which none changed, the interval reaches 1.96^2 / (30 + 1.96^2)."""
    reach = 1.96**2 / (30 + 1.96**2)
    said = only(study((25, 25, 25), 30)).sentences
    assert (
        "With so few items no loss can be shown to be within 2 pp: 30 items of piqa rule out only "
        f"losses above {100 * reach:.1f} pp, even where no answer changes." in said
    )
    assert not any("so few items" in s for s in only(study((170, 170, 170), 200)).sentences)


def test_a_width_within_the_loss_is_said() -> None:
    said = only(study((3000, 2990, 2600), 4000)).sentences
    assert said[2] == (
        "Cut by ppm, a network is shown to keep within a loss of 2 pp of right answers, 5 % of "
        "anything else: down to 2.39x on piqa."
    )
    tight = only(study((3000, 2990, 2600), 4000), loss=0.001).sentences
    assert tight[2].startswith(
        "Of the widths cut by ppm, none is shown to keep within a loss of 0.1 pp"
    )


def test_thirteen_tasks_with_gaps_stay_short() -> None:
    found = only(sweep_records(12))
    assert 3 <= len(found.sentences) <= 7
    assert max(map(len, found.sentences)) < 420
    notes = [note for table in found.tables for note in table.notes]
    assert any(n.startswith("Missing, no memory: mmlu of dense; piqa of random") for n in notes)
    for table in found.tables:
        assert {len(row) for row in table.rows} == {len(table.header)}


@pytest.mark.parametrize(
    ("records", "said"),
    [
        (study((170,)), "No narrower network was measured, so there is nothing to compare."),
        (study((170, 160))[1:], "was not measured, so nothing here says what a cut costs."),
        (study((50, 40)), "no task had anything to lose, and none is shown to gain."),
        (sizes(), "No score of dense SmolLM2-135M-Instruct was measured"),
        (
            study((1, 0), 1, floor=None),
            "so no loss can be judged. Cut narrower by ppm, piqa has no known",
        ),
        (study((4, 1), 4, floor=None), "piqa has too few items to say"),
    ],
    ids=["dense only", "no dense", "at the floor", "sizes only", "one item", "four items"],
)
def test_studies_of_little_say_what_they_lack(records: list[Record], said: str) -> None:
    assert said in " ".join(only(records).sentences)


def test_without_dense_nothing_is_said_of_cuts() -> None:
    assert len(only(study((170, 160))[1:]).sentences) == 1


def test_a_task_that_failed_everywhere_is_missing_with_its_reason() -> None:
    gone = {"value": None, "standard_error": None, "items": (), "n": 0, "reason": "no network"}
    lost = [replace(r, **gone, higher_is_better=None) for r in study((1, 1), 1, task="mmlu")]
    found = only([*study((170, 100)), *lost])
    assert {curve.quantity for curve in found.curves} == {"piqa"}
    assert "Missing, no network: mmlu of dense and ppm 2.39x" in found.tables[0].notes
    assert found.sentences[0].endswith("beats the floor on piqa.")


@pytest.mark.parametrize("loss", [0.0, 1.0, float("nan")])
def test_a_loss_is_a_share(loss: float) -> None:
    with pytest.raises(RunError, match=r"a loss of shares must be in \(0, 1\)"):
        build_findings(study((170, 160)), loss=loss)


def test_no_records_are_refused() -> None:
    with pytest.raises(RunError, match="at least one record; got none"):
        build_findings([])


def test_the_same_records_say_the_same_again() -> None:
    records = [*study((170, 165, 150, 120, 100, 80, 60)), *sizes()]
    assert build_findings(records) == build_findings(records)


def test_command_prints_sentences_before_tables(tmp_path: Path) -> None:
    result = run(stored(tmp_path, study((170, 165, 150, 120))))
    assert result.exit_code == 0, result.output
    lines = result.output.splitlines()
    assert lines[1:3] == [
        "SmolLM2-135M-Instruct",
        "- Dense SmolLM2-135M-Instruct beats the floor on piqa.",
    ]
    assert lines.index("Cut by ppm. Each task from 2.67x down to 1.86x.") > 3
    assert any(line.startswith("piqa  falls") for line in lines)


def test_command_speaks_json_without_infinities(tmp_path: Path) -> None:
    result = run(stored(tmp_path, study((1, 0), 1)), "--json", "--loss", "1pp")
    (found,) = json.loads(result.output, parse_constant=pytest.fail)
    (curve,) = found["curves"]
    assert (curve["trend"], curve["loss"], curve["points"][0]["low"]) == ("cannot tell", 0.01, None)


def test_command_on_several_models(tmp_path: Path) -> None:
    other = [replace(r, model="other", cell=f"other {r.cell}") for r in study((150, 150))]
    result = run(stored(tmp_path, [*study((170, 100)), *other]))
    assert [line for line in result.output.splitlines() if line in ("other",)] == ["other"]


def test_command_on_stored_results() -> None:
    result = run(str(RESULTS / "smollm2-demo.jsonl"))
    assert result.exit_code == 0
    assert "by ppm, prose and hellaswag fall; arc_easy and piqa show no change" in result.output
    assert documented(0) <= printed(result)


def test_published_is_a_study_of_its_own() -> None:
    result = run("--published")
    assert result.exit_code == 0
    assert "1B IFEval at 2.40x           +46 %" in result.output
    assert documented(1) <= printed(result)
    assert len(json.loads(run("--published", "--json").output)) == 4


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "give the folder of a study, or --published"),
        (("folder", "--published"), "give the folder of a study, or --published"),
        (("folder", "--loss", "5%"), "'5%' is no loss; write points of a hundred, as in 2pp"),
        (("folder", "--loss", "xpp"), "is no loss"),
        (("folder", "--loss", "0pp"), "is no loss"),
        (("folder", "--loss", "nanpp"), "is no loss"),
    ],
)
def test_wrong_use_is_exit_code_2(arguments: tuple[str, ...], message: str) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert message in result.output


def test_a_folder_without_a_study_is_exit_code_1(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "nowhere"):
        result = run(str(path))
        assert result.exit_code == 1
        assert result.output.startswith("Error: ")
        assert len(result.output.splitlines()) == 1


def test_two_studies_in_one_file_are_refused(tmp_path: Path) -> None:
    twice = [score(place("ppm", 1536), "piqa", right(c, 200)) for c in (170, 160)]
    twice[1] = replace(twice[1], cell="another")
    result = run(stored(tmp_path, twice))
    assert result.exit_code == 1
    assert "two different cells measured piqa of dense" in result.output
