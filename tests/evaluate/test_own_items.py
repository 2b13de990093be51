"""A user's own items as a task: how they are spelled, asked and scored, and mistakes by line."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from harness_answers import Oracle
from scored_tasks import NO_FLOOR
from transformers import AutoModelForCausalLM, AutoTokenizer

from widthwise.assets import benchmark_rows
from widthwise.errors import RunError
from widthwise.evaluate import (
    Task,
    answer_task,
    check_tasks,
    compute_floor,
    language_model_of,
    load_tasks,
    score_answers,
)
from widthwise.evaluate.own_items import items_name, read_items

CHOICE = {"question": "Which?", "choices": ["red", "blue"], "answer": 1}
ANSWER = {"question": "Who?", "answer": "Ann"}
TEXT = {"text": "The cat sat."}


def write(path: Path, *items: Any) -> str:
    """A file of items, as they are or as JSON, one a line."""
    lines = [item if isinstance(item, str) else json.dumps(item) for item in items]
    data = "".join(line + "\n" for line in lines).encode("utf8", "surrogateescape")
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return str(path)


def one(file: str, **options: Any) -> Task:
    (task,) = load_tasks([file], **options)
    return task


@pytest.mark.parametrize(
    ("item", "prompt", "place"),
    [
        (CHOICE, "Question: Which?\nAnswer:", 1),
        ({**CHOICE, "answer": "B"}, "Question: Which?\nAnswer:", 1),
        ({**CHOICE, "answer": "b"}, "Question: Which?\nAnswer:", 1),
        ({**CHOICE, "answer": "blue"}, "Question: Which?\nAnswer:", 1),
        ({**CHOICE, "answer": "1"}, "Question: Which?\nAnswer:", 1),
        ({"prompt": "Which? ", "options": ["red", "blue"], "label": 0}, "Which? ", 0),
        ({"ctx": "A cat", "endings": ["red", "blue"], "label": "1"}, "A cat", 1),
        (
            {"question": "Which?", "options": {"A": "red", "B": "blue"}, "answer_idx": "B"},
            "Question: Which?\nAnswer:",
            1,
        ),
        (
            {
                "question": "Which?",
                "choices": {"text": ["red", "blue"], "label": ["1", "2"]},
                "answerKey": "1",  # a label, and not the place of blue
            },
            "Question: Which?\nAnswer:",
            0,
        ),
        (
            {
                "question": "Which?",
                "choices": {"text": ["red", "blue", "A"], "label": ["A", "B", "C"]},
                "answerKey": "A",  # a label, and not the text of C
            },
            "Question: Which?\nAnswer:",
            0,
        ),
        (
            {
                "query": "Which?",
                "choices": [{"label": "x", "text": "red"}, {"label": "y", "text": "blue"}],
                "correct": "y",
                "passage": "Grass.\n",
            },
            "Grass.\nQuestion: Which?\nAnswer:",
            1,
        ),
    ],
)
def test_a_question_with_choices_is_known_in_many_spellings(
    tmp_path: Path, item: dict[str, Any], prompt: str, place: int
) -> None:
    task = one(write(tmp_path / "mine.jsonl", item, item))
    assert (task.name, task.metric, task.shots, task.source) == ("mine", "acc", 0, "all 2 items")
    (document, _) = task.documents()
    asked = [each.args for each in document.instances]
    assert asked[:2] == [(prompt, " red"), (prompt, " blue")]
    assert task.lm_tasks[0].doc_to_target(document.doc) == place


def test_an_answer_is_written_after_solved_examples(tmp_path: Path) -> None:
    items = [{"question": f"q{i}", "answer": [f"a{i}", "or this"], "id": i} for i in range(9)]
    task = one(write(tmp_path / "mine.jsonl", *items))
    assert (task.metric, task.unit, task.shots) == ("exact_match", "accuracy", 5)
    assert task.source == "all 9 items; fields not used: id"
    for number, request in enumerate(task.requests):
        prompt, settings = request.args
        others = [i for i in range(6) if i != number][:5]
        shown = "".join(f"Question: q{i}\nAnswer: a{i}\n\n" for i in others)
        assert prompt == f"{shown}Question: q{number}\nAnswer:"
        assert (settings["until"], settings["max_gen_toks"]) == (["\n"], 64)


def test_a_prompt_is_asked_as_it_is(tmp_path: Path) -> None:
    items = [{"prompt": f"Say {i}.", "target": i} for i in (20, 21)]
    task = one(write(tmp_path / "mine.jsonl", *items))
    assert [request.args[0] for request in task.requests] == ["Say 20.", "Say 21."]
    long = {"question": "Say it.", "answer": "ab" * 50}
    task = one(write(tmp_path / "long.jsonl", long, items[0]))
    assert task.new_tokens == [100, 100]  # a token has at least one byte
    assert task.shots == 0


def test_no_item_is_told_its_own_answer(tmp_path: Path) -> None:
    """Not even where it is asked twice, with other answers accepted."""
    twice = [{"question": "Who?", "answer": "Ann"}, {"question": "Who?", "answer": ["Ann", "Anne"]}]
    others = [{"question": f"q{i}", "answer": "Bob"} for i in range(3)]
    task = one(write(tmp_path / "mine.jsonl", *twice, *others))
    assert task.shots == 2
    assert not any("Ann" in request.args[0] for request in task.requests)
    assert one(write(tmp_path / "two.jsonl", *twice)).shots == 0


@pytest.mark.parametrize(
    ("answer", "written", "is_right"),
    [
        ("Paris", " paris.", True),
        ("the Eiffel Tower", "Eiffel tower!", True),
        ("vitamin A", "Vitamin", False),
        ("A", "**A**.", True),
        ("3.5", "35", False),
        ("3.5", "3.5.", True),
        (-5, "5", False),
        (8, "8", True),
        ("it's", "It\u2019s", True),
        ("Paris", "The capital is Paris", False),
        (["Rome", "Roma"], "roma", True),
        ({"text": ["Rome", "Roma"], "answer_start": [3, 9]}, "Rome", True),
        ("\u0915\u093f", "\u0915\u0940", False),  # vowel signs of Hindi are letters, not marks
    ],
)
def test_what_does_not_count_in_an_answer(
    tmp_path: Path, answer: Any, written: str, is_right: bool
) -> None:
    item = {"question": "What?", "answer": answer}
    task = one(write(tmp_path / "mine.jsonl", item, {**item, "question": "And?"}))
    (lm_task,) = task.lm_tasks
    document = next(task.documents())
    assert lm_task.process_results(document.doc, [written]) == {"exact_match": float(is_right)}


def test_texts_are_measured_as_prose_is(tmp_path: Path) -> None:
    (prose,) = load_tasks(["embedded:prose"], limit=5)
    texts = [request.args[0] for request in prose.requests]
    task = one(write(tmp_path / "mine.jsonl.gz", *({"text": text} for text in texts)))
    assert (task.name, task.metric, task.higher_is_better) == ("mine", "bits_per_byte", False)
    assert [request.args for request in task.requests] == [r.args for r in prose.requests]
    lm = Oracle()
    scores = [score_answers(each, answer_task(lm, each), NO_FLOOR) for each in (task, prose)]
    assert scores[0].value == scores[1].value
    assert scores[0].standard_error == scores[1].standard_error


def test_the_score_of_a_public_data_set_is_that_of_the_task_of_lm_eval(
    tmp_path: Path, tiny_checkpoint: Path
) -> None:
    """ARC's rows as they were published, under its name, so that the sample is the same too."""
    rows = benchmark_rows("arc_easy", "validation")
    own = one(write(tmp_path / "arc_easy.jsonl", *rows), limit=24, seed=3)
    (arc,) = load_tasks(["embedded:arc_easy"], limit=24, seed=3)
    assert own.item_ids == arc.item_ids
    assert [request.args for request in own.requests] == [r.args for r in arc.requests]
    model = AutoModelForCausalLM.from_pretrained(tiny_checkpoint)
    lm = language_model_of("widthwise", model, AutoTokenizer.from_pretrained(tiny_checkpoint))
    ours, theirs = (score_answers(each, answer_task(lm, each), NO_FLOOR) for each in (own, arc))
    assert ours.metrics == theirs.metrics
    assert len(set(ours.metrics.values())) == 2  # acc and acc_norm, so it says something
    floors = [compute_floor(each).answerers["chance"] for each in (own, arc)]
    assert floors[0] == floors[1]


def test_each_kind_has_a_floor(tmp_path: Path) -> None:
    """By hand: of three questions two have their answer at B; of three answers two are Ann."""
    choices = [{**CHOICE, "answer": place} for place in (0, 1, 1)]
    floor = compute_floor(one(write(tmp_path / "choices.jsonl", *choices)))
    assert (floor.value, floor.kind) == (pytest.approx(2 / 3), "always option 2") or (
        floor.kind == "always 'blue'" and floor.value == pytest.approx(2 / 3)
    )
    answers = [{"question": f"q{i}", "answer": who} for i, who in enumerate(["Bob", "Ann", "Ann"])]
    floor = compute_floor(one(write(tmp_path / "answers.jsonl", *answers)))
    assert (floor.value, floor.kind) == (pytest.approx(2 / 3), "always 'Ann'")
    floor = compute_floor(one(write(tmp_path / "texts.jsonl", TEXT, {"text": "A dog ran."})))
    assert floor.value is not None
    assert floor.kind == "frequencies of single bytes in the other texts"


def test_a_change_of_any_item_is_another_task(tmp_path: Path) -> None:
    """The floor is of all items, also of those that a sample leaves out."""
    items = [{**CHOICE, "question": f"q{number}"} for number in range(8)]
    before = one(write(tmp_path / "mine.jsonl", *items), limit=2)
    asked = {document.doc["prompt"] for document in before.documents()}
    other = next(
        i for i, item in enumerate(items) if f"Question: {item['question']}\nAnswer:" not in asked
    )
    changed = [{**item, "answer": 0} if i == other else item for i, item in enumerate(items)]
    after = one(write(tmp_path / "mine.jsonl", *changed), limit=2)
    assert [r.args for r in after.requests] == [r.args for r in before.requests]
    assert after.digest != before.digest
    assert after.version != before.version
    noted = [{**item, "note": i} for i, item in enumerate(items)]
    assert one(write(tmp_path / "mine.jsonl", *noted), limit=2).digest == before.digest


def test_a_name_of_lm_eval_says_nothing_of_ones_own_items(tmp_path: Path) -> None:
    for name in ("piqa", "mmlu", "prose", "gsm8k"):
        task = one(write(tmp_path / f"{name}.jsonl", CHOICE, CHOICE))
        assert (task.name, task.metric, task.filter) == (name, "acc", "none")
    assert items_name("a/b.c.jsonl.gz") == "b.c"


def test_names_and_limits_are_checked_without_loading_anything(tmp_path: Path) -> None:
    (tmp_path / "more").mkdir()
    first = write(tmp_path / "mine.jsonl", CHOICE, CHOICE)
    second = write(tmp_path / "more" / "mine.jsonl.gz", ANSWER, ANSWER)
    check_tasks([first, "embedded:piqa"], {"mine": 2, "piqa": 5})
    for name in (first, "more"):  # a limit goes by the name in tables
        with pytest.raises(RunError, match=r"which is not one of the tasks: mine, piqa$"):
            check_tasks([first, "embedded:piqa"], {name: 2})
    for names in ([first, second], [f"{first}@chat", f"{second}@chat"]):
        with pytest.raises(RunError, match="two of the tasks have the name mine"):
            check_tasks(names)
    check_tasks([first, f"{second}@chat"])
    piqa = write(tmp_path / "piqa.jsonl", CHOICE, CHOICE)
    with pytest.raises(RunError, match="two of the tasks have the name piqa"):
        check_tasks([piqa, "embedded"])


SURROGATE = '{"text": "half \\ud83d"}'

MISTAKES = [
    ((), r"mine\.jsonl is empty"),
    (("", " "), r"mine\.jsonl is empty"),
    ((CHOICE,), r"mine\.jsonl has one item, in line 1, and no interval .* fewer than 2"),
    ((CHOICE, "", '{"question": '), r"mine\.jsonl, line 3, is not JSON \(Expecting value"),
    (("[",), r"line 1, is not JSON .*: each line must be one JSON object"),
    (("[" * 200_000,), r"line 1, is not JSON"),
    ((CHOICE, "[1, 2]"), r"line 2, must be a JSON object such as \{\.\.\.\}; got \[1, 2\]"),
    ((TEXT, '{"text": "caf\udce9"}'), r"line 2, is not UTF-8 \(byte 0xe9 at column 14\)"),
    ((TEXT, SURROGATE), r"line 2: text holds half a character \('\\ud83d'\)"),
    ((TEXT, {"text": " "}), "line 2: text is a blank text"),
    ((TEXT, {"text": ["a"]}), r'line 2: text must be a text; got \["a"\]'),
    ((TEXT, CHOICE), "line 2, is a question with choices, but line 1 is a text"),
    ((CHOICE, ANSWER), "line 2, is a question with an answer, but line 1 is a question with ch"),
    (({"a": 1, "b": 2},), "line 1, is no item: it needs the fields question, .* it has a, b"),
    (({},), "line 1, is no item: .* it has none"),
    (({"question": "Why?"},), "line 1, has no field answer; it has question"),
    (({"choices": ["a", "b"], "answer": 0},), "line 1, has no field question or prompt; it has"),
    ((CHOICE, {**CHOICE, "answer": 2}), "line 2: answer 2 is none of its 2 choices: give the num"),
    ((CHOICE, {**CHOICE, "answer": -1}), "line 2: answer -1 is none of its 2 choices"),
    ((CHOICE, {**CHOICE, "answer": "green"}), 'line 2: answer "green" is none of its 2 choices'),
    ((CHOICE, {**CHOICE, "answer": True}), "line 2: answer true is none of its 2 choices"),
    ((CHOICE, {**CHOICE, "answer": [0]}), r"line 2: answer \[0\] is none of its 2 choices"),
    ((CHOICE, {**CHOICE, "answer": None}), "line 2, has no field answer; it has question, choices"),
    (({**CHOICE, "choices": ["1", "2"], "answer": "1"},), """line 1: answer "1" may mean .*'1'"""),
    (({**CHOICE, "choices": ["B", "A"], "answer": "A"},), "line 1: answer .* may mean 'A' or 'B'"),
    (({**CHOICE, "choices": ["x", "x"]},), "line 1: answer 1 is a choice that is there twice"),
    (({**CHOICE, "choices": ["x"]},), r"line 1: choices must be a list of at least 2 texts; got"),
    (({**CHOICE, "choices": "red"},), 'line 1: choices must be a list of at least 2 texts; got "r'),
    (
        ({**CHOICE, "choices": {"text": ["x", "y"], "label": ["A"]}},),
        "line 1: choices must have one",
    ),
    (({**CHOICE, "answer": "9" * 5000},), 'line 1: answer "9{59}... is none of its 2 choices'),
    (({**CHOICE, "choices": ["x", ""]},), "line 1: choices is a blank text"),
    (({**ANSWER, "answer": "a\nb"},), "line 1: answer has several lines"),
    (({**ANSWER, "answer": "."},), "line 1: answer has no word and no number: '.' matches nothing"),
    (({**ANSWER, "answer": []},), "line 1: answer must be a text or a list of accepted texts"),
    (({**ANSWER, "answer": False},), "line 1: answer must be a text; got false"),
]


@pytest.mark.parametrize(("lines", "message"), MISTAKES)
def test_a_mistake_is_named_by_its_line(
    tmp_path: Path, lines: tuple[Any, ...], message: str
) -> None:
    file = write(tmp_path / "mine.jsonl", *lines)
    for check in (read_items, lambda file: check_tasks([file]), one):
        with pytest.raises(RunError, match=message) as raised:
            check(file)
        assert "mine.jsonl" in str(raised.value)
        assert "\n" not in str(raised.value)


def test_a_file_that_cannot_be_read_is_said_to_be(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"the task file .*absent\.jsonl is not there"):
        check_tasks([str(tmp_path / "absent.jsonl")])
    (tmp_path / "folder.jsonl").mkdir()
    with pytest.raises(RunError, match=r"the task file .*folder\.jsonl is not there"):
        check_tasks([str(tmp_path / "folder.jsonl")])
    whole = Path(write(tmp_path / "cut.jsonl.gz", *[CHOICE] * 500)).read_bytes()
    (tmp_path / "cut.jsonl.gz").write_bytes(whole[: len(whole) - 20])
    with pytest.raises(RunError, match=r"cut\.jsonl\.gz cannot be read after line \d+ \(Compress"):
        check_tasks([str(tmp_path / "cut.jsonl.gz")])
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9"
    with pytest.raises(RunError, match=r"lfs\.jsonl is a pointer of git-lfs to the items"):
        check_tasks([write(tmp_path / "lfs.jsonl", pointer)])


def test_what_windows_writes_is_read(tmp_path: Path) -> None:
    """A mark at the beginning of the file, and two bytes at the end of each line."""
    path = tmp_path / "mine.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + 2 * (json.dumps(TEXT).encode() + b"\r\n"))
    assert read_items(str(path)).rows == [TEXT, TEXT]
