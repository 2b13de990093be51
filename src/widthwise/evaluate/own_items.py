"""A user's own items: a file of JSON lines, one item each, that is read as a task of lm-eval.

Three kinds of items are known; the first line decides which kind a file is of:

- a question with choices (`question`, `choices`, `answer`): the likeliest choice is the answer;
- a question with an answer (`question`, `answer`): after a few solved examples, which are other
  items of the file, the model writes, and what it writes must match the answer;
- a text (`text`): its bits per byte.
"""

from __future__ import annotations

import hashlib
import json
import re
import string
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from ..errors import RunError
from ..io import UNPACK_ERRORS, lfs_pointer, open_unpacked
from .documents import Row, as_dataset, text_config

# Names of fields, as public data sets spell them; of several, the first counts.
_QUESTIONS = ("question", "query", "question_stem")  # asked as "Question: ...\nAnswer:"
_PROMPTS = ("prompt", "input", "ctx")  # given to the model as they are
_PASSAGES = ("passage", "context", "support")  # stand before a question
_CHOICES = ("choices", "options", "endings")
_ANSWERS = ["answer", "answers", "answer_idx", "answer_index", "answerKey", "answer_key"]
_ANSWERS += ["correct", "correct_answer", "label", "target", "gold"]
_TEXT = "text"

_CHOOSING, _ANSWERING, _TEXTS = "a question with choices", "a question with an answer", "a text"
_FEWEST = 2  # items; fewer have no interval
_SHOTS = 5  # solved examples before a question that is answered in writing
_WRITTEN = 64  # new tokens of an answer at most, or as many as the longest has bytes

# What does not count in an answer: quotation marks and stars, the punctuation of sentences (not
# that of a number), an article before a word, spaces; nor does case.
_IGNORED = ["[\"'`*_\u2018\u2019\u201c\u201d\u00ab\u00bb]", r"[.,;:!?](?!\d)"]
_IGNORED += [r"(?i)\b(?:a|an|the)\s+(?=\w)", r"\s+"]


@dataclass(frozen=True, kw_only=True)
class OwnItems:
    """The items of a user's file.

    Attributes:
        name: Name of the task: that of the file, without folder and suffixes.
        kind: Which of the three kinds of items it holds, in words.
        rows: The items, as the task's documents.
        unused: Names of fields that play no part.
        examples: Items of which the others are solved examples for each; none for prompts, which
            are given to the model as they are.
    """

    name: str
    kind: str
    rows: list[Row]
    unused: tuple[str, ...]
    examples: list[Row]

    @property
    def remark(self) -> str:
        """What a reader of a score should know, or nothing."""
        return f"fields not used: {', '.join(self.unused)}" if self.unused else ""

    @property
    def digest(self) -> str:
        """sha256 over all that the items ask."""
        return hashlib.sha256(repr((self.kind, self.rows)).encode()).hexdigest()

    @property
    def config(self) -> dict[str, Any]:
        """The task in the form of lm-eval."""
        if self.kind == _TEXTS:
            return text_config(self.name, self.rows, _TEXT)
        asked = self._choosing() if self.kind == _CHOOSING else self._answering()
        return {
            "task": self.name,
            "custom_dataset": lambda **_: {"test": as_dataset(self.rows)},
            "test_split": "test",
            # As examples are of the split that is asked, lm-eval leaves out the item itself.
            "num_fewshot": max(len(self.examples) - 1, 0),
            "fewshot_config": {
                "sampler": "first_n",
                "split": "test",
                "process_docs": lambda _: self.examples,
            },
            "doc_to_text": "prompt",
            "metadata": {"version": self.digest[:12]},
            **asked,
        }

    def _choosing(self) -> dict[str, Any]:
        return {
            "output_type": "multiple_choice",
            "doc_to_choice": "choices",
            "doc_to_target": "answer",
            "metric_list": [_mean_of("acc"), _mean_of("acc_norm")],
        }

    def _answering(self) -> dict[str, Any]:
        longest = max(len(answer.encode()) for row in self.rows for answer in row["answers"])
        limit = max(_WRITTEN, longest)
        metric = {"regexes_to_ignore": _IGNORED, "ignore_case": True, **_mean_of("exact_match")}
        return {
            "output_type": "generate_until",
            "generation_kwargs": {"until": ["\n"], "do_sample": False, "max_gen_toks": limit},
            "doc_to_target": "answers",
            "metric_list": [metric],
        }


def _mean_of(metric: str) -> dict[str, Any]:
    return {"metric": metric, "aggregation": "mean", "higher_is_better": True}


def items_name(file: str) -> str:
    """The name of the task that a file of items is.

    Example:
        >>> items_name("mine/cooking.jsonl.gz")
        'cooking'
    """
    return Path(file).name.removesuffix(".gz").removesuffix(".jsonl")


def read_items(file: str) -> OwnItems:
    """The items of a file of JSON lines, all of them looked at; empty lines are left out.

    Cost: the whole file is in memory; 3 s for 100,000 items.

    Raises:
        RunError: The file is not there, or a line is no item, or not one of the kind of the first;
            the sentence names the file and the line.
    """
    path = Path(file).expanduser()
    if not path.is_file():
        raise RunError(f"the task file {file} is not there")
    if fault := lfs_pointer(path, "the items"):
        raise RunError(f"{file} {fault}")
    rows: list[Row] = []
    kind, first, fields, are_questions = "", 0, set[str](), True
    for number, item in _objects(file, path):
        where = f"{file}, line {number}"
        found = _kind_of(item, where)
        if not rows:
            kind, first = found, number
        elif found != kind:
            raise RunError(
                f"{where}, is {found}, but line {first} is {kind}: give all lines of a file the "
                "same kind"
            )
        rows.append(_READERS[kind](item, where))
        fields |= set(item) - _used(item, kind)
        are_questions &= _field(item, _QUESTIONS) is not None
    if not rows:
        raise RunError(f"{file} is empty: it has no item in line 1 and none below")
    if len(rows) < _FEWEST:
        raise RunError(
            f"{file} has one item, in line {first}, and no interval can be given for fewer than "
            f"{_FEWEST}: add items"
        )
    return OwnItems(
        name=items_name(file),
        kind=kind,
        rows=rows,
        unused=tuple(sorted(fields)),
        examples=_examples(rows) if kind == _ANSWERING and are_questions else [],
    )


def _examples(rows: Sequence[Row]) -> list[Row]:
    """The first questions that are asked once only: no item is told its own answer."""
    times = Counter(row["prompt"] for row in rows)
    return list(islice((row for row in rows if times[row["prompt"]] == 1), _SHOTS + 1))


def _objects(file: str, path: Path) -> Iterator[tuple[int, Row]]:
    """The JSON objects of the lines, with their numbers from 1."""
    number = 0
    try:
        with open_unpacked(path) as opened:
            for number, line in enumerate(opened, 1):
                if line.strip():
                    yield number, _object(line, f"{file}, line {number}")
    except (OSError, *UNPACK_ERRORS) as error:
        raise RunError(f"{file} cannot be read after line {number} ({error})") from error


def _object(line: bytes, where: str) -> Row:
    try:
        value = json.loads(line.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        byte = line[error.start]
        raise RunError(
            f"{where}, is not UTF-8 (byte {byte:#04x} at column {error.start + 1}): save the file "
            "as UTF-8"
        ) from error
    except (ValueError, RecursionError) as error:
        raise RunError(
            f"{where}, is not JSON ({error}): each line must be one JSON object"
        ) from error
    if not isinstance(value, dict):
        raise RunError(f"{where}, must be a JSON object such as {{...}}; got {_shown(value)}")
    return value


def _kind_of(item: Row, where: str) -> str:
    """The kind of an item, by the fields that it has."""
    if _field(item, _CHOICES):
        return _CHOOSING
    if _field(item, (*_QUESTIONS, *_PROMPTS)):
        _answer_field(item, where)
        return _ANSWERING
    if _field(item, (_TEXT,)):
        return _TEXTS
    raise RunError(
        f"{where}, is no item: it needs the fields question, choices and answer, or question and "
        f"answer, or text; it has {', '.join(item) or 'none'}"
    )


def _field(item: Row, names: Sequence[str]) -> str | None:
    """The first of the names that the item has."""
    return next((name for name in names if item.get(name) is not None), None)


def _answer_field(item: Row, where: str) -> str:
    if (name := _field(item, _ANSWERS)) is None:
        raise RunError(
            f"{where}, has no field answer; it has {', '.join(item)} (also understood: "
            f"{', '.join(_ANSWERS[1:])})"
        )
    return name


def _used(item: Row, kind: str) -> set[str | None]:
    """Names of the fields that play a part."""
    if kind == _TEXTS:
        return {_TEXT}
    used = {_field(item, (*_QUESTIONS, *_PROMPTS)), _field(item, _ANSWERS)}
    if _field(item, _QUESTIONS):
        used.add(_field(item, _PASSAGES))
    return used | ({_field(item, _CHOICES)} if kind == _CHOOSING else set())


def _read_choosing(item: Row, where: str) -> Row:
    name = _field(item, _CHOICES)
    texts, labels = _choices(item[str(name)], f"{where}: {name}")
    field = _answer_field(item, where)
    place = _place(item[field], texts, labels, f"{where}: {field}")
    return {"prompt": _prompt(item, where), "choices": texts, "answer": place}


def _read_answering(item: Row, where: str) -> Row:
    field = _answer_field(item, where)
    value = item[field]
    if isinstance(value, dict) and _TEXT in value:  # SQuAD's {"text": [...], "answer_start": [...]}
        value = value[_TEXT]
    where_answer = f"{where}: {field}"
    accepted = value if isinstance(value, list) else [value]
    if not accepted:
        raise RunError(f"{where_answer} must be a text or a list of accepted texts; got []")
    answers = [_text(each, where_answer).strip() for each in accepted]
    for answer in answers:
        if "\n" in answer:
            raise RunError(
                f"{where_answer} has several lines, and what the model writes is read up to the "
                "end of its first line: give an answer of one line"
            )
        kept = answer
        for ignored in _IGNORED:
            kept = re.sub(ignored, "", kept)
        if not kept:
            raise RunError(f"{where_answer} has no word and no number: {answer!r} matches nothing")
    return {"prompt": _prompt(item, where), "answers": list(dict.fromkeys(answers))}


def _read_text(item: Row, where: str) -> Row:
    return {_TEXT: _text(item[_TEXT], f"{where}: {_TEXT}")}


_READERS: dict[str, Callable[[Row, str], Row]] = {
    _CHOOSING: _read_choosing,
    _ANSWERING: _read_answering,
    _TEXTS: _read_text,
}


def _prompt(item: Row, where: str) -> str:
    """What the model reads: a question in the usual form, after its passage; a prompt as it is."""
    if name := _field(item, _QUESTIONS):
        question = f"Question: {_text(item[name], f'{where}: {name}')}\nAnswer:"
        passage = _field(item, _PASSAGES)
        if passage is None or item[passage] == "":
            return question
        return f"{_text(item[passage], f'{where}: {passage}').strip()}\n{question}"
    if name := _field(item, _PROMPTS):
        return _text(item[name], f"{where}: {name}")
    raise RunError(f"{where}, has no field question or prompt; it has {', '.join(item)}")


def _choices(value: Any, where: str) -> tuple[list[str], list[str]]:
    """The choices, and what the file calls them: nothing, or a label each."""
    labels: Any = []
    if isinstance(value, dict) and _TEXT in value:  # ARC's {"text": [...], "label": ["A", ...]}
        value, labels = value[_TEXT], value.get("label") or []
    elif isinstance(value, dict):  # MedQA's {"A": ..., "B": ...}
        value, labels = list(value.values()), list(value)
    elif isinstance(value, list) and value and all(isinstance(each, dict) for each in value):
        labels = [each["label"] for each in value if each.get("label") is not None]
        value = [each.get(_TEXT) for each in value]
    if not isinstance(value, list) or len(value) < 2:
        raise RunError(f"{where} must be a list of at least 2 texts; got {_shown(value)}")
    texts = [_text(each, where) for each in value]
    if not isinstance(labels, list) or len(labels) not in (0, len(texts)):
        raise RunError(f"{where} must have one label for each of its {len(texts)} texts")
    return texts, [str(label) for label in labels]


def _place(answer: Any, texts: Sequence[str], labels: Sequence[str], where: str) -> int:
    """The place of the right choice, from 0: the answer is it, or its label, letter or text."""
    key, places = str(answer).strip(), set[int]()
    if isinstance(answer, int | str) and not isinstance(answer, bool):
        named = labels or string.ascii_uppercase[: len(texts)]
        places = {place for place, name in enumerate(named) if key in (name, name.lower())}
        if not (labels and places):  # what the file itself calls a choice has one meaning only
            places |= {place for place in range(len(texts)) if key == str(place)}
            if isinstance(answer, str):
                places |= {place for place, text in enumerate(texts) if key == text.strip()}
    if not places:
        raise RunError(
            f"{where} {_shown(answer)} is none of its {len(texts)} choices: give the number of the "
            "right one (from 0), its letter (from A) or its text"
        )
    right = {texts[place].strip() for place in places}
    if len(right) > 1:
        raise RunError(
            f"{where} {_shown(answer)} may mean {' or '.join(map(repr, sorted(right)))}: give the "
            "number of the right choice, from 0 and without quotation marks"
        )
    if [text.strip() for text in texts].count(right.pop()) > 1:
        raise RunError(f"{where} {_shown(answer)} is a choice that is there twice")
    return places.pop()


def _text(value: Any, where: str) -> str:
    """A text that is not blank; a number as it is written."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str):
        raise RunError(f"{where} must be a text; got {_shown(value)}")
    if not value.strip():
        raise RunError(f"{where} is a blank text")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise RunError(f"{where} holds half a character ({error.object[error.start]!r})") from error
    return value


def _shown(value: Any) -> str:
    """A value as JSON writes it, cut off where it is long."""
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:60]}..."
