"""Files that hold no plain text: named by what they hold, with what to do."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import zipfile
from pathlib import Path

import pytest

from widthwise.errors import RunError
from widthwise.io import (
    UNPACK_ERRORS,
    check_plain_text,
    files_in,
    holds_rows,
    is_data_card,
    is_numbers,
    lfs_pointer,
    open_unpacked,
)

TEXT = "It was a fine day, and they went for a walk.\n" * 4


def zipped(*texts: str) -> bytes:
    """An archive of a folder with files."""
    with io.BytesIO() as file, zipfile.ZipFile(file, "w") as archive:
        archive.mkdir("folder")
        for number, text in enumerate(texts):
            archive.writestr(f"folder/{number}.txt", text)
        archive.close()
        return file.getvalue()


PACKED = {
    "plain": TEXT.encode(),
    "gzip": gzip.compress(TEXT.encode()),
    "bzip2": bz2.compress(TEXT.encode()),
    "xz": lzma.compress(TEXT.encode()),
    "zip": zipped(TEXT),
}


@pytest.mark.parametrize("way", PACKED)
def test_text_passes_as_it_is_and_packed(way: str, tmp_path: Path) -> None:
    file = tmp_path / "text"
    file.write_bytes(PACKED[way])
    check_plain_text(file, tables=True)
    with open_unpacked(file) as opened:
        assert opened.read() == TEXT.encode()


@pytest.mark.parametrize("way", [way for way in PACKED if way != "plain"])
def test_damage_is_an_error_that_readers_know(way: str, tmp_path: Path) -> None:
    file = tmp_path / "text"
    file.write_bytes(PACKED[way][:-9])
    check_plain_text(file)  # said by whoever reads it
    with pytest.raises((OSError, *UNPACK_ERRORS)):
        open_unpacked(file).read()


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("a", zipped(TEXT, TEXT), r"it is a zip archive of several files .*; unpack it first"),
        ("a", gzip.compress(PACKED["xz"]), "it is packed twice, by xz at last; unpack it with"),
        ("a", b"\0" * 257 + b"ustar", "it is a tar archive; unpack it first"),
        ("a", bytes(range(256)) * 8, "it is binary data; token ids"),
        ("a.mds", TEXT.encode(), "it is a shard of MosaicML's streaming; write its text as JSON"),
        ("a.csv", b"id,text\n1,day\n", r"it is a table \(CSV\); its names and ids"),
        ("a", b'{"text": "day"}\n', r"it is a table \(JSON\); its names and ids"),
    ],
)
def test_anything_else_is_named(name: str, data: bytes, words: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(RunError, match=f"{name}: cannot be read as text: {words}"):
        check_plain_text(tmp_path / name, tables=True)


def test_rows_are_told_from_text_that_quotes_some(tmp_path: Path) -> None:
    rows, text = tmp_path / "rows", tmp_path / "text"
    rows.write_text('{"a": 1}\n{"a": 2}\n')
    text.write_text('A row is {"a": 1}.\n')
    assert (holds_rows(rows), holds_rows(text)) == (True, False)


def test_numbers_that_are_written_out_are_no_words() -> None:
    assert (is_numbers("12 517 33"), is_numbers("12 days")) == (True, False)


def test_cards_pointers_and_hidden_files_are_known(tmp_path: Path) -> None:
    card, pointer, hidden = tmp_path / "README.md", tmp_path / "weights", tmp_path / ".git" / "x"
    card.write_text("---\nlicense: mit\n---\n")
    pointer.write_text("version https://git-lfs.github.com/spec/v1\n")
    hidden.parent.mkdir()
    hidden.write_text(TEXT)
    assert (is_data_card(card), is_data_card(pointer)) == (True, False)
    assert (lfs_pointer(card), "git lfs pull" in (lfs_pointer(pointer) or "")) == (None, True)
    assert files_in(tmp_path) == [card, pointer]
