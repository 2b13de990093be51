"""Rows of a table as text: every turn is used, ids never are, and what is unclear is refused."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from healing_runs import save_tokenizer
from transformers import AutoTokenizer

from widthwise.chat import ChatTemplate
from widthwise.cli import main
from widthwise.errors import RunError
from widthwise.experiments.lr_transfer import read_rows
from widthwise.experiments.word2vec import load_corpus
from widthwise.prune.calibration import read_text
from widthwise.prune.calibration.text_files import _file
from widthwise.prune.calibration.text_rows import RowReader

HASH = "cd18fc9fb6494384932af3bda6fe8102c0fa7a26774e22af3993a69e2ca79565"
ASK, ANSWER = "Where does the river end?", "It ends in the northern sea."
USER, ASSISTANT = {"role": "user", "content": ASK}, {"role": "assistant", "content": ANSWER}
SYSTEM = {"role": "system", "content": "Be brief and kind."}
JOINED = f"{ASK}\n\n{ANSWER}"
TEMPLATE = (
    "{% for m in messages %}"
    "{% if m.role == 'system' %}{{ raise_exception('no system') }}{% endif %}"
    "{% if m.role != 'tool' %}<{{ m.role }}>{{ m.content }}</{{ m.role }}>{% endif %}"
    "{% endfor %}"
)
SHARED = [{"from": "human", "value": ASK}, {"from": "gpt", "value": ANSWER}]  # ShareGPT's keys
PARTS = [{"type": "image"}, {"type": "text", "text": ASK}]


def one(row: Any) -> str:
    (text,) = RowReader().texts([row], "rows.jsonl")
    return text


def note(row: Any, template: ChatTemplate | None = None) -> str:
    reader = RowReader(template)
    list(reader.texts([row], "rows.jsonl"))
    return "; ".join(reader.notes)


@pytest.fixture
def template(tmp_path: Path) -> ChatTemplate:
    save_tokenizer(tmp_path / "tokenizer")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "tokenizer")
    tokenizer.chat_template = TEMPLATE
    return ChatTemplate(tokenizer)


@pytest.mark.parametrize(
    "row",
    [
        {"prompt": ASK, "prompt_id": HASH, "messages": [USER, ASSISTANT]},
        {"id": HASH, "conversations": SHARED},
        {"conversation": [{"human": ASK, "assistant": ANSWER}], "category": "rivers of the north"},
        {"dialog": [ASK, ANSWER], "act": [1, 2]},
        {"data": [ASK, ANSWER], "id": "0"},
        {"thread": [USER, ASSISTANT], "uuid": HASH},
        {"messages": json.dumps([USER, ASSISTANT]), "source": "a forum about rivers"},
        [USER, ASSISTANT],
        {"prompt": ASK, "completion": ANSWER},
        {"prompt": [USER], "completion": [ASSISTANT]},
        {"prompt": ASK, "chosen": [USER, ASSISTANT], "rejected": [USER, USER]},
        {"prompt": ASK, "chosen": [ASSISTANT], "rejected": [USER]},
        {"prompt": ASK, "chosen": ANSWER, "rejected": "I do not know that at all."},
        {"instruction": ASK, "input": "", "output": ANSWER},
        {"question": ASK, "answer": ANSWER, "id": HASH},
        {"problem": ASK, "solution": ANSWER, "source": "a book of rivers"},
        {"messages": [{"role": "user", "content": [{"type": "text", "text": ASK}]}, ASSISTANT]},
        {"messages": [{"role": "user", "content": PARTS}, ASSISTANT]},
        {"messages": [USER, {"role": "assistant", "content": {"parts": [ANSWER]}}]},
        {"contents": [{"role": "user", "parts": [{"text": ASK}]}, ASSISTANT]},
        {"inputs": ASK, "targets": ANSWER, "language_code": "eng"},
        {"conversations": SHARED[:1], "chosen": SHARED[1], "rejected": SHARED[0]},
        {"chosen": JOINED, "rejected": "A whole other conversation."},
    ],
)
def test_conversation_is_read_turn_by_turn(row: Any) -> None:
    assert one(row) == JOINED


def test_all_parts_of_a_question_are_kept() -> None:
    row = {"instruction": "Sum up.", "input": ASK, "output": ANSWER, "text_id": HASH}
    assert one(row) == f"Sum up.\n\n{ASK}\n\n{ANSWER}"
    row = {"system_prompt": "Be brief.", "question": ASK, "response": ANSWER}
    assert one(row) == f"Be brief.\n\n{JOINED}"
    row = {"system": "Be brief.", "conversations": [USER, ASSISTANT]}
    assert one(row) == f"Be brief.\n\n{JOINED}"
    row = {"context": "A long river.", "instruction": ASK, "response": ANSWER, "category": "qa"}
    assert one(row) == f"{ASK}\n\nA long river.\n\n{ANSWER}"


def test_earlier_turns_and_thoughts_are_kept() -> None:
    row = {"instruction": ASK, "input": "", "output": ANSWER, "history": [["A river?", "Elbe."]]}
    assert one(row) == f"A river?\n\nElbe.\n\n{JOINED}"
    assert one({**row, "history": []}) == JOINED
    thought = {**ASSISTANT, "reasoning_content": "It is long."}
    assert one({"messages": [USER, thought]}) == f"{ASK}\n\nIt is long.\n{ANSWER}"


def test_calls_of_tools_are_kept() -> None:
    call = {"function": {"name": "look_up", "arguments": {"river": "Elbe"}}}
    turns = [USER, {"role": "assistant", "content": None, "tool_calls": [call]}, ASSISTANT]
    text = one({"messages": turns})
    assert "look_up" in text
    assert "Elbe" in text
    assert text.startswith(ASK)
    assert text.endswith(ANSWER)


@pytest.mark.parametrize(
    ("row", "text"),
    [
        ({"text": ANSWER, "id": HASH, "url": "a place on the net"}, ANSWER),
        ({"title": "The river of the north", "content": ANSWER}, ANSWER),
        ({"text": ANSWER, "comments": [{"author": "Ann", "text": "so true"}]}, ANSWER),
        ({"question": ASK, "n": 1, "prompt_id": HASH}, ASK),
        ({"label": "1", "sentence": ANSWER}, ANSWER),
        ({"id": "7", "satz": "河流在北海结束它的旅程"}, "河流在北海结束它的旅程"),
        ({"source": "a forum about rivers of the north", "sentence": ANSWER}, ANSWER),
        ({"data-source": "a forum about rivers of the north", "sentence": ANSWER}, ANSWER),
        ({"license": "free for all who live there", "story_line": ANSWER}, ANSWER),
        (ANSWER, ANSWER),
    ],
)
def test_column_of_prose_is_taken_and_ids_are_not(row: Any, text: str) -> None:
    assert one(row) == text


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (
            {"premise": ASK, "hypothesis": ANSWER},
            "which column is its text, of premise, hypothesis",
        ),
        ({"id": HASH, "label": "river"}, "no column of it is text, of id, label"),
        ({"prompt_id": HASH}, "no column of it is text, of prompt_id"),
        (
            {"input_ids": list(range(40)), "labels": [1] * 40},
            "in column input_ids it holds numbers",
        ),
        (list(range(40)), "holds numbers"),
        ({"tokens": [[float(i) for i in range(40)]]}, "in column tokens it holds numbers"),
        (
            {"messages": [USER, {"who": "?"}], "id": HASH},
            "a conversation in its column messages cannot be read; each turn must have role",
        ),
    ],
)
def test_rows_without_a_clear_text_are_refused_by_their_columns(row: Any, message: str) -> None:
    with pytest.raises(RunError, match=message):
        one(row)


def test_turns_go_through_the_chat_template(template: ChatTemplate) -> None:
    reader = RowReader(template)
    rows = [{"messages": [USER, ASSISTANT]}, {"messages": [SYSTEM, USER, ASSISTANT]}]
    first, second = reader.texts(rows, "rows.jsonl")
    assert first == f"<user>{ASK}</user><assistant>{ANSWER}</assistant>"
    # this template refuses a system turn: what it says goes to the first of the user's
    assert second == first.replace("<user>", f"<user>{SYSTEM['content']}\n\n")
    assert list(reader.notes) == ["column messages through the chat template"]


def test_turn_that_the_template_leaves_out_is_not_lost(template: ChatTemplate) -> None:
    tool = {"role": "tool", "content": "The sea lies at 54 degrees."}
    reader = RowReader(template)
    (text,) = reader.texts([{"messages": [USER, tool, ASSISTANT]}], "rows.jsonl")
    assert text == f"{ASK}\n\n{tool['content']}\n\n{ANSWER}"
    assert list(reader.notes) == ["column messages, turns joined"]


CALL = {"type": "function", "function": {"name": "look_up", "arguments": '{"river": "Elbe"}'}}


def test_calls_that_the_template_leaves_out_are_not_lost(template: ChatTemplate) -> None:
    """Without a word of its own, the turn of a call would be an empty one."""
    reader = RowReader(template)
    turns = [USER, {"role": "assistant", "tool_calls": [CALL]}, ASSISTANT]
    (text,) = reader.texts([{"messages": turns}], "rows.jsonl")
    assert "look_up" in text
    assert "Elbe" in text
    assert list(reader.notes) == ["column messages, turns joined"]


def test_uses_of_tools_among_the_parts_of_a_message_are_kept() -> None:
    use = {"type": "tool_use", "id": "t", "name": "look_up", "input": {"river": "Elbe"}}
    result = {"type": "tool_result", "tool_use_id": "t", "content": [{"type": "text", "text": "Y"}]}
    said = {"role": "assistant", "content": [{"type": "text", "text": "I look."}, use]}
    text = one({"messages": [USER, said, {"role": "user", "content": [result]}]})
    assert text == f'{ASK}\n\nI look.\n{{"name": "look_up", "input": {{"river": "Elbe"}}}}\n\nY'


@pytest.mark.parametrize(
    ("full", "empty"),
    [
        ({"messages": [USER, ASSISTANT], "id": HASH}, {"messages": [], "id": HASH}),
        ({"messages": [USER, ASSISTANT], "id": HASH}, {"messages": None, "id": HASH}),
        ({"text": ANSWER, "title": "the end of it"}, {"text": None, "title": "the end of it"}),
        ({"content": ANSWER, "path": "a b c"}, {"content": "", "path": "a b c"}),
    ],
)
def test_a_row_without_the_text_that_others_have_is_passed_over(full: Any, empty: Any) -> None:
    for rows in ([full, empty, full], [empty, full, full]):
        assert len(list(RowReader().texts(rows, "rows.jsonl"))) == 2


def test_a_turn_that_cannot_be_read_is_called_so() -> None:
    rows = [{"messages": [USER, ASSISTANT]}, {"messages": [{"role": "user"}], "id": "7"}]
    with pytest.raises(RunError, match="a conversation in its column messages cannot be read"):
        list(RowReader().texts(rows, "rows.jsonl"))


def test_reader_names_the_columns_that_it_used() -> None:
    assert note({"text": ANSWER, "id": HASH}) == "column text"
    assert note({"prompt": ASK, "response": ANSWER}) == "columns prompt and response, turns joined"


def _parquet(path: Path, rows: list[Any]) -> None:
    import pyarrow
    import pyarrow.parquet

    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path)


def _lines(rows: list[Any]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("a.jsonl", lambda path, rows: path.write_text(_lines(rows))),
        ("a.ndjson", lambda path, rows: path.write_text(_lines(rows))),
        ("a.jsonl.gz", lambda path, rows: path.write_bytes(gzip.compress(_lines(rows).encode()))),
        ("a.json", lambda path, rows: path.write_text(json.dumps(rows))),
        ("b.json", lambda path, rows: path.write_text(_lines(rows))),
        ("c.json", lambda path, rows: path.write_text(json.dumps({"version": 1, "data": rows}))),
        ("a.parquet", _parquet),
    ],
)
def test_every_form_of_a_table_gives_the_same_texts(
    tmp_path: Path, name: str, write: Callable[[Path, list[Any]], object]
) -> None:
    rows = [{"id": HASH, "messages": [USER, ASSISTANT]}] * 3
    write(tmp_path / name, rows)
    assert list(_file(tmp_path / name)) == [JOINED] * 3


IDS = np.arange(300, 4000, dtype=np.uint16)


def _zip(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("a.txt", "b.txt"):
            archive.writestr(name, "words of a text " * 99)


def _tar(path: Path) -> None:
    (path.parent / "words.md").write_text("words of a text")
    with tarfile.open(path, "w") as archive:
        archive.add(path.parent / "words.md", "words.md")
    (path.parent / "words.md").unlink()


PACKED: dict[str, tuple[Callable[[Path], object], str]] = {
    "a.bin": (lambda path: IDS.tofile(path), "binary data; token ids of some tokenizer"),
    "a.mmap": (lambda path: IDS.astype(np.int32).tofile(path), "binary data; token ids"),
    "a.npy": (lambda path: np.save(path, IDS), "a NumPy array; token ids"),
    "a.npz": (lambda path: np.savez(path, ids=IDS), "a NumPy array; token ids"),
    "a.pt": (
        lambda path: torch.save(torch.arange(9), path),
        r"a zip archive of several files \(as .pt",
    ),
    "a.zip": (_zip, "a zip archive"),
    "a.tar": (_tar, "a tar archive"),
    "a.zst": (
        lambda path: path.write_bytes(b"\x28\xb5\x2f\xfd words"),
        "packed by Zstandard; unpack it with zstd",
    ),
    "a.arrow": (lambda path: path.write_bytes(b"ARROW1\0\0 words"), "an Arrow table"),
    "a.csv": (lambda path: path.write_text("id,text\n7,words of it\n" * 99), r"a table \(CSV\)"),
}


@pytest.mark.parametrize(("name", "pack"), [("a.xz", lzma.compress), ("a.bz2", bz2.compress)])
def test_packed_text_is_read_and_in_a_folder_never_passed_over_without_a_word(
    name: str, pack: Callable[[bytes], bytes], tmp_path: Path
) -> None:
    text = "words of a text, again and again\n" * 99
    (tmp_path / name).write_bytes(pack(text.encode()))
    (tmp_path / "a.txt").write_text(text)
    assert list(_file(tmp_path / name)) == list(_file(tmp_path / "a.txt"))
    with pytest.raises(RunError, match=rf"{name}: .* move it out of the folder"):
        read_text(tmp_path, None)


@pytest.mark.parametrize("name", PACKED)
def test_packed_corpus_is_refused_by_what_it_is(tmp_path: Path, name: str) -> None:
    """By every reader of text, under its name and under one that promises text."""
    write, message = PACKED[name]
    path = tmp_path / name
    write(path)
    readers: list[Callable[[Path], object]] = [
        lambda path: list(_file(path)),
        lambda path: read_rows(path, tokens=16, most=64),
        lambda path: load_corpus(path, min_count=1),
    ]
    for read in readers:
        with pytest.raises(RunError, match=rf"cannot be read as text: it is {message}"):
            read(path)
    (tmp_path / "words.txt").write_text("words of a text " * 999)
    with pytest.raises(RunError, match=rf"{name}: cannot be read as text: it is {message}"):
        read_text(tmp_path, None)  # a folder with it: nothing is passed over
    if name != "a.csv":
        path.rename(tmp_path / "named.txt")
        with pytest.raises(RunError, match=rf"named\.txt: .* it is {message}"):
            list(_file(tmp_path / "named.txt"))


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.txt", "rows.txt.gz"])
def test_rows_are_no_running_text_for_readers_of_words_and_bytes(tmp_path: Path, name: str) -> None:
    """Names of columns and letters of ids would count as words."""
    path, text = tmp_path / name, _lines([{"id": HASH, "text": ANSWER}] * 99).encode()
    path.write_bytes(gzip.compress(text) if name.endswith(".gz") else text)
    for read in (lambda: load_corpus(path), lambda: read_rows(path, tokens=16, most=64)):
        with pytest.raises(RunError, match=r"it is a table \(JSON\); its names and ids"):
            read()


def test_plain_text_passes_whatever_its_letters(tmp_path: Path) -> None:
    path = tmp_path / "text.txt"
    path.write_bytes("[Étude] für 北海\tund \x1b[1mmehr\n".encode() * 999)
    assert "北海" in next(_file(path))
    assert load_corpus(path).raw
    path.write_bytes("Étude für Anfänger\n".encode("latin-1") * 999)
    assert load_corpus(path).words[:2] == ("tude", "f")  # other bytes than letters part words


@pytest.mark.usefixtures("short_blocks")
def test_commands_state_the_columns_that_they_used(tiny_checkpoint: Path, tmp_path: Path) -> None:
    rows = [
        {"prompt_id": HASH, "messages": [{**USER, "content": f"{ASK} {i}"}, ASSISTANT]}
        for i in range(300)
    ]
    (tmp_path / "chat.jsonl").write_text(_lines(rows))
    words = ["prune", str(tiny_checkpoint), *"--remove 30% --criterion activation --refit".split()]
    words += ["--calibration", str(tmp_path / "chat.jsonl"), "--tokens", "2048"]
    result = CliRunner().invoke(main, [*words, "-o", str(tmp_path / "out")])
    assert result.exit_code == 0, result.output
    read = [line for line in result.stderr.splitlines() if line.startswith("Text of")]
    assert len(read) == 1
    assert "chat.jsonl (column messages" in read[0]
    assert "(column messages" in (tmp_path / "out" / "README.md").read_text()
