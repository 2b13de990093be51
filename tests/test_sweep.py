"""The sweep: a width in it is the checkpoint of that width, and a stop anywhere changes nothing."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet
import pytest
import transformers as hf
from harness_answers import one_task
from harness_data import PIQA, write_rows
from jinja2.exceptions import TemplateError

from widthwise.errors import OutputError, PlanError, RunError, TargetError
from widthwise.evaluate import chat_of, load_tasks, steps
from widthwise.evaluate.language_model import SharedPrefixLM
from widthwise.prune import prune_checkpoint
from widthwise.study import Network, Record, Sweep, SweepSettings, load, parent, sweep
from widthwise.study.folder import agreed_settings
from widthwise.study.items import write_items

TASKS = ("embedded:piqa", "embedded:prose", "embedded:ifbench")
NAMES = ("piqa", "prose", "ifbench")
WIDTHS = ("1.4x", "40%")  # 44 and 31 of 53 neurons
QUANTITIES = ("parameters", "bytes", *NAMES)
NETWORKS = [
    (None, "dense"),
    *((criterion, asked) for criterion in ("ppm", "random") for asked in WIDTHS),
]
COLUMNS = "item share metrics text tokens capped loops log_likelihoods greedy".split()
# Two ways through one float32 model round at 2^-24 = 6e-8 in other orders; 3 layers with sums of
# up to 53 terms leave some hundred roundings, and logits of large weights lose a digit more.
CLOSE = 2e-5

pytestmark = pytest.mark.demo


def settings_of(model: Path, **changes: Any) -> SweepSettings:
    small: dict[str, Any] = {"tasks": TASKS, "widths": WIDTHS, "limit": 4, "max_new_tokens": 6}
    return SweepSettings(model=str(model), **{**small, "dtype": "float32", **changes})


def run(folder: Path, settings: SweepSettings, **more: Any) -> dict[tuple[Any, ...], Record]:
    records = Sweep(folder, settings, **more).run()
    return {(r.criterion, r.asked, r.quantity): r for r in records}


def answers(folder: Path, record: Record) -> pd.DataFrame:
    return pd.read_parquet(folder / "items" / f"{record.cell}.parquet")


def numbers(records: dict[tuple[Any, ...], Record]) -> dict[tuple[Any, ...], Any]:
    """What must not depend on how a run went: all but clocks."""
    return {
        key: (r.cell, r.width, r.value, r.standard_error, r.n, r.floor, r.items, r.reason)
        for key, r in records.items()
    }


@pytest.fixture
def short_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looks after every 16 items: of 16 equal ones the interval is +-0.35, of 32 +-0.20."""
    monkeypatch.setattr(steps, "_STEP", 16)


@pytest.fixture(scope="module")
def whole(tiny_checkpoint: Path, tmp_path_factory: Any) -> tuple[Path, dict[tuple[Any, ...], Any]]:
    """An undisturbed sweep: its folder and its records."""
    folder = tmp_path_factory.mktemp("whole")
    return folder, run(folder, settings_of(tiny_checkpoint))


def assert_same_answers(ours: pd.DataFrame, theirs: pd.DataFrame) -> None:
    assert list(ours["item"]) == list(theirs["item"])
    assert list(ours["text"].fillna("")) == list(theirs["text"].fillna(""))
    for a, b in zip(ours["greedy"], theirs["greedy"], strict=True):
        assert (a is None and b is None) or list(a) == list(b)
    for a, b in zip(ours["log_likelihoods"], theirs["log_likelihoods"], strict=True):
        assert (a is None and b is None) or list(a) == pytest.approx(list(b), rel=CLOSE)


@pytest.mark.parametrize("network", [("ppm", "1.4x"), ("random", "40%")])
def test_a_width_is_the_checkpoint_of_that_width(
    network: tuple[str, str], whole: Any, tiny_checkpoint: Path, tmp_path: Path
) -> None:
    folder, records = whole
    plan = parent.Parent(str(tiny_checkpoint), dtype="float32", device="cpu", seed=0).stored_plan(
        Network(*network)
    )
    written = prune_checkpoint(tiny_checkpoint, tmp_path / "pruned", plan)
    alone = run(tmp_path / "out", settings_of(written, widths=()))
    assert {key[:2] for key in alone} == {(None, "dense")}
    for quantity in NAMES:
        ours, theirs = records[(*network, quantity)], alone[None, "dense", quantity]
        assert_same_answers(answers(folder, ours), answers(tmp_path / "out", theirs))
        assert ours.value == pytest.approx(theirs.value, rel=CLOSE)
        assert (ours.width, ours.n, ours.floor) == (theirs.width, theirs.n, theirs.floor)
        dense = answers(folder, records[None, "dense", quantity])
        assert not dense.equals(answers(folder, ours)), "the cut changes nothing: proves nothing"


def test_counts_are_those_of_the_model(whole: Any, tiny_checkpoint: Path) -> None:
    _, records = whole
    assert set(records) == {(*network, q) for network in NETWORKS for q in QUANTITIES}
    config = hf.AutoConfig.from_pretrained(tiny_checkpoint)
    for network, width in zip(NETWORKS, (53, 44, 31, 44, 31), strict=True):
        config.intermediate_size = width
        parameters = list(hf.AutoModelForCausalLM.from_config(config).parameters())
        count, size = records[(*network, "parameters")], records[(*network, "bytes")]
        assert count.width == width
        assert count.value == sum(p.numel() for p in parameters)
        assert size.value == sum(p.numel() * 4 for p in parameters)


def test_the_control_is_always_there_and_once(tiny_checkpoint: Path, tmp_path: Path) -> None:
    for number, (asked, got) in enumerate(
        {
            ("ppm", "l2"): [None, "ppm", "ppm", "l2", "l2", "random", "random"],
            ("random",): [None, "random", "random"],
            (): [None, "random", "random"],
        }.items()
    ):
        networks = Sweep(tmp_path / str(number), settings_of(tiny_checkpoint, criteria=asked))
        assert [network.criterion for network in networks.networks] == got


def test_lm_evals_own_model_gives_the_same_answers(
    whole: Any, tiny_checkpoint: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    folder, records = whole
    theirs = run(tmp_path, settings_of(tiny_checkpoint, backend="hf"))
    assert set(theirs) == set(records)
    for key, record in theirs.items():
        if key[2] in NAMES:
            assert_same_answers(answers(folder, records[key]), answers(tmp_path, record))
            assert record.settings["backend"] == "hf"
            assert records[key].settings["backend"] == "widthwise"
    assert "%|" not in capfd.readouterr().err.replace("Loading weights", "")  # no bars of its own


def test_the_order_of_networks_changes_nothing(
    whole: Any, tiny_checkpoint: Path, tmp_path: Path
) -> None:
    """Neurons are sorted by random first, and widths are named from narrow to wide."""
    _, records = whole
    turned = settings_of(tiny_checkpoint, criteria=("random", "ppm"), widths=WIDTHS[::-1])
    found = run(tmp_path, turned)
    assert {key: (r.value, r.items) for key, r in found.items()} == {
        key: (r.value, r.items) for key, r in records.items()
    }


def test_items_are_a_row_each_and_the_same_for_all(whole: Any) -> None:
    folder, records = whole
    cells = {record.cell for key, record in records.items() if key[2] in NAMES}
    assert {path.stem for path in (folder / "items").iterdir()} == cells  # nothing half-written
    tasks = {task.name: task for task in load_tasks(TASKS, limit=4)}
    for key, record in records.items():
        if key[2] not in NAMES:
            continue
        table = pyarrow.parquet.read_table(folder / "items" / f"{record.cell}.parquet")
        assert table.column_names == COLUMNS
        rows = table.to_pylist()
        assert tuple(row["item"] for row in rows) == tasks[key[2]].item_ids
        assert tuple(row["share"] for row in rows) == record.items
        assert record.n == len(rows) == 4
        assert all(record.settings["metric"] in json.loads(row["metrics"]) for row in rows)
        filled = {name for name in COLUMNS if rows[0][name] is not None}
        wanted = {
            "piqa": {"log_likelihoods", "greedy"},
            "prose": {"log_likelihoods"},
            "ifbench": {"text", "tokens", "capped", "loops"},
        }
        assert filled == {"item", "share", "metrics", *wanted[key[2]]}
    assert all(len(row) == 2 for row in answers(folder, records[None, "dense", "piqa"])["greedy"])


def test_values_of_numpy_are_written_and_a_full_disk_is_said(tmp_path: Path) -> None:
    import numpy as np

    from widthwise.evaluate import Answer

    metrics = {"brier,none": (np.int64(1), np.array([0.25, 0.75])), "acc,none": np.bool_(True)}
    answer = Answer(id="x/0", responses=((-1.0, True),), metrics=metrics)
    write_items(tmp_path, "cell", [answer], [])
    (row,) = pyarrow.parquet.read_table(tmp_path / "items" / "cell.parquet").to_pylist()
    assert json.loads(row["metrics"]) == {"brier,none": [1, [0.25, 0.75]], "acc,none": True}
    assert row["share"] is None
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"cell\.parquet was not written"):
        write_items(tmp_path / "file", "cell", [answer], [1.0])


def test_items_are_on_disk_before_their_record(
    tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original, seen = sweep.append, []

    def append(path: Path, records: list[Record]) -> None:
        for record in records:
            if record.quantity == "piqa":
                assert len(answers(tmp_path, record)) == record.n
                seen.append(record.cell)
        original(path, records)

    monkeypatch.setattr(sweep, "append", append)
    run(tmp_path, settings_of(tiny_checkpoint, tasks=("embedded:piqa",), widths=("1x",)))
    assert len(seen) == 3


def test_a_finished_sweep_computes_nothing(
    whole: Any, tiny_checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, records = whole
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}

    def refuse(*_: Any) -> None:
        raise AssertionError("something was measured again")

    for name in ("answer_task", "floor_of", "append"):
        monkeypatch.setattr(sweep, name, refuse)
    monkeypatch.setattr(sweep.Parent, "dense", property(refuse))
    shares: list[float] = []
    again = Sweep(
        folder, settings_of(tiny_checkpoint), on_progress=lambda share, _: shares.append(share)
    ).run()
    assert [record.cell for record in again] == [record.cell for record in records.values()]
    assert again == list(records.values())
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
    assert shares[-1] == 1


def test_what_was_left_open_may_be_said_and_left_open_again(
    tiny_checkpoint: Path, tmp_path: Path
) -> None:
    one = {"tasks": ("embedded:piqa",), "widths": (), "limit": 2}
    first = run(tmp_path, settings_of(tiny_checkpoint, device=None, **one))
    said = run(tmp_path, settings_of(tiny_checkpoint, device="cpu", **one))
    opened = run(tmp_path, settings_of(tiny_checkpoint, dtype=None, **one))
    assert numbers(first) == numbers(said) == numbers(opened)
    assert len(load(tmp_path / "records.jsonl")) == 3
    with pytest.raises(RunError, match="begun with dtype 'float32', not 'bfloat16'"):
        run(tmp_path, settings_of(tiny_checkpoint, dtype="bfloat16", **one))


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ({"limit": 5}, "limit 4, not 5"),
        ({"limit": None}, "limit 4, not None"),
        ({"limits": {"piqa": 2}}, r"limits {}, not {'piqa': 2}"),
        ({"seed": 1}, "seed 0, not 1"),
        ({"tasks": TASKS[:2]}, r"tasks \['embedded:piqa', .*\], not \['embedded:piqa', .*\]"),
        ({"widths": ("1x",)}, r"widths \['1.4x', '40%'\], not \['1x'\]"),
        ({"criteria": ("l2",)}, r"criteria \['ppm'\], not \['l2'\]"),
        ({"until": 0.1}, "until None, not 0.1"),
        ({"max_new_tokens": None}, "max_new_tokens 6, not None"),
        ({"backend": "hf"}, "backend 'widthwise', not 'hf'"),
    ],
)
def test_another_sweep_is_not_mixed_into_a_folder(
    other: dict[str, Any], words: str, whole: Any, tiny_checkpoint: Path
) -> None:
    folder, _ = whole
    before = (folder / "records.jsonl").read_bytes(), (folder / "study.json").read_bytes()
    with pytest.raises(RunError, match=rf"begun with {words}; name another folder with -o"):
        run(folder, settings_of(tiny_checkpoint, **other))
    assert ((folder / "records.jsonl").read_bytes(), (folder / "study.json").read_bytes()) == before


def test_other_weights_are_another_study(tmp_path: Path) -> None:
    begun = {"widthwise": "0", "weights": "abc", "device": "cpu"}
    (tmp_path / "study.json").write_text(json.dumps(begun))
    assert agreed_settings(tmp_path, {**begun, "device": None}) == begun
    with pytest.raises(RunError, match="begun with weights 'abc', not 'def'"):
        agreed_settings(tmp_path, {**begun, "weights": "def"})


def test_a_second_run_in_a_folder_is_refused(tiny_checkpoint: Path, tmp_path: Path) -> None:
    first = Sweep(tmp_path, settings_of(tiny_checkpoint))
    with first.opened():
        with pytest.raises(OutputError, match="another process is running a study in"):
            Sweep(tmp_path, settings_of(tiny_checkpoint)).run()
        assert not (tmp_path / "records.jsonl").exists()


KILLS = (2, 11, 19)  # records of 25: while counting or loading, among piqa and among prose


def test_killed_sweeps_go_on_and_end_with_the_same_records(
    whole: Any, tiny_checkpoint: Path, tmp_path: Path
) -> None:
    _, records = whole
    words = ["--suite", ",".join(TASKS), "--to", "1.4x", "--remove", "40%", "--limit", "4"]
    words += ["--max-new-tokens", "6", "--dtype", "float32", "-o", str(tmp_path / "out")]
    file = tmp_path / "out" / "records.jsonl"
    for wanted in KILLS:
        child = subprocess.Popen(
            [sys.executable, "-m", "widthwise", "evaluate", tiny_checkpoint, *words],
            stderr=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
        while not file.exists() or file.read_bytes().count(b"\n") < wanted:
            assert child.poll() is None, "the sweep ended before it could be killed"
            time.sleep(0.005)
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
        with open(file, "ab") as torn:
            torn.write(b'{"cell": "half a li')
    resumed = run(tmp_path / "out", settings_of(tiny_checkpoint))
    assert numbers(resumed) == numbers(records)
    lines = Counter(record.cell for record in load(file))
    assert set(lines.values()) == {1}
    assert len(lines) == 25
    for key, record in resumed.items():
        if key[2] in NAMES:
            assert len(answers(tmp_path / "out", record)) == 4


@contextmanager
def damaged_at(width: int | None) -> Iterator[None]:
    """The model's log-likelihoods are not numbers while it is that wide."""
    original = SharedPrefixLM._loglikelihood_tokens

    def answer(self: Any, requests: Any, **rest: Any) -> Any:
        found = original(self, requests, **rest)
        if self.model.config.intermediate_size == width:
            found[2] = (math.nan, False)  # the first option of the second item
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SharedPrefixLM, "_loglikelihood_tokens", answer)
        yield


@pytest.mark.usefixtures("short_steps")
@pytest.mark.parametrize("until", [None, 0.5])
def test_a_width_that_gives_nan_is_missing_and_tried_again(
    until: float | None, tiny_checkpoint: Path, tmp_path: Path
) -> None:
    few = {"limit": 20, "limits": {"prose": 2}}
    settings = settings_of(tiny_checkpoint, tasks=TASKS[:2], until=until, **few)
    with damaged_at(44):
        broken = run(tmp_path / "broken", settings)
    for key, record in broken.items():
        missing = key[1] == "1.4x" and key[2] == "piqa"
        assert (record.value is None) == missing
        if missing:
            words = rf"{key[0]} 1.4x: task piqa, item piqa/\d+: the model's output is not finite"
            assert pd.Series([record.reason]).str.match(words).all()
            assert (record.n, record.standard_error) == (0, None)
    mended = run(tmp_path / "broken", settings)
    undisturbed = run(tmp_path / "fine", settings)
    if until is not None:  # dense goes on to the end when a width is given up
        key = None, "dense", "piqa"
        assert (mended.pop(key).n, undisturbed.pop(key).n) == (20, 16)
    assert numbers(mended) == numbers(undisturbed)
    lines = Counter(record.cell for record in load(tmp_path / "broken" / "records.jsonl"))
    assert sorted(lines.values()) == [1] * (len(lines) - 2) + [2, 2]


@pytest.mark.usefixtures("short_steps")
def test_dense_that_gives_nan_is_asked_once_and_the_others_are_measured(
    tiny_checkpoint: Path, tmp_path: Path
) -> None:
    settings = settings_of(tiny_checkpoint, tasks=TASKS[:1], until=0.9, limit=33)
    with damaged_at(53):
        broken = run(tmp_path, settings)
    assert broken[None, "dense", "piqa"].value is None
    assert {record.n for key, record in broken.items() if key[2] == "piqa"} == {0, 33}
    before = (tmp_path / "records.jsonl").read_bytes()
    assert before.count(b"not finite") == 1
    mended = run(tmp_path, settings)
    assert mended[None, "dense", "piqa"].n == 16  # where all others would have stopped
    assert (tmp_path / "records.jsonl").read_bytes().startswith(before)
    assert len(load(tmp_path / "records.jsonl")) == 5 * 3 + 1


@pytest.mark.usefixtures("short_steps")
def test_until_stops_early_on_the_same_items(tiny_checkpoint: Path, tmp_path: Path) -> None:
    shares: list[float] = []
    limits = {"limit": 40, "limits": {"prose": 17}}
    settings = settings_of(tiny_checkpoint, tasks=TASKS[:2], until=0.5, **limits)
    records = run(tmp_path, settings, on_progress=lambda share, _: shares.append(share))
    pairs = {key: answers(tmp_path, r) for key, r in records.items() if key[2] in NAMES}
    for key, table in pairs.items():
        record = records[key]
        dense = pairs[None, "dense", key[2]]
        assert list(table["item"]) == list(dense["item"])[: record.n]
        assert record.settings["until"] == 0.5
        assert record.n == len(record.items) == len(table)
        assert record.n in ((17,) if key[2] == "prose" else (16, 32))
    assert shares == sorted(shares)
    assert max(shares) == 1


@pytest.mark.usefixtures("short_steps")
def test_until_killed_between_two_records_stores_nothing_twice(
    tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings_of(tiny_checkpoint, tasks=TASKS[:1], until=0.5, limit=40)
    undisturbed = run(tmp_path / "whole", settings)
    original = sweep.append

    def stops(path: Path, records: list[Record]) -> None:
        if path.exists() and path.read_bytes().count(b"\n") == 12:
            raise KeyboardInterrupt
        original(path, records)

    with monkeypatch.context() as patch:
        patch.setattr(sweep, "append", stops)
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path / "cut", settings)
    assert numbers(run(tmp_path / "cut", settings)) == numbers(undisturbed)
    assert len(load(tmp_path / "cut" / "records.jsonl")) == 5 * 3


def test_settings_are_looked_at_before_anything_is_written(
    tiny_checkpoint: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    for changes, kind, words in (
        ({"tasks": ()}, RunError, "at least one task or suite"),
        ({"backend": "vllm"}, RunError, "backend must be one of widthwise, hf; got 'vllm'"),
        ({"criteria": ("best",)}, PlanError, "criterion must be one of ppm, .* got 'best'"),
        ({"criteria": ("ppm_activation",)}, PlanError, "ppm_activation needs calibration text"),
        ({"widths": ("wide",)}, TargetError, "--to must look like 2.4x; got 'wide'"),
        ({"seed": -1}, PlanError, "seed must be a whole number"),
        ({"device": "banana"}, RunError, "device banana cannot be used here"),
        ({"device": "meta"}, RunError, "device meta cannot be used here"),
    ):
        with pytest.raises(kind, match=words):
            Sweep(out, settings_of(tiny_checkpoint, **changes)).run()
    assert not out.exists()


def test_a_device_that_is_gone_is_said(whole: Any, tiny_checkpoint: Path, tmp_path: Path) -> None:
    folder, _ = whole
    begun = json.loads((folder / "study.json").read_text())
    (tmp_path / "study.json").write_text(json.dumps({**begun, "device": "banana"}))
    with pytest.raises(RunError, match="device banana cannot be used here"):
        run(tmp_path, settings_of(tiny_checkpoint))


def test_max_new_tokens_lowers_limits_and_is_told(whole: Any, tmp_path: Path) -> None:
    folder, records = whole
    written = answers(folder, records[None, "dense", "ifbench"])
    assert list(written["tokens"]) == [6] * 4
    assert list(written["capped"]) == [True] * 4
    assert records[None, "dense", "ifbench"].settings["max_new_tokens"] == 6
    assert json.loads((folder / "study.json").read_text())["max_new_tokens"] == 6
    write_rows(tmp_path / "gsm8k" / "train.jsonl", [{"question": "q", "answer": "#### 1"}] * 9)
    write_rows(tmp_path / "gsm8k" / "test.jsonl", [{"question": "q", "answer": "#### 1"}])
    own = one_task("gsm8k", tmp_path).requests[0].args[1]
    for asked, got in (
        (7, 7),
        (100_000, own.get("max_gen_toks", 256)),
        (None, own.get("max_gen_toks")),
    ):
        settings = one_task("gsm8k", tmp_path, max_new_tokens=asked).requests[0].args[1]
        assert settings.get("max_gen_toks") == got
        assert settings["until"] == own["until"]


@pytest.mark.parametrize("name", ["max_gen_toks", "max_new_tokens", "max_tokens"])
def test_a_limit_is_lowered_by_whatever_name(name: str) -> None:
    """lm-eval takes several, `max_gen_toks` before the others."""
    from types import SimpleNamespace

    from widthwise.evaluate.harness import _cap

    for own, most, got in ((40, 100, 40), (100, 40, 40)):
        request = SimpleNamespace(args=("q", {"until": [], name: own}))
        _cap(request, most)
        assert request.arguments[1]["max_gen_toks"] == got


def test_limits_of_single_tasks(tmp_path: Path) -> None:
    write_rows(tmp_path / "piqa" / "validation.jsonl", [PIQA] * 9)
    write_rows(tmp_path / "lambada_openai" / "test.jsonl", [{"text": "a b c"}] * 9)
    names = ["piqa", "lambada_openai"]
    tasks = load_tasks(names, data=tmp_path, limit=5, limits={"piqa": 3})
    assert [len(task.item_ids) for task in tasks] == [3, 5]
    assert tasks[0].item_ids == one_task("piqa", tmp_path, limit=3).item_ids
    with pytest.raises(RunError, match=r"set for 'boolq', which is none .*: piqa, lambada_openai"):
        load_tasks(names, data=tmp_path, limits={"boolq": 3})
    with pytest.raises(RunError, match="limit must be at least 1; got 0"):
        load_tasks(names, data=tmp_path, limits={"piqa": 0})


SYSTEM = {"role": "system", "content": "be brief"}
USER = {"role": "user", "content": "hello"}


def test_a_template_that_refuses_the_system_role_gets_none(tiny_checkpoint: Path) -> None:
    tokenizer = hf.AutoTokenizer.from_pretrained(tiny_checkpoint)
    chat = chat_of(tokenizer)
    assert chat is not None
    assert "be brief" in chat.apply([SYSTEM, USER])
    assert chat.apply([SYSTEM, USER]).endswith("<|im_start|>assistant\n")
    answered = [USER, {"role": "assistant", "content": "so"}]
    assert chat.apply(answered, add_generation_prompt=False).endswith("so")
    tokenizer.chat_template = (
        "{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('no system') }}"
        "{% endif %}<{{ m.role }}>{{ m.content }}{% endfor %}"
    )
    strict = chat_of(tokenizer)
    assert strict is not None
    assert strict.apply([SYSTEM, USER]) == "<user>hello"
    tokenizer.chat_template = "{{ raise_exception('never') }}"
    never = chat_of(tokenizer)
    assert never is not None
    with pytest.raises(TemplateError):
        never.apply([SYSTEM, USER])
    tokenizer.chat_template = None
    assert chat_of(tokenizer) is None
