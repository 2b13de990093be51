"""Files of text as people have them: rows under another name, ids written out, a card beside."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest
from healing_runs import save_tokenizer
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from widthwise.errors import RunError
from widthwise.prune.calibration import read_text
from widthwise.prune.calibration.text_files import _file

ROWS = [
    {
        "messages": [
            {"role": "user", "content": f"What of {i}?"},
            {"role": "assistant", "content": a},
        ]
    }
    for i, a in enumerate(["It ends.", "It goes on.", "It begins again."])
]
TEXTS = [f"What of {i}?\n\n{row['messages'][1]['content']}" for i, row in enumerate(ROWS)]


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("tokenizer")
    save_tokenizer(folder)
    return AutoTokenizer.from_pretrained(folder)


def lines(rows: Sequence[Any]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


@pytest.mark.parametrize("name", ["rows.txt", "rows", "rows.txt.gz", "rows.md"])
def test_rows_are_read_as_rows_whatever_the_name_of_the_file(name: str, tmp_path: Path) -> None:
    """As text, names of columns and of roles would be calibrated on, and no turn would be one."""
    path, text = tmp_path / name, lines(ROWS).encode()
    path.write_bytes(gzip.compress(text) if name.endswith(".gz") else text)
    assert list(_file(path)) == TEXTS


def test_rows_that_are_longer_than_what_is_looked_at_first_are_rows(tmp_path: Path) -> None:
    path = tmp_path / "rows.txt"
    path.write_text(lines([{"text": "so long a text " * 3000}] * 3))
    assert list(_file(path)) == ["so long a text " * 3000] * 3


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.json", "rows.txt"])
def test_a_line_that_is_half_written_is_named(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(lines(ROWS)[:-9])
    with pytest.raises(RunError, match=r"cannot be read as text: line 3 is no JSON \(Untermin"):
        list(_file(tmp_path / name))


@pytest.mark.parametrize("text", ['{"a": 1}\nis an object.', "[1]\n[2]\nfoot notes", "{no object}"])
def test_running_text_may_quote_json(text: str, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(text)
    assert list(_file(tmp_path / "a.txt")) == [text]


IDS = [7 * i % 3001 for i in range(20_000)]
WRITTEN_OUT: dict[str, Callable[[], str]] = {
    "ids.txt": lambda: " ".join(map(str, IDS)),
    "ids.jsonl": lambda: lines([{"text": " ".join(map(str, IDS[:500]))}] * 30),
    "lines.txt": lambda: "\n".join(str(IDS[i : i + 50]) for i in range(0, len(IDS), 50)),
}


@pytest.mark.parametrize("name", WRITTEN_OUT)
def test_ids_that_are_written_out_are_no_text(name: str, tokenizer: Any, tmp_path: Path) -> None:
    """A tokenizer with a word for each number of three digits finds a thousand different ones."""
    (tmp_path / name).write_text(WRITTEN_OUT[name]())
    numbers = [str(i) for i in range(1000)]
    made = Tokenizer(models.WordLevel({word: i for i, word in enumerate(numbers)}, unk_token="0"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    for each in (tokenizer, PreTrainedTokenizerFast(tokenizer_object=made)):
        with pytest.raises(RunError, match="holds numbers, such as token ids"):
            read_text(tmp_path / name, each, 2048)


def test_a_text_with_many_numbers_is_a_text(tokenizer: Any, tmp_path: Path) -> None:
    path = tmp_path / "a.md"
    path.write_text("\n".join(f"| year {i} | {i * 97} | {i * i} |" for i in range(1000)))
    assert read_text(path, tokenizer, 2048).tokens == 2048


def test_shards_of_a_stream_are_named(tmp_path: Path) -> None:
    shard = tmp_path / "shard.00000.mds"
    shard.write_bytes((3).to_bytes(4, "little") + b"words of it " * 99)
    (tmp_path / "index.json").write_text('{"shards": [], "version": 2}')
    for source in (shard, tmp_path):
        with pytest.raises(RunError, match=r"00000\.mds: .* it is a shard of MosaicML's streaming"):
            list(_file(shard) if source == shard else read_text(source, None).fit)


def test_a_folder_of_nothing_but_packed_ids_is_called_so(tmp_path: Path) -> None:
    (tmp_path / "corpus.bin").write_bytes(bytes(range(256)) * 99)
    (tmp_path / "corpus.idx").write_bytes(b"MMIDIDX\0\0")
    with pytest.raises(RunError, match=r"corpus\.bin: .* binary data; token ids"):
        read_text(tmp_path, None)


def test_the_card_of_a_data_set_is_none_of_its_texts(tokenizer: Any, tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("---\nlicense: mit\n---\n" + "CARD " * 2000)
    for i in range(2):
        (tmp_path / f"{i}.jsonl").write_text(
            lines([{"text": "words of a text, 1 to 9; (so) "}] * 99)
        )
    read = read_text(tmp_path, tokenizer, 4096)
    text = tokenizer.decode(read.fit[0].input_ids.flatten().tolist())
    assert "words of" in text
    assert "CARD" not in text
    for i in range(2):
        (tmp_path / f"{i}.jsonl").unlink()
    assert "CARD" in tokenizer.decode(read_text(tmp_path, tokenizer).fit[0].input_ids[0].tolist())


def test_what_is_hidden_is_none_of_the_texts(tokenizer: Any, tmp_path: Path) -> None:
    """Folders of git and of the hub's downloads hold files of text as well."""
    for name in (".git", ".cache/huggingface"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "a.txt").write_text("HIDDEN " * 2000)
        (tmp_path / name / "b.bin").write_bytes(bytes(99))
    (tmp_path / "text.txt").write_text("words of a text, 1 to 9; (so) " * 300)
    read = read_text(tmp_path, tokenizer, 4096)
    text = [tokenizer.decode(batch.input_ids.flatten()) for batch in (*read.fit, *read.held_out)]
    assert "HIDDEN" not in "".join(text)


def test_another_encoding_than_utf_8_is_called_so(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes("Der König über allem\n".encode("latin-1") * 99)
    with pytest.raises(RunError, match=r"it is not UTF-8 \(byte 0xf6\); save it as UTF-8"):
        list(_file(path))


def test_parts_of_a_message_without_text_are_passed_over_in_parquet(tmp_path: Path) -> None:
    parts = [{"type": "text", "text": "What of 0?"}, {"type": "image", "path": "a.png"}]
    rows = [{"messages": [{"role": "user", "content": parts}]}]
    schema = pyarrow.schema(
        {
            "messages": pyarrow.list_(
                pyarrow.struct(
                    {
                        "role": pyarrow.string(),
                        "content": pyarrow.list_(
                            pyarrow.struct(
                                dict.fromkeys(("type", "text", "path"), pyarrow.string())
                            )
                        ),
                    }
                )
            )
        }
    )
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows, schema), tmp_path / "a.parquet")
    assert list(_file(tmp_path / "a.parquet")) == ["What of 0?"]
