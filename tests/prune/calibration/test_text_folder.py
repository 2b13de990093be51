"""Folders of text: one split of a data set is read, and of code what someone wrote."""

from __future__ import annotations

import json
from pathlib import Path, PurePath
from typing import Any

import datasets
import pyarrow
import pyarrow.parquet
import pytest
from healing_runs import save_tokenizer
from transformers import AutoTokenizer

from widthwise.errors import RunError
from widthwise.notices import shown
from widthwise.prune.calibration import CalibrationText, read_text
from widthwise.prune.calibration.text_files import open_streams
from widthwise.prune.calibration.text_folder import folder_text, source_fault, split_of
from widthwise.prune.calibration.text_rows import RowReader

WORDS = "the river of a year is long, and the sea was cold when nobody came "


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("tokenizer")
    save_tokenizer(folder)
    return AutoTokenizer.from_pretrained(folder)


def words_of(text: CalibrationText, tokenizer: Any) -> str:
    rows = [row for batch in (*text.fit, *text.held_out) for row in batch.input_ids]
    return "".join(tokenizer.decode(row) for row in rows)


@pytest.fixture
def hub(tmp_path: Path) -> Path:
    """A data set as the hub stores it: Parquet in shards, a card, and a script beside it."""
    folder = tmp_path / "set"
    (folder / "data").mkdir(parents=True)
    for name, tag in (
        ("train-00000-of-00002", "TRAIN"),
        ("train-00001-of-00002", "MORE"),
        ("validation-00000-of-00001", "VALID"),
        ("test-00000-of-00001", "EXAM"),
    ):
        table = pyarrow.table({"text": [f"{tag} {WORDS}"] * 40})
        pyarrow.parquet.write_table(table, folder / "data" / f"{name}.parquet")
    (folder / "README.md").write_text("---\nlicense: mit\n---\nCARD")
    (folder / "dataset_infos.json").write_text('{"default": {"description": "of no use"}}')
    (folder / "set.py").write_text("import datasets\n")
    return folder


def test_of_several_splits_train_is_read_and_named(hub: Path, tokenizer: Any) -> None:
    told: list[str] = []
    with shown(told.append):
        text = read_text(hub, tokenizer, 4096)
    read = words_of(text, tokenizer)
    assert "TRAIN" in read
    assert "MORE" in read
    assert not [tag for tag in ("VALID", "EXAM", "CARD") if tag in read]
    (line,) = (each for each in told if each.startswith("Text of"))
    assert f"{hub} (split train, without 2 files of validation and test" in line
    assert "without 1 file of source code" in line
    assert "split train" in text.summaries[0].source  # so the record and the card name it


@pytest.mark.parametrize("name", ["validation", "val", "dev"])
def test_a_split_is_asked_for_by_its_name(name: str, hub: Path, tokenizer: Any) -> None:
    read = words_of(read_text(f"{hub}@{name}", tokenizer, 2048), tokenizer)
    assert "VALID" in read
    assert "TRAIN" not in read


def test_a_split_that_is_not_there_is_refused(hub: Path, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="no files of the split other; it holds train and valida"):
        read_text(f"{hub}@other", None)
    (tmp_path / "a.txt").write_text(WORDS)
    with pytest.raises(RunError, match=r"a\.txt: is one file, which has no splits; drop @test"):
        read_text(tmp_path / "a.txt@test", None)
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "a.txt").write_text(WORDS)
    with pytest.raises(RunError, match="no file has a split in its name"):
        read_text(f"{tmp_path / 'texts'}@test", None)


def test_a_path_with_the_sign_of_splits_is_a_path(tmp_path: Path, tokenizer: Any) -> None:
    (tmp_path / "set@test").mkdir()
    (tmp_path / "set@test" / "a.txt").write_text(WORDS * 99)
    assert read_text(tmp_path / "set@test", tokenizer, 2048).source == str(tmp_path / "set@test")


@pytest.mark.parametrize(
    ("path", "split"),
    [
        ("data/train-00000-of-00002.parquet", "train"),
        ("wiki.valid.tokens.txt", "validation"),
        ("test/train_of_thought.txt", "test"),
        ("eval.jsonl", "test"),
        ("latest/trainer.txt", None),
    ],
)
def test_names_say_the_split(path: str, split: str | None) -> None:
    assert split_of(PurePath(path)) == split


def test_one_split_alone_is_read_and_a_test_split_is_named(tmp_path: Path) -> None:
    (tmp_path / "test.txt").write_text(WORDS)
    assert folder_text(tmp_path).note == "split test"
    (tmp_path / "valid.txt").write_text(WORDS)
    found = folder_text(tmp_path)
    assert [file.name for file in found.files] == ["valid.txt"]
    assert found.note == "split validation, without 1 file of test"


def test_splits_of_the_hub_by_name(hub: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The hub's client, on the folder of a data set in place of its address."""
    load = datasets.load_dataset
    monkeypatch.setattr(
        datasets, "load_dataset", lambda _, *names, **how: load(str(hub / "data"), *names, **how)
    )
    for source, tag, note in (("some/set", "TRAIN", "train"), ("some/set@test", "EXAM", "test")):
        reader = RowReader()
        (stream,) = open_streams(source, reader)
        assert next(stream).startswith(tag)
        assert f"split {note}" in reader.notes
    (stream,) = open_streams("some/set@other", RowReader())
    with pytest.raises(RunError, match=r"some/set: .*other.*; name a split as in some/set@test"):
        next(stream)


def test_a_pointer_in_place_of_a_table_is_called_so(tmp_path: Path) -> None:
    path = tmp_path / "train.parquet"
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 9\n")
    with pytest.raises(RunError, match=r"train\.parquet: is a pointer of git-lfs to the text and"):
        read_text(tmp_path, None)


@pytest.fixture
def code(tmp_path: Path) -> Path:
    """A project: sources, and what lies beside them in every other one."""
    folder = tmp_path / "project"
    for name in ("src", "node_modules/left", "docs", "src/__pycache__", ".git"):
        (folder / name).mkdir(parents=True)
    for i in range(6):
        (folder / "src" / f"test_{i}.py").write_text(f"def f_{i}(x):\n    return x + {i}\n" * 200)
    (folder / "src" / "a.c").write_text('#include "a.h"\nint main(void) { return 0; }\n' * 99)
    (folder / "docs" / "guide.md").write_text("GUIDE of the project\n" * 9)
    (folder / "src" / "latin.py").write_bytes("# Stra\xdfe\n".encode("latin-1") * 99)
    (folder / "src" / "dense.js").write_text("a=1;" * 9000)
    (folder / "src" / "made.ts").write_bytes(bytes(range(32)) * 99)
    (folder / "src" / "lib.min.js").write_text("var MINIFIED\n" * 9)
    (folder / "src" / "logo.png").write_bytes(b"\x89PNG\0")
    (folder / "weights.npz").write_bytes(b"PK\x03\x04")
    (folder / "table.csv").write_text("a,b\n" * 9)
    (folder / "package.json").write_text(json.dumps({"name": "project"}))
    (folder / "package-lock.json").write_text(json.dumps(list(range(30_000))))
    (folder / "uv.lock").write_text("LOCKED\n")
    (folder / "node_modules" / "left" / "index.js").write_text("VENDORED()\n" * 9000)
    (folder / "src" / "__pycache__" / "a.pyc").write_bytes(bytes(9))
    (folder / ".git" / "HEAD").write_text("HIDDEN\n")
    return folder


def test_of_code_the_sources_are_read_and_the_rest_is_counted(code: Path, tokenizer: Any) -> None:
    told: list[str] = []
    with shown(told.append):
        text = read_text(code, tokenizer, 200 * 512)
    read = words_of(text, tokenizer)
    for words in ("def f_0", "def f_5", "#include", "GUIDE"):
        assert words in read
    for words in ("MINIFIED", "LOCKED", "VENDORED", "HIDDEN", "a=1;", "PNG", "Stra"):
        assert words not in read
    assert f"Text of {text.source}." in told
    assert text.source == (
        f"{code} (11 files of source code and prose; left out: 1 minified, 4 of other kinds, "
        "2 vendored or built, 2 with locked versions; also left out once opened: 1 binary or "
        "unreadable, 1 minified, 1 not in UTF-8)"
    )


def test_sources_come_in_the_same_drawn_order_and_not_place_by_place(code: Path) -> None:
    names = [file.name for file in folder_text(code).files]
    assert names != sorted(names)
    assert names == [file.name for file in folder_text(code).files]


def test_data_among_texts_are_refused_as_ever(code: Path) -> None:
    """Only where code is what most of the text is, data beside it are no text of the folder."""
    (code / "corpus.txt").write_text(WORDS * 9000)
    with pytest.raises(RunError, match=r"table\.csv: cannot be read as text"):
        folder_text(code)


def test_faults_of_sources(tmp_path: Path) -> None:
    path = tmp_path / "a.py"
    for content, fault in (
        (b"x = 1\n" * 99, None),
        (b"", None),
        ("# \u5317\u6d77\n".encode() * 600_000, None),  # a character may end behind what is read
        (b"\xff\xfe\x00", "binary or unreadable"),
        (b"# \xff\n", "not in UTF-8"),
        (b"x=1;" * 999, "minified"),
    ):
        path.write_bytes(content)

        assert source_fault(path) == fault
    assert source_fault(tmp_path / "gone.py") == "binary or unreadable"
