"""Rows of a table as text: conversations turn by turn, questions with answers, or a column."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice
from typing import Any

from ...chat import CLOSE, ChatTemplate
from ...errors import RunError

Turn = dict[str, Any]

_LOOK = 64  # rows by which a column without a known name is chosen
# Columns of conversations; the first that a row has is taken.
CONVERSATIONS = ("messages", "conversations", "conversation", "dialogue", "dialog", "turns", "chat")
_ENDINGS = ("completion", "chosen")  # conversations, or their ends after the column prompt
_TEXT = ("content", "raw_content", "document", "article", "passage", "body", "code", "story")
_ASKED = tuple("prompt instruction question query problem user human input inputs".split())
_ANSWERS = tuple(
    "completion response output answer chosen solution assistant targets target".split()
)
_BESIDE = ("input", "context")  # of the question, below it
_SYSTEM = ("system", "system_prompt")
_ROLES = {
    "human": "user",
    "prompter": "user",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "bot": "assistant",
    "model": "assistant",
    "ai": "assistant",
    "function_call": "assistant",
    "observation": "tool",
    "function": "tool",
}
_ROLE_KEYS = ("role", "from", "speaker", "author")
_SAID_KEYS = ("content", "value", "text", "message", "utterance", "parts")
_THOUGHT_KEYS = ("reasoning_content", "reasoning", "thinking")  # in addition to what a turn says
_LEAST_WORDS = 3  # words of a mean value of a column, below which it is names, ids or labels
_LEAST_IDS = 8  # whole numbers in a row that make a column one of token ids
NUMBERS = "holds numbers, such as token ids of some tokenizer; give the text that they stand for"
_ABOUT = ("id", "uuid", "hash", "sha", "sha1", "sha256", "md5", "url", "source", "date", "license")


class RowReader:
    """Makes texts of rows, and notes how.

    Args:
        template: Template by which conversations are written; None joins turns with blank lines.

    Attributes:
        notes: How rows were read so far: `"column text"`.
        left_out: Files that were opened, and not read, by the reason.
    """

    def __init__(self, template: ChatTemplate | None = None) -> None:
        self.notes: dict[str, None] = {}
        self.left_out: Counter[str] = Counter()
        self._template = template

    def texts(self, rows: Iterable[Any], where: str) -> Iterator[str]:
        """The text of each row that has some.

        Raises:
            RunError: It is not clear which column is the text, or there is none.
        """
        coming = iter(rows)
        first = list(islice(coming, _LOOK))
        for row in chain(first, coming):
            text = self._text(row, first, where)
            if text.strip():
                yield text

    def _text(self, row: Any, first: Sequence[Any], where: str) -> str:
        if isinstance(row, str):
            return row
        if isinstance(row, int | float) or _are_ids(row):
            raise RunError(f"{where}: {NUMBERS}")
        if isinstance(row, list):
            row = {"messages": row}
        if not isinstance(row, Mapping) or not any(row.values()):
            return ""
        readable = {str(name): made for name, value in row.items() if (made := _turns(name, value))}
        result = _conversation(row, readable)
        if result is None and isinstance(row.get("text"), str):
            return self._noted(str(row["text"]), "column text")
        if result is None and len(readable) == 1:  # under a name of its own
            result = tuple(readable), next(iter(readable.values()))
        result = result or _pair(row)
        if result is not None:
            columns, turns = result
            return self._written(columns, turns)
        preferred = ("chosen",) if "rejected" in row else ()  # both texts are whole conversations
        known = [n for n in (*preferred, *_TEXT) if isinstance(row.get(n), str)]
        if known:
            return self._noted(str(row[known[0]]), f"column {known[0]}")
        if _is_empty(row, first):
            return ""
        column = _only_prose(first, row, where)
        return self._noted(str(row.get(column) or ""), f"column {column}")

    def _noted(self, text: str, note: str) -> str:
        self.notes[note] = None
        return text

    def _written(self, columns: Sequence[str], turns: Sequence[Turn]) -> str:
        """A conversation by the template, or joined where it refuses or leaves out a turn."""
        names = f"column{'s' * (len(columns) > 1)} {' and '.join(columns)}"
        text = None if self._template is None else _by_template(self._template, turns)
        if text is not None:
            return self._noted(text, f"{names} through the chat template")
        return self._noted("\n\n".join(map(_turn_text, turns)), f"{names}, turns joined")


def is_conversation(value: Any) -> bool:
    """Whether a list is the turns of one conversation, and not rows of a table."""
    if not isinstance(value, list) or not value or not all(isinstance(o, Mapping) for o in value):
        return False
    roles = [next((turn[key] for key in _ROLE_KEYS[:2] if key in turn), None) for turn in value]
    known = {*_ROLES, *_ROLES.values(), "system", "developer"}
    return all(isinstance(role, str) and role.lower() in known for role in roles)


def _conversation(
    row: Mapping[str, Any], conversations: Mapping[str, list[Turn]]
) -> tuple[tuple[str, ...], list[Turn]] | None:
    """The columns of a row that are a conversation by their names, and its turns."""
    name = next((name for name in (*CONVERSATIONS, *_ENDINGS) if name in conversations), None)
    if name is None:
        return None
    turns = [*conversations[name]]
    if name not in _ENDINGS:  # the answer that was preferred may be one turn beside it
        turns += _turn(row.get("chosen")) or []
    system = next((row[n] for n in _SYSTEM if isinstance(row.get(n), str)), "")
    if name in _ENDINGS and (asked := conversations.get("prompt") or _asked(row)):
        if [turn["content"] for turn in turns[: len(asked)]] != [turn["content"] for turn in asked]:
            return ("prompt", name), asked + turns
    if system.strip() and turns[0]["role"] != "system":
        turns = [{"role": "system", "content": system}, *turns]
    return (name,), turns


def _asked(row: Mapping[str, Any]) -> list[Turn]:
    prompt = row.get("prompt")
    return [{"role": "user", "content": prompt}] if isinstance(prompt, str) and prompt else []


def _turns(name: str, value: Any) -> list[Turn] | None:
    """The turns of a conversation; None of anything else."""
    if isinstance(value, str) and value.lstrip().startswith("[") and name in CONVERSATIONS:
        try:
            value = json.loads(value)
        except ValueError:
            return None
    if not isinstance(value, list) or not value:
        return None
    if all(isinstance(item, str) for item in value) and name in (*CONVERSATIONS, "data"):
        roles = ("user", "assistant")
        return [{"role": roles[i % 2], "content": text} for i, text in enumerate(value)]
    turns: list[Turn] = []
    for item in value:
        made = _turn(item)
        if made is None:
            return None
        turns += made
    return turns


def _turn(message: Any) -> list[Turn] | None:
    """A message as transformers' templates take it; several of a question with its answer."""
    if not isinstance(message, Mapping):
        return None
    role = next((message[key] for key in _ROLE_KEYS if isinstance(message.get(key), str)), None)
    key = next((key for key in _SAID_KEYS if key in message), None)
    if role is None:
        pair = _pair(message)
        return None if pair is None else pair[1]
    if key is None and not message.get("tool_calls"):
        return None
    content = "" if key is None else _content(message[key])
    if content is None:
        return None
    others = {k: v for k, v in message.items() if k not in (*_ROLE_KEYS, key) and v is not None}
    return [{**others, "role": _ROLES.get(role.lower(), role.lower()), "content": content}]


def _content(value: Any) -> str | None:
    """What a message says: its text, or the text among its parts."""
    if value is None or isinstance(value, str):
        return value or ""
    if isinstance(value, Mapping) and isinstance(value.get("text"), str):
        return str(value["text"])
    if isinstance(value, Mapping) and isinstance(value.get("parts"), list):
        return _content(value["parts"])
    if isinstance(value, Mapping) and value.get("type") == "tool_use":
        return json.dumps({"name": value.get("name"), "input": value.get("input")})
    if isinstance(value, Mapping) and value.get("type") == "tool_result":
        return _content(value.get("content"))
    if not isinstance(value, list):
        return None
    parts = [part if isinstance(part, str) else _content(part) for part in value]
    # Parquet gives every part all keys: an image has a text that is None.
    is_other = [isinstance(part, Mapping) and part.get("text") is None for part in value]
    if any(part is None and not other for part, other in zip(parts, is_other, strict=True)):
        return None
    return "\n".join(part for part in parts if part)


def _pair(row: Mapping[str, Any]) -> tuple[tuple[str, ...], list[Turn]] | None:
    """The columns of a question and its answer, and both as turns."""
    texts = [name for name, value in row.items() if isinstance(value, str)]
    asked = [name for name in _ASKED if name in texts]
    answers = [name for name in _ANSWERS if name in texts]
    context = [name for name in _BESIDE if name in texts and name not in asked[:1]]
    if len([name for name in asked if name not in context]) != 1 or len(answers) != 1:
        return None
    columns = (asked[0], *(name for name in context if row[name].strip()), answers[0])
    turns = [
        {"role": "user", "content": "\n\n".join(row[name] for name in columns[:-1])},
        {"role": "assistant", "content": row[answers[0]]},
    ]
    earlier = _history(row.get("history"))
    columns, turns = (("history",) * bool(earlier) + columns), earlier + turns
    system = next((name for name in _SYSTEM if name in texts and row[name].strip()), None)
    if system is not None:
        columns = (system, *columns)
        turns.insert(0, {"role": "system", "content": row[system]})
    return columns, turns


def _history(value: Any) -> list[Turn]:
    """Earlier turns of a question with its answer, stored as pairs of both."""
    pairs = value if isinstance(value, list) else []
    if not all(isinstance(p, list) and [type(s) for s in p] == [str, str] for p in pairs):
        return []
    return [
        {"role": role, "content": text}
        for pair in pairs
        for role, text in zip(("user", "assistant"), pair, strict=True)
    ]


def _by_template(template: ChatTemplate, turns: Sequence[Turn]) -> str | None:
    """The conversation as the template writes it; None where it refuses or leaves out a turn."""
    from jinja2.exceptions import TemplateError

    folded = [dict(turn) for turn in turns]
    if folded[0]["role"] == "system" and len(folded) > 1:  # some templates refuse such a turn
        folded[1]["content"] = f"{folded[0]['content']}\n\n{folded[1]['content']}"
        folded = folded[1:]
    for messages in (turns, folded):
        try:
            text = template.write(messages)
        except (TemplateError, TypeError, ValueError, KeyError):
            continue
        said = [turn["content"].rpartition(CLOSE)[2].strip() for turn in turns]
        if all(each in text for each in (*said, *_called(turns))):
            return text
    return None


def _called(turns: Sequence[Turn]) -> Iterator[str]:
    """Names of the functions that turns call."""
    for call in (call for turn in turns for call in turn.get("tool_calls") or ()):
        function = call.get("function", call) if isinstance(call, Mapping) else None
        if isinstance(function, Mapping) and isinstance(function.get("name"), str):
            yield function["name"]


def _turn_text(turn: Turn) -> str:
    """What a turn says, what was thought before and its calls of tools included."""
    calls = turn.get("tool_calls")
    thoughts = [turn[key] for key in _THOUGHT_KEYS if isinstance(turn.get(key), str)]
    return "\n".join(filter(None, [*thoughts, turn["content"], json.dumps(calls) if calls else ""]))


def _is_empty(row: Mapping[str, Any], first: Sequence[Any]) -> bool:
    """Whether a row has nothing in the column that is the text of others."""
    empty = [name for name in (*CONVERSATIONS, "text", *_TEXT) if name in row and not row[name]]
    return any(isinstance(other, Mapping) and other.get(name) for other in first for name in empty)


def _only_prose(first: Sequence[Any], row: Mapping[str, Any], where: str) -> str:
    """The one column that is prose in the first rows.

    Raises:
        RunError: None is, or several are.
    """
    rows = [item for item in first if isinstance(item, Mapping)] or [row]
    names = list(dict.fromkeys(chain.from_iterable(rows)))
    prose = [name for name in names if _is_prose(str(name), [item.get(name) for item in rows])]
    if len(prose) == 1 and prose[0] in row:
        return str(prose[0])
    ids = [name for name, value in row.items() if _are_ids(value)]
    broken = [name for name in CONVERSATIONS if isinstance(row.get(name), list) and row[name]]
    if broken and not prose:
        raise RunError(
            f"{where}: a conversation in its column {broken[0]} cannot be read; each turn must "
            "have role and content, or from and value"
        )
    if ids and not prose:
        raise RunError(f"{where}: in column {ids[0]} it {NUMBERS}")
    what = "no column of it is text" if not prose else "it is not clear which column is its text"
    raise RunError(
        f"{where}: {what}, of {', '.join(map(str, prose or names))}; call the right column text, "
        "or write conversations as messages"
    )


def _is_prose(name: str, values: Sequence[Any]) -> bool:
    """Whether a column holds running text, and neither ids nor names nor labels."""
    last = name.lower().replace("-", "_").rpartition("_")[2]
    texts = [value for value in values if isinstance(value, str) and value.strip()]
    if last in _ABOUT or not texts:
        return False
    words = sum(len(text.split()) for text in texts) / len(texts)
    letters = "".join(texts)
    foreign = sum(letter > "\u2e7f" for letter in letters) / len(letters)  # without blanks
    return words >= _LEAST_WORDS or foreign > 0.5


def _are_ids(value: Any) -> bool:
    if isinstance(value, list) and value and all(isinstance(item, list) for item in value):
        return any(map(_are_ids, value))
    return (
        isinstance(value, list)
        and len(value) >= _LEAST_IDS
        and all(type(item) in (int, float) for item in value)
    )
