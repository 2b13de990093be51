"""The command `findings`: sentences and tables of a stored study, also as JSON."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from findings_records import place, right, study
from json_results import printed_json
from report_records import score

from widthwise.cli import main
from widthwise.study import Record, append

RESULTS = Path(__file__).parents[2] / "results"


def documented(example: int) -> set[str]:
    """Lines of an example in the documentation."""
    text = (RESULTS.parent / "docs" / "findings.md").read_text(encoding="utf8")
    return set(re.findall(r"```text\n(.*?)```", text, re.DOTALL)[example].splitlines())


def printed(result: Result) -> set[str]:
    return {line.rstrip() for line in result.output.splitlines()}


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["findings", *arguments])


def stored(folder: Path, records: list[Record]) -> str:
    append(folder / "records.jsonl", records)
    return str(folder / "records.jsonl")


def test_command_prints_sentences_before_tables(tmp_path: Path) -> None:
    result = run(stored(tmp_path, study((170, 165, 150, 120))))
    assert result.exit_code == 0, result.output
    lines = result.output.splitlines()
    assert lines[1:3] == [
        "SmolLM2-135M-Instruct",
        "- Dense SmolLM2-135M-Instruct beats the floor on piqa.",
    ]
    assert lines.index("Cut by ppm. Each task from 2.67x down to 1.86x.") > 3
    assert any(line.startswith("piqa  accuracy  falls") for line in lines)


def test_command_speaks_json_without_infinities(tmp_path: Path) -> None:
    result = run(stored(tmp_path, study((1, 0), 1)), "--json", "--loss", "1pp")
    (found,) = printed_json("findings", result)["models"]
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
    assert len(printed_json("findings", run("--published", "--json"))["models"]) == 4


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "give the folder of a study, or --published"),
        (("folder", "--published"), "give the folder of a study, or --published"),
        (("folder", "--loss", "5%"), "'5%' is not a number of percentage points such as 2pp"),
        (("folder", "--loss", "xpp"), "is not a number of percentage points"),
        (("folder", "--loss", "0pp"), "is not a number of percentage points"),
        (("folder", "--loss", "nanpp"), "is not a number of percentage points"),
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
