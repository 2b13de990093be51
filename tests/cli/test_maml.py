"""`widthwise maml`: table, records and figure; resumed, refused and failed runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import tiny_omniglot
from click.testing import CliRunner, Result
from json_results import printed_json

from widthwise.cli import main
from widthwise.experiments.maml import run as maml_run

FAST = ["--widths", "4,40", "--relu-widths", "6", "--steps", 12, "--kernel-steps", 2]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tiny_omniglot.save(tmp_path / "tiny.npz")


def run(file: Path, *words: Any) -> Result:
    out = ["-o", file.parent / "out"] if "-o" not in words else []
    arguments = [str(word) for word in ("maml", "--data", file, *words, *out)]
    return CliRunner().invoke(main, arguments)


def lines(file: Path) -> list[dict[str, Any]]:
    text = (file.parent / "out" / "results.jsonl").read_text()
    return [json.loads(line) for line in text.splitlines()]


def test_every_run_is_a_record_a_row_and_in_the_figure(file: Path) -> None:
    result = run(file, *FAST, "--seeds", 2)
    assert result.exit_code == 0, result.output
    names = ["width 4", "width 40", "limit", "ReLU width 6"]
    names += ["linear kernel", "ReLU GP", "ReLU NTK"]
    rows = result.stdout.splitlines()[1:]
    assert [row[:13].strip() for row in rows[:7]] == names
    found = lines(file)
    assert len(found) == 14
    keys = {(one["network"], one["width"], one["seed"]) for one in found}
    assert ("finite", 40, 1) in keys
    assert ("limit", None, 0) in keys
    mean = sum(one["test"]["accuracy"] for one in found if one["width"] == 4) / 2
    assert f" {100 * mean:.2f} " in rows[0]
    assert {one["settings"]["steps"] for one in found} == {12, 2}
    assert (file.parent / "out" / "maml.png").read_bytes().startswith(b"\x89PNG")


def test_the_same_command_goes_on_where_it_was(file: Path, monkeypatch: Any) -> None:
    words = [*FAST, "--no-kernels"]
    assert run(file, *words).exit_code == 0
    whole = lines(file)
    path = file.parent / "out" / "results.jsonl"
    torn = path.read_text().splitlines(keepends=True)
    path.write_text(torn[0] + torn[1][:40])  # as an interruption leaves it
    calls: list[Any] = []
    train = maml_run.meta_train

    def counted(*arguments: Any, **keywords: Any) -> Any:
        calls.append(arguments[1:])
        return train(*arguments, **keywords)

    monkeypatch.setattr(maml_run, "meta_train", counted)
    found = printed_json("maml", run(file, *words, "--json"))
    assert [each["label"] for each in found["networks"]] == [
        "width 4", "width 40", "limit", "ReLU width 6",
    ]  # fmt: skip
    assert calls == [("finite", 40), ("limit", None), ("relu", 6)]
    assert [one["test"] for one in lines(file)] == [one["test"] for one in whole]


@pytest.mark.parametrize(
    "place",
    [
        "widthwise.experiments.maml.load_omniglot",
        "widthwise.experiments.maml.run.meta_train",
        "widthwise.cli.maml.save_figure",
    ],
)
def test_an_interrupted_command_says_how_to_go_on(place: str, file: Path, monkeypatch: Any) -> None:
    def interrupted(*arguments: Any, **keywords: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(place, interrupted)
    result = run(file, "--widths", 4, "--no-limit", "--no-kernels", "--steps", 1)
    assert result.exit_code == 1
    said = "Error: interrupted; the same command continues it: runs that have ended are kept"
    assert result.stderr.splitlines()[-1].startswith(said)


def test_older_runs_without_ways_and_shots_are_of_five_and_one(file: Path) -> None:
    words = [*FAST, "--no-kernels"]
    assert run(file, *words).exit_code == 0
    path = file.parent / "out" / "results.jsonl"
    older = path.read_text().replace('"ways": 5, "shots": 1, ', "")
    assert older != path.read_text()
    path.write_text(older)
    assert run(file, *words).exit_code == 0
    assert path.read_text() == older  # nothing is run again


def test_runs_made_otherwise_are_not_mixed_in(file: Path) -> None:
    words = ["--widths", "4", "--relu-widths", "", "--no-limit", "--no-kernels"]
    assert run(file, *words, "--steps", 3).exit_code == 0
    assert (
        "with other shots; give another --out"
        in run(file, *words, "--steps", 3, "--shots", 2).output
    )
    longer = run(file, *words, "--steps", 4)
    assert longer.exit_code == 1
    assert "with other steps; give another --out" in longer.output
    tiny_omniglot.save(file, **tiny_omniglot.arrays(seed=1))
    assert "with other data; give" in run(file, *words, "--steps", 3).output
    assert len(lines(file)) == 1


def test_a_run_that_diverges_is_kept_with_its_reason_and_the_others_go_on(file: Path) -> None:
    result = run(file, *FAST, "--no-kernels", "--lr", "1e30")
    assert result.exit_code == 0, result.output
    found = lines(file)
    assert [one["test"] for one in found] == [None] * 4
    assert all("diverged" in one["reason"] for one in found)
    assert result.stdout.count("take a learning rate below 1e+30") == 4


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["--widths", "4,x"], 2, "must be whole numbers with commas"),
        (["--widths", "-4"], 2, "must be whole numbers"),
        (["--widths", "0"], 1, "from 1 to 1,000,000; got 0"),
        (["--widths", "999999999"], 1, "the limit stands for wider ones"),
        (
            ["--widths", "", "--relu-widths", "", "--no-limit", "--no-kernels"],
            2,
            "nothing to train",
        ),
        (["--relu-widths", "9999"], 1, "of a ReLU network must be from 1 to 8,192; got 9999"),
        (["--ways", "1"], 1, "ways must be at least 2; got 1"),
        (["--ways", "60", "--shots", "10"], 1, "must be at most 500; got 60 x 10"),
        (["--ways", "9"], 1, "test has 8 classes and a task takes 9"),
        (["--shots", "4"], 1, "a class of train has 4 images and a task takes 5"),
        (["--steps", "0"], 2, "--steps"),
        (["--lr", "nan"], 1, "must be a number above 0; got nan"),
        (["--lr", "-1"], 1, "must be a number above 0; got -1"),
    ],
)
def test_bad_requests_are_refused_before_any_work(
    file: Path, words: list[str], code: int, message: str
) -> None:
    result = run(file, *words)
    assert (result.exit_code, message in result.output) == (code, True), result.output
    assert not (file.parent / "out").exists()


def test_a_missing_file_and_one_that_is_no_data(tmp_path: Path) -> None:
    missing = run(tmp_path / "none.npz")
    assert missing.exit_code == 1
    assert "give --data FILE" in missing.output
    (tmp_path / "text.npz").write_text("text")
    odd = run(tmp_path / "text.npz")
    assert odd.exit_code == 1
    assert "must be a NumPy archive" in odd.output


def test_a_folder_that_cannot_be_made_or_read(file: Path) -> None:
    (file.parent / "plain").write_text("")
    blocked = run(file, *FAST, "-o", file.parent / "plain" / "out")
    assert blocked.exit_code == 1
    assert "cannot be written" in blocked.output
    (file.parent / "out").mkdir()
    (file.parent / "out" / "results.jsonl").write_text('{"a": 1}\n')
    strange = run(file, *FAST)
    assert strange.exit_code == 1
    assert "results.jsonl:1 is no run of widthwise maml" in strange.output
