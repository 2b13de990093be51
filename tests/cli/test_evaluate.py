"""`widthwise evaluate`: what it prints and writes, and one line for everything that is wrong."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner, Result
from families import tiny
from harness_data import PIQA, write_rows
from healing_runs import VOCABULARY, save_dense, save_tokenizer

from widthwise.cli import main
from widthwise.evaluate.language_model import SharedPrefixLM
from widthwise.prune import CRITERIA
from widthwise.study import load

QUICK = ["--suite", "piqa", "--dtype", "float32", "--device", "cpu"]


def run(*words: Any) -> Result:
    return CliRunner().invoke(main, ["evaluate", *(str(word) for word in words)])


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A folder of documents with a task of three items."""
    rows = [{**PIQA, "goal": f"cut {number}"} for number in range(3)]
    write_rows(tmp_path / "data" / "piqa" / "validation.jsonl", rows)
    return tmp_path / "data"


def assert_one_line(result: Result, code: int, words: str) -> None:
    """An expected end: this exit code, and the last line on stderr says why."""
    assert result.exit_code == code, result.output
    assert not isinstance(result.exception, Exception) or isinstance(result.exception, SystemExit)
    assert "Traceback" not in result.output
    last = result.stderr.splitlines()[-1]
    assert last.startswith("Error: ")
    assert words in last
    assert result.stdout == ""


USAGE = [
    (["--suite", ""], "'' names nothing"),
    (["--suite", " , "], "names nothing"),
    (["--criterion", ","], "names nothing"),
    (["--criterion", "l2"], "--criterion chooses neurons of a width: add --to or --remove"),
    (["--tokens", "2048"], "--tokens chooses neurons of a width: add --to or --remove"),
    (["--limit", "1"], "'1' is not a number of items, at least 2, or TASK=N"),
    (["--limit", "many"], "'many' is not a number of items"),
    (["--limit", "piqa"], "'piqa' is not a number of items"),
    (["--limit", "=5"], "'=5' is not a number of items"),
    (["--limit", "piqa=-5"], "'piqa=-5' is not a number of items"),
    (["--limit", "9" * 5000], "is not a number of items"),
    (["--limit", "5,6"], "'5,6' has two limits for all tasks"),
    (["--limit", "5,piqa=3,piqa=4"], "has two limits for piqa"),
    (["--until", "2"], "'2' is not a number of percentage points such as 2pp"),
    (["--until", "0pp"], "'0pp' is not a number of percentage points"),
    (["--until", "100pp"], "'100pp' is not a number of percentage points"),
    (["--until", "-1pp"], "'-1pp' is not a number of percentage points"),
    (["--until", "nanpp"], "'nanpp' is not a number of percentage points"),
    (["--seed", "-1"], "-1 is not in the range"),
    (["--max-new-tokens", "0"], "0 is not in the range"),
    (["--backend", "jax"], "'jax' is not one of"),
    (["--dtype", "int8"], "'int8' is not one of"),
    (["--data", "/no/such/folder"], "'/no/such/folder' does not exist"),
]
EXPECTED = [
    (["--to", "wide"], "--to must look like 2.4x; got 'wide'"),
    (["--to", "40%"], "--to must look like 2.4x; got '40%'"),
    (["--to", "0"], "--to 0 must be above 0"),
    (["--remove", "0.4"], "--remove must look like 40%; got '0.4'"),
    (["--remove", "100%"], "--remove must be below 100%"),
    (["--criterion", "best"], f"criterion must be one of {', '.join(CRITERIA)}"),
    (["--criterion", "ppm,obs"], "ask for obs+refit"),
    (["--device", "banana"], "device banana cannot be used here: "),
    (["--device", "cuda:99"], "device cuda:99 cannot be used here: "),
]


@pytest.mark.parametrize(("words", "said"), USAGE)
def test_bad_usage_is_one_line_and_exit_code_2(
    words: list[str], said: str, saved: Path, tmp_path: Path
) -> None:
    assert_one_line(run(saved, *QUICK, "-o", tmp_path / "out", *words), 2, said)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("words", "said"), EXPECTED)
def test_what_cannot_be_is_one_line_before_anything_is_written(
    words: list[str], said: str, saved: Path, tmp_path: Path
) -> None:
    assert_one_line(run(saved, *QUICK, "-o", tmp_path / "out", *words), 1, said)
    assert not (tmp_path / "out").exists()


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is CUDA here")
def test_cuda_that_is_not_there_is_one_line(saved: Path, tmp_path: Path) -> None:
    result = run(saved, "--suite", "piqa", "--device", "cuda", "-o", tmp_path / "out")
    assert_one_line(result, 1, "device cuda cannot be used here: ")
    assert result.stderr.endswith("pass --device cpu\n")
    assert not (tmp_path / "out").exists()


@pytest.mark.demo
def test_what_only_the_model_or_the_data_can_tell_is_one_line(
    tiny_checkpoint: Path, data: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    words = [tiny_checkpoint, *QUICK, "-o", out, "--data", data]
    for more, said in (
        (["--to", "1.4x,9x"], "as the model has 53; --to 9x asks for 288"),
        (["--to", "0.01x"], "--to 0.01x asks for 0"),
        (["--suite", "helaswag"], "lm-eval has no task, group or tag 'helaswag'"),
        (["--suite", "paper:boolqq"], "suite paper has no task 'boolqq'"),
        (["--suite", "paper:"], "suite paper has no task ''"),
        (["--suite", "absent.yaml"], "the task file absent.yaml is not there"),
        (["--suite", "boolq"], "boolq"),
        (["--limit", "boolq=3"], "--limit names 'boolq', which is not one of the tasks: piqa"),
    ):
        assert_one_line(run(*words, *more), 1, said)
        assert not out.exists()
    (tmp_path / "file").write_text("")
    for model in ("no/such model", tmp_path / "file", tmp_path / "absent"):
        assert_one_line(run(model, *QUICK, "-o", tmp_path / "other"), 1, str(model))


def test_a_model_that_cannot_be_asked_is_one_line_and_no_cells(data: Path, tmp_path: Path) -> None:
    folder = tmp_path / "ahead"
    settings = {"vocab_size": VOCABULARY, "max_position_embeddings": 512, "initializer_range": 0.3}
    tiny("gemma3_text", use_bidirectional_attention=True, **settings).save_pretrained(folder)
    save_tokenizer(folder)
    words = [*QUICK, "--data", data, "--criterion", "ppm", "--to", "1.4x"]
    for backend in ("widthwise", "hf"):
        out = tmp_path / backend
        result = run(folder, *words, "--backend", backend, "-o", out)
        assert_one_line(result, 1, "gemma3_text also uses the tokens that come after")
        assert [r.quantity for r in load(out / "records.jsonl") if r.value is None] == []
    save_dense(tmp_path / "endless")
    file = tmp_path / "endless" / "tokenizer_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "eos_token": None}))
    result = run(tmp_path / "endless", *words, "-o", tmp_path / "out")
    assert_one_line(result, 1, "has no end-of-text token")


@pytest.mark.demo
def test_a_place_that_cannot_be_written_is_one_line(
    tiny_checkpoint: Path, data: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    words = [tiny_checkpoint, *QUICK, "--data", data]
    assert_one_line(run(*words, "-o", tmp_path / "file"), 2, "is a file")
    assert_one_line(run(*words, "-o", tmp_path / "file" / "x"), 1, "Not a directory")
    assert_one_line(run(*words, "-o", "/proc/x"), 1, "/proc/x cannot be written")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.tex").write_text("precious")
    assert_one_line(run(*words, "-o", tmp_path / "full"), 1, "holds other files (thesis.tex)")
    (tmp_path / "half").mkdir()
    (tmp_path / "half" / "study.json").write_text("{")
    assert_one_line(run(*words, "-o", tmp_path / "half"), 1, "not the settings of a study")


@pytest.mark.demo
def test_without_the_extra_eval_it_says_what_to_install(
    tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "lm_eval"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "lm_eval", None)
    result = run(tiny_checkpoint, *QUICK, "-o", tmp_path / "out")
    assert_one_line(result, 1, "pip install 'widthwise[eval]'")


@pytest.mark.demo
def test_a_chat_suite_needs_a_chat_template(
    tiny_checkpoint: Path, data: Path, tmp_path: Path
) -> None:
    from transformers import AutoTokenizer

    mute = tmp_path / "mute"
    mute.mkdir()
    for file in tiny_checkpoint.iterdir():
        if file.name != "chat_template.jinja":
            (mute / file.name).symlink_to(file)
    assert AutoTokenizer.from_pretrained(mute).chat_template is None
    words = ["--suite", "paper-instruct:mmlu@chat", "--device", "cpu", "--data", data]
    result = run(mute, *words, "-o", tmp_path / "out")
    assert_one_line(result, 1, "task mmlu@chat needs a chat template and the tokenizer has none")


@pytest.mark.demo
def test_a_run_prints_and_writes_and_again_prints_the_same(
    tiny_checkpoint: Path, data: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    words = [tiny_checkpoint, *QUICK, "--data", data, "--limit", "9,piqa=2", "--until", "50pp"]
    words += ["--to", " 1.4x, 1x,1.4x", "--remove", "20%", "--criterion", "l2", "-o", out]
    result = run(*words)
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines()[-2:] == [
        f"report: {out / 'report.html'}",
        f"records: {out / 'records.jsonl'}",
    ]
    assert "<svg" in (out / "report.html").read_text(encoding="utf8")
    records = load(out / "records.jsonl")
    piqa = [r for r in records if r.quantity == "piqa"]
    assert [(r.criterion, r.asked, r.width) for r in piqa] == [
        (None, "dense", 53),
        *[("l2", *each) for each in (("1.4x", 44), ("20%", 42), ("1x", 32))],
        *[("random", *each) for each in (("1.4x", 44), ("20%", 42), ("1x", 32))],
    ]
    assert {r.n for r in piqa} == {2}
    begun = json.loads((out / "study.json").read_text())
    assert (begun["limit"], begun["limits"], begun["until"]) == (9, {"piqa": 2}, 0.5)
    before = {path.name: path.read_bytes() for path in out.rglob("*.*") if path.is_file()}
    again = run(*words)
    assert (again.exit_code, again.stdout) == (0, result.stdout)
    after = {path.name: path.read_bytes() for path in out.rglob("*.*") if path.is_file()}
    assert after == before
    said = "started with limit 9, not 3; limits {'piqa': 2}, not {}; name another folder"
    assert_one_line(run(*words, "--limit", "3"), 1, said)


@pytest.mark.demo
def test_cells_that_could_not_be_measured_end_in_exit_code_1(
    tiny_checkpoint: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = SharedPrefixLM._loglikelihood_tokens

    def damaged(self: Any, requests: Any, **rest: Any) -> Any:
        found = original(self, requests, **rest)
        narrow = self.model.config.intermediate_size == 44
        return [(float("nan"), False)] * len(found) if narrow else found

    asked = ["--data", data, "--criterion", "ppm", "--to", "1.4x,1x"]
    words = [tiny_checkpoint, *QUICK, *asked, "-o", tmp_path / "out"]
    with monkeypatch.context() as patch:
        patch.setattr(SharedPrefixLM, "_loglikelihood_tokens", damaged)
        result = run(*words)
    assert result.exit_code == 1
    assert result.stderr.endswith("2 cells could not be measured; run again to retry\n")
    said = " ".join(result.stderr.split())  # it wraps at the terminal's width
    assert "ppm 1.4x: task piqa, item piqa/0: the model's output is not finite" in said
    assert (tmp_path / "out" / "report.html").exists()
    again = run(*words)
    assert again.exit_code == 0, again.output
    lines = (tmp_path / "out" / "records.jsonl").read_text().splitlines()
    assert sum(json.loads(line)["value"] is None for line in lines) == 2
    assert len(lines) == 5 * 3 + 2
