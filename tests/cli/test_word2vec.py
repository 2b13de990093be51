"""`widthwise word2vec`: table, records and figure; resumed, refused and failed runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import tiny_corpus
from click.testing import CliRunner, Result
from json_results import printed_json

from widthwise.cli import main
from widthwise.experiments.word2vec import run as word2vec_run

FAST = ["--width", "8,40", "--min-count", 1, "--sample", 1, "--window", 4, "--epochs", 2]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    tiny_corpus.save(tmp_path)
    return tmp_path


def run(folder: Path, *words: Any) -> Result:
    places = [folder / "text.gz", "--analogies", folder / "analogies.txt", "-o", folder / "out"]
    return CliRunner().invoke(main, [str(word) for word in ("word2vec", *places, *words)])


def lines(folder: Path) -> list[dict[str, Any]]:
    text = (folder / "out" / "results.jsonl").read_text()
    return [json.loads(line) for line in text.splitlines()]


def test_every_run_is_a_record_a_row_and_in_the_figure(folder: Path) -> None:
    result = run(folder, *FAST)
    assert result.exit_code == 0, result.output
    rows = result.stdout.splitlines()
    assert [row[:8].strip() for row in rows[1:6]] == ["width 8", "width 40", "limit", "NTK", "GP"]
    found = lines(folder)
    assert [(one["network"], one["width"]) for one in found][:3] == [
        ("finite", 8),
        ("finite", 40),
        ("limit", None),
    ]
    share = 100 * found[0]["score"]["right"] / found[0]["score"]["asked"]
    assert f" {share:.2f} " in rows[1]
    limit = 100 * found[2]["score"]["right"] / found[2]["score"]["asked"]
    assert f" {share - limit:+.2f} (" in rows[1]
    assert " - " in rows[3]  # the limit is not set beside itself
    assert rows[4].split()[1:5] == ["0.00", "0.00", "to", "1.00"]  # Wilson's end of 0 of 380
    assert "380 of 381 questions have all words in it. 2 epochs." in result.stdout
    assert found[0]["settings"]["window"] == 4
    assert (folder / "out" / "word2vec.png").read_bytes().startswith(b"\x89PNG")
    assert (folder / "out" / "width-40-seed-0.safetensors").is_file()


def test_several_seeds_are_means_with_what_is_shown_beside_the_limit(folder: Path) -> None:
    found = run(folder, *FAST, "--seeds", 2, "--json")
    assert found.exit_code == 0, found.output
    printed = json.loads(found.stdout)
    assert len(printed["networks"]) == 10
    row = printed["over_seeds"][0]
    shares = [x["score"]["right"] / x["score"]["asked"] for x in lines(folder) if x["width"] == 8]
    assert row["accuracy"] == pytest.approx(sum(shares) / 2)
    assert row["interval"][0] <= row["accuracy"] <= row["interval"][1]
    page = (folder / "out" / "report.html").read_text()
    assert "Means with 95 % intervals over seeds." in page
    assert (folder / "out" / "width-40-seed-1.safetensors").is_file()
    table = run(folder, *FAST, "--seeds", 2)
    assert [row[:8].strip() for row in table.stdout.splitlines()[1:6]] == [
        "width 8", "width 40", "limit", "NTK", "GP",
    ]  # fmt: skip
    assert "Intervals are Student's over seeds." in table.stdout


def test_the_settings_of_text8_by_name_and_parts_of_them_changed(folder: Path) -> None:
    words = ["--preset", "text8", "--width", 8, "--no-limit", "--no-kernels"]
    assert run(folder, *words, "--epochs", 1, "--sample", 1).exit_code == 0
    (found,) = lines(folder)
    asked = {"epochs": 1, "sample": 1.0, "window": 8, "negative": 25, "lr": 0.05, "decay": 0.001}
    assert {name: found["settings"][name] for name in asked} == asked
    whole = run(folder, "--width", 8, "--min-count", 5, "--vocabulary", 10**6, "--epochs", 1,
                "--sample", 1, "--no-limit", "--no-kernels")  # fmt: skip
    assert whole.exit_code == 0, whole.output  # the same run, so that nothing is refused
    assert len(lines(folder)) == 1


def test_a_limit_that_does_not_fit_is_refused_before_any_network_is_trained(
    folder: Path, monkeypatch: Any
) -> None:
    monkeypatch.setattr("widthwise.experiments.word2vec.networks._free_bytes", lambda _: 30_000)
    found = run(folder, *FAST)
    assert found.exit_code == 1
    assert "84 x 84" in found.output
    assert "--no-limit trains the networks alone" in found.output
    assert not (folder / "out").exists()


def test_the_same_command_goes_on_where_it_was(folder: Path, monkeypatch: Any) -> None:
    assert run(folder, *FAST).exit_code == 0
    whole = lines(folder)
    path = folder / "out" / "results.jsonl"
    torn = path.read_text().splitlines(keepends=True)
    path.write_text(torn[0] + torn[1][:40])  # as an interruption leaves it
    calls: list[Any] = []
    train = word2vec_run.train

    def counted(*arguments: Any, **keywords: Any) -> Any:
        calls.append(arguments[2].width)
        return train(*arguments, **keywords)

    monkeypatch.setattr(word2vec_run, "train", counted)
    found = printed_json("word2vec", run(folder, *FAST, "--json"))
    labels = ["width 8", "width 40", "limit", "NTK", "GP"]
    assert [each["label"] for each in found["networks"]] == labels
    assert calls == [40, None, None, None]
    assert [one["score"] for one in lines(folder)] == [one["score"] for one in whole]


@pytest.mark.parametrize(
    "place",
    [
        "widthwise.experiments.word2vec.load_corpus",
        "widthwise.experiments.word2vec.run.train",
        "widthwise.cli.word2vec.save_figure",
    ],
)
def test_an_interrupted_command_says_how_to_go_on(
    place: str, folder: Path, monkeypatch: Any
) -> None:
    def interrupted(*arguments: Any, **keywords: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(place, interrupted)
    result = run(folder, "--width", "", "--no-limit", "--min-count", 1)
    assert result.exit_code == 1
    last = result.stderr.splitlines()[-1]
    assert last.startswith("Error: interrupted; the same command continues it: runs that")
    assert last.endswith("are kept, and the one under way up to its last checkpoint")


def test_where_neither_answers_anything_the_difference_is_a_dash_with_its_reason(
    folder: Path,
) -> None:
    words = ["--width", "", "--min-count", 1, "--sample", 1, "--epochs", 1]
    result = run(folder, *words, "--lr", "1e-30", "--decay", 0)
    assert result.exit_code == 0, result.output
    assert [one["score"]["right"] for one in lines(folder)] == [0, 0, 0]
    rows = result.stdout.splitlines()
    assert [row.split()[5] for row in rows[1:4]] == ["-"] * 3
    why = "no interval of its difference from the limit, as neither answers any question rightly"
    assert rows[4:6] == [f"NTK: {why}", f"GP: {why}"]
    assert "vocabulary of 84. 380 of 381 questions have all words in it. 1 epoch." in rows[6]


def test_one_question_is_one(folder: Path) -> None:
    (folder / "analogies.txt").write_text("kaa kab laa lab\n")
    result = run(folder, "--width", "", "--no-limit", "--min-count", 1)
    assert result.exit_code == 0, result.output
    assert "1 of 1 question has all words in it. 15 epochs." in result.stdout
    assert "NTK, seed 0: 0.00 % of 1 question, not trained" in result.stderr


def test_runs_made_otherwise_are_not_mixed_in(folder: Path) -> None:
    words = ["--width", "8", "--no-limit", "--no-kernels", "--min-count", 1]
    assert run(folder, *words, "--epochs", 1).exit_code == 0
    longer = run(folder, *words, "--epochs", 2)
    assert longer.exit_code == 1
    assert "with other epochs; give another --out" in longer.output
    (folder / "analogies.txt").write_text("kaa kab laa lab\n")
    assert "with other analogies; give" in run(folder, *words, "--epochs", 1).output
    assert len(lines(folder)) == 1


def test_a_run_that_diverges_is_kept_with_its_reason_and_the_others_go_on(folder: Path) -> None:
    result = run(folder, *FAST, "--lr", "1e30", "--decay", 0)
    assert result.exit_code == 0, result.output
    assert [one["score"] is None for one in lines(folder)] == [True] * 3 + [False] * 2
    assert result.stdout.count("take a learning rate below 1e+30") == 3


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["--width", "8,x"], 2, "must be whole numbers with commas"),
        (["--width", "0"], 1, "must be at least 1; got 0"),
        (["--width", "", "--no-limit", "--no-kernels"], 2, "nothing to train"),
        (["--epochs", "0"], 1, "epochs must be from 1"),
        (["--lr", "nan"], 1, "must be a number above 0; got nan"),
        (["--batch", "-1"], 1, "batch must be from 1"),
        (["--batch", "0"], 1, "batch must be from 1"),
        (["--vocabulary", "0"], 1, "vocabulary must be at least 1; got 0"),
        (["--width", "999999999", "--min-count", 1], 1, "the largest vocabulary that fits is"),
        (["--device", "tpu", "--batch", 8, "--min-count", 1], 1, "device tpu cannot be used here"),
        (["--vocabulary", "3"], 1, "none of the 381 questions"),
    ],
)
def test_bad_requests_are_refused_before_any_work(
    folder: Path, words: list[Any], code: int, message: str
) -> None:
    result = run(folder, *words)
    assert (result.exit_code, message in result.output) == (code, True), result.output
    assert not (folder / "out").exists()


def test_files_that_are_missing_or_something_else(folder: Path) -> None:
    (folder / "out").mkdir()
    (folder / "out" / "results.jsonl").write_text('{"a": 1}\n')
    strange = run(folder, *FAST)
    assert strange.exit_code == 1
    assert "results.jsonl:1 is no run of widthwise word2vec" in strange.output
    (folder / "text.gz").unlink()
    missing = run(folder, *FAST)
    assert missing.exit_code == 1
    assert "there is no text at" in missing.output
