"""`widthwise mup transfer`: records that go on, lines that are none, refusals."""

from __future__ import annotations

import json
from math import log2
from pathlib import Path
from typing import Any

import pytest
import transformers as hf
from click.testing import CliRunner, Result
from json_results import printed_json
from short_text import save_short_text

from widthwise.cli import main
from widthwise.experiments import lr_transfer


@pytest.fixture(scope="module")
def file(tmp_path_factory: Any) -> Path:
    return save_short_text(tmp_path_factory.mktemp("text") / "text.txt")


FAST = ("--widths", "16,32", "--learning-rates", "2^-8..2^-5", "--seeds", 2, "--steps", 2)
FAST += ("--rows", 2, "--tokens", 16)


def run(file: Path, out: Path, *words: Any) -> Result:
    arguments = ["mup", "transfer", file, "-o", out, *words]
    return CliRunner().invoke(main, [str(word) for word in arguments])


def lines(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "results.jsonl").read_text().splitlines()]


def test_every_run_is_a_line_and_the_same_command_goes_on(
    file: Path, tmp_path: Path, monkeypatch: Any
) -> None:
    out = tmp_path / "out"
    first = run(file, out, *FAST)
    assert first.exit_code == 0, first.output
    found = lines(out)
    assert len({(x["kind"], x["width"], x["lr"], x["seed"]) for x in found}) == len(found) == 48
    assert {x["settings"]["base"] for x in found} == {16}
    assert (out / "transfer.png").read_bytes().startswith(b"\x89PNG")
    rows = first.stdout.splitlines()
    assert [row.split("  ")[0] for row in rows[1:7:2]] == [
        "standard", "standard, faster embedding", "muP"
    ]  # fmt: skip
    path = out / "results.jsonl"
    whole = path.read_text().splitlines(keepends=True)
    path.write_text("".join(whole[:46]) + whole[46][:40])  # as an interruption leaves it
    calls: list[Any] = []
    train = lr_transfer.run.train_small

    def counted(text: Any, *job: Any, **rest: Any) -> Any:
        calls.append(job[1])
        return train(text, *job, **rest)

    monkeypatch.setattr(lr_transfer.run, "train_small", counted)
    second = run(file, out, *FAST)
    assert second.exit_code == 0, second.output
    assert calls == [("mup", 32, 2.0**-6, 1), ("mup", 32, 2.0**-5, 1)]
    assert [x["loss"] for x in lines(out)] == [x["loss"] for x in found]
    assert second.stdout == first.stdout
    told = printed_json("mup transfer", run(file, out, *FAST, "--json"))["parametrizations"]
    assert [(each["kind"], len(each["curves"])) for each in told] == [
        ("sp", 2), ("sp-embedding", 2), ("mup", 2)
    ]  # fmt: skip

    def interrupted(*_: Any, **__: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(lr_transfer.run, "train_small", interrupted)
    other = run(file, out, *FAST, "--steps", 3)
    assert other.exit_code == 1
    assert "with other steps; give another --out, or the same options" in other.stderr
    more = run(file, out, *FAST, "--seeds", 3)
    assert more.exit_code == 1
    assert "interrupted; the same command continues it" in more.stderr
    path.write_text('{"a": 1}\n')
    assert "results.jsonl:1 is no run of widthwise mup transfer" in run(file, out, *FAST).stderr


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"loss": None}, "a run is missing exactly when a reason is given"),
        ({"reason": "training diverged"}, "a run is missing exactly when a reason is given"),
        ({"loss": float("nan")}, "loss must be a finite number, not nan"),
        ({"loss": "low"}, "loss must be a finite number, not low"),
        ({"width": 0}, "a width and a learning rate must be above 0"),
        ({"kind": "other"}, "kind must be one of mup, sp, sp-embedding, not other"),
    ],
)
def test_a_line_that_is_no_run_is_one_sentence(
    changes: dict[str, Any], said: str, file: Path, tmp_path: Path
) -> None:
    line = {
        "kind": "mup", "width": 16, "lr": 0.01, "seed": 0, "loss": 2.5, "reason": None,
        "duration_sec": 1.0, "settings": {},
    }  # fmt: skip
    (tmp_path / "results.jsonl").write_text(json.dumps({**line, **changes}) + "\n")
    result = run(file, tmp_path, *FAST)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == (
        f"Error: {tmp_path / 'results.jsonl'}:1 is no run of widthwise mup transfer ({said}); take "
        "that line out, or name another folder\n"
    )


@pytest.mark.parametrize("place", ["read_rows", "optimum_shifts"])
def test_an_interruption_anywhere_is_one_sentence(
    place: str, file: Path, tmp_path: Path, monkeypatch: Any
) -> None:
    """Before the first run and after the last one too."""

    def interrupted(*_: Any, **__: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(lr_transfer, place, interrupted)
    short = ["--widths", "16,32", "--seeds", 2, "--learning-rates", "1,2,4", "--steps", 1]
    result = run(file, tmp_path / "out", *FAST, *short)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.splitlines()[-1] == (
        "Error: interrupted; the same command continues it: runs that have ended are kept, "
        "the one under way is not"
    )


def test_a_rate_of_nearly_one_has_a_logarithm_of_0_without_a_sign(
    file: Path, tmp_path: Path
) -> None:
    words = [*FAST, "--learning-rates", "0.5,1,2"]
    run(file, tmp_path, *words)
    kept = [
        {**line, "loss": (log2(line["lr"]) + 0.002) ** 2, "reason": None}
        for line in lines(tmp_path)
    ]
    (tmp_path / "results.jsonl").write_text("".join(json.dumps(line) + "\n" for line in kept))
    again = run(file, tmp_path, *words)
    assert again.exit_code == 0, again.output
    rows = again.stdout.splitlines()[1:7]
    assert [" 0.00 [0.00, 0.00] " in row for row in rows] == [True] * 6


def test_runs_that_diverge_are_lines_and_nothing_is_claimed(file: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = run(file, out, *FAST, "--learning-rates", "1e29,1e30,1e31")
    assert result.exit_code == 0, result.output
    assert [x["loss"] for x in lines(out)] == [None] * 36
    assert all("diverged" in x["reason"] for x in lines(out))
    assert "36 of 36 runs diverged; results.jsonl has the reasons" in result.stdout
    assert "whether the best learning rate stays is not known" in result.stdout


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--widths", "16"], 1, "widths must be at least 2"),
        (["--widths", "16,40"], 1, "multiple of 16; got 40"),
        (["--learning-rates", "fast"], 2, "must be numbers or powers 2^-7"),
        (["--learning-rates", "2^-4..2^-8"], 2, "from one power of 2 up to another"),
        (["--learning-rates", "0.1..0.2"], 2, "from one power of 2 up to another"),
        (["--learning-rates", "0,1,2"], 1, "learning rates must be finite numbers above 0; got 0"),
        (
            ["--learning-rates", "1,2,nan"],
            1,
            "learning rates must be finite numbers above 0; got nan",
        ),
        (["--seeds", "1"], 2, "--seeds"),
        (["--optimizer", "sgd"], 2, "--optimizer"),
        (["--depths", "2"], 1, "must be a depth for each width; got 1"),
        (["--depths", "1,2"], 2, "must be at least 2; got 1"),
        (["--tokenizer", ""], 1, "a model must be named"),
    ],
)
def test_bad_requests_are_refused_before_any_work(
    file: Path, tmp_path: Path, words: list[str], code: int, said: str
) -> None:
    result = run(file, tmp_path / "out", *FAST, *words)
    assert (result.exit_code, said in result.stderr) == (code, True), result.output
    assert "Traceback" not in result.output
    assert not (tmp_path / "out").exists()


def test_text_and_folders_that_are_not_there(file: Path, tmp_path: Path) -> None:
    missing = run(tmp_path / "none.txt", tmp_path / "out", *FAST)
    assert (missing.exit_code, "no such file or folder" in missing.stderr) == (1, True)
    blocked = run(file, file / "out", *FAST)
    assert (blocked.exit_code, "cannot be written" in blocked.stderr) == (1, True)


def test_networks_of_a_model_s_kind_get_deeper_with_the_width(file: Path, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(hf.Qwen3Config().to_dict()))
    words = [*FAST, "--model", tmp_path / "config.json", "--depths", "2,3", "--optimizer", "muon"]
    result = run(file, tmp_path / "out", *words)
    assert result.exit_code == 0, result.output
    settings = {json.dumps(line["settings"], sort_keys=True) for line in lines(tmp_path / "out")}
    (found,) = map(json.loads, settings)
    assert (found["model"], found["optimizer"]) == ("qwen3", "muon")
    assert found["depths"] == [[16, 2], [32, 3]]
    assert "small qwen3 networks of 2, 3 layers" in (tmp_path / "out/report.html").read_text()
