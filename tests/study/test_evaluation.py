"""The sweep: a width in it is the checkpoint of that width, and items are the same for all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest
import transformers as hf
from harness_answers import one_task
from harness_data import PIQA, write_rows
from jinja2.exceptions import TemplateError
from same_answers import CLOSE, assert_same_answers
from sweep_runs import NAMES, TASKS, WIDTHS, answers, run, settings_of

from widthwise.errors import RunError
from widthwise.evaluate import chat_of, load_tasks
from widthwise.prune import prune_checkpoint
from widthwise.study import Evaluation, Variant
from widthwise.study import dense_model as parent

pytestmark = pytest.mark.demo

QUANTITIES = ("parameters", "bytes", *NAMES)
NETWORKS = [
    (None, "dense"),
    *((criterion, asked) for criterion in ("ppm", "random") for asked in WIDTHS),
]
COLUMNS = "item share metrics text tokens capped loops log_likelihoods greedy shortened".split()
# Two ways through one float32 model round at 2^-24 = 6e-8 in other orders; 3 layers with sums of
# up to 53 terms leave some hundred roundings, and logits of large weights lose a digit more.


@pytest.fixture(scope="module")
def whole(tiny_checkpoint: Path, tmp_path_factory: Any) -> tuple[Path, dict[tuple[Any, ...], Any]]:
    """An undisturbed sweep: its folder and its records."""
    folder = tmp_path_factory.mktemp("whole")
    return folder, run(folder, settings_of(tiny_checkpoint))


@pytest.mark.long
@pytest.mark.parametrize("network", [("ppm", "1.4x"), ("random", "40%")])
def test_a_width_is_the_checkpoint_of_that_width(
    network: tuple[str, str], whole: Any, tiny_checkpoint: Path, tmp_path: Path
) -> None:
    folder, records = whole
    plan = parent.DenseModel(
        files=parent.ModelFiles(str(tiny_checkpoint)), dtype="float32", device="cpu", seed=0
    ).stored_plan(Variant(*network))
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
        networks = Evaluation(tmp_path / str(number), settings_of(tiny_checkpoint, criteria=asked))
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
            "piqa": {"log_likelihoods", "greedy", "shortened"},
            "prose": {"log_likelihoods"},
            "ifbench": {"text", "tokens", "capped", "loops", "shortened"},
        }
        assert filled == {"item", "share", "metrics", *wanted[key[2]]}
    assert all(len(row) == 2 for row in answers(folder, records[None, "dense", "piqa"])["greedy"])


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

    from widthwise.evaluate.tasks import _cap

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
    with pytest.raises(RunError, match=r"names 'boolq', which is not one .*: piqa, lambada_openai"):
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
