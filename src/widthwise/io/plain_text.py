"""Checks that a file holds plain text; else says what it holds and what to do."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import zipfile
import zlib
from pathlib import Path
from typing import Any, BinaryIO

from ..errors import RunError

_HEAD = 1 << 16  # bytes looked at
_CONTROLS = bytes(byte for byte in range(32) if byte not in b"\t\n\v\f\r\x1b")
_MOST_CONTROLS = 0.01  # share of a text; random bytes have 10 %
_LFS = b"version https://git-"
_PACKERS: tuple[tuple[bytes, Any], ...] = (
    (b"\x1f\x8b", gzip.open),
    (b"BZh", bz2.open),
    (b"\xfd7zXZ\x00", lzma.open),
)
_ZIP = b"PK\x03\x04"
UNPACK_ERRORS = (EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile)  # beside OSError
_TAR = (257, b"ustar")  # where the mark of a tar archive stands
_PACKED = "unpack it first"
_FEWEST_LETTERS = 0.1  # of the letters and digits of a text; ids written out have none
_TOKENS = (
    "token ids of some tokenizer, as packed corpora do, are of no use here: give the text that "
    "they were made from"
)
_FORMATS = (  # how a file begins, what it is, what to do
    (b"\x28\xb5\x2f\xfd", "packed by Zstandard", "unpack it with zstd -d"),
    (_ZIP, "a zip archive of several files (as .pt and office documents are)", _PACKED),
    (b"\x93NUMPY", "a NumPy array", _TOKENS),
    (b"BZh", "packed twice, by bzip2 at last", "unpack it with bunzip2"),
    (b"\xfd7zXZ\x00", "packed twice, by xz at last", "unpack it with unxz"),
    (b"\x04\x22\x4d\x18", "packed by lz4", "unpack it with lz4 -d"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", _PACKED),
    (b"ARROW1", "an Arrow table", "write it as Parquet or JSON lines"),
    (b"\xff\xff\xff\xff", "an Arrow table", "write it as Parquet or JSON lines"),
    (b"PAR1", "a Parquet table", "give it a name that ends in .parquet"),
    (b"MMIDIDX", "the index of a packed corpus", _TOKENS),
    (b"%PDF", "a PDF document", "extract its text"),
    (b"SQLite format 3", "a database", "write its text as JSON lines"),
    (b"\x89HDF", "an HDF5 file", "write its text as JSON lines"),
    (b"\x80\x02", "a pickle", _TOKENS),
    (b"\x80\x04", "a pickle", _TOKENS),
    (b"\x80\x05", "a pickle", _TOKENS),
    (b"GGUF", "a model (GGUF)", "give a text"),
    (b"\xff\xfe", "text in UTF-16, or no text at all", "write it in UTF-8"),
    (b"\xfe\xff", "text in UTF-16, or no text at all", "write it in UTF-8"),
)


def check_plain_text(path: Path, *, tables: bool = False) -> None:
    """Raise RunError where a file, also one that is packed, holds no plain text.

    Args:
        path: The file. One that cannot be read passes, for whoever reads it to say so.
        tables: Whether rows of a table (JSON, CSV) are refused as well.
    """
    try:
        with open_unpacked(path) as file:
            head = file.read(_HEAD)
    except (OSError, *UNPACK_ERRORS):
        return
    fault = _format(head) or (_table(path, head) if tables else None)
    if path.suffix.lower() == ".mds":  # which has no mark at its begin
        fault = "a shard of MosaicML's streaming", "write its text as JSON lines"
    if fault is not None:
        what, advice = fault
        raise RunError(f"{path}: cannot be read as text: it is {what}; {advice}")


def open_unpacked(path: Path) -> BinaryIO:
    """The bytes of a file, unpacked where gzip, bzip2 or xz packed it, or zip it alone.

    Damage raises one of `UNPACK_ERRORS`, or OSError, here or when it is read.
    """
    with open(path, "rb") as file:
        head = file.read(8)
    for mark, opened in _PACKERS:
        if head.startswith(mark):
            packed: BinaryIO = opened(path, "rb")
            return packed
    if head.startswith(_ZIP):
        with zipfile.ZipFile(path) as archive:
            names = [each for each in archive.infolist() if not each.is_dir()]
            if len(names) == 1:
                return archive.open(names[0])  # type: ignore[return-value]
    return open(path, "rb")


def lfs_pointer(path: Path, what: str = "the weights") -> str | None:
    """The fault of a file that is a pointer of git-lfs to what it should be; None of any other."""
    with open(path, "rb") as file:
        if file.read(len(_LFS)) != _LFS:
            return None
    return f"is a pointer of git-lfs to {what} and not {what}: git lfs pull"


def files_in(folder: Path) -> list[Path]:
    """Files below a folder, without those that are hidden or in a hidden folder, as of git."""
    below = (file for file in folder.rglob("*") if file.is_file())  # a pipe would be waited for
    seen = (f for f in below if not any(p[0] == "." for p in f.relative_to(folder).parts))
    return sorted(seen)


def is_numbers(text: str) -> bool:
    """Whether a text is of numbers, as token ids that are written out are."""
    digits, letters = sum(map(str.isdecimal, text)), sum(map(str.isalpha, text))
    return letters < _FEWEST_LETTERS * (digits + letters)


def holds_rows(path: Path) -> bool:
    """Whether a file holds rows of JSON, whatever its name says; running text may quote some."""
    with open_unpacked(path) as file:
        head = file.read(_HEAD)
    lines = [line for line in head.decode("utf-8-sig", "ignore").splitlines() if line.strip()]
    if len(head) == _HEAD and len(lines) > 1:
        lines.pop()  # it may be cut off
    return bool(lines) and all(line.lstrip()[0] == "{" and _is_json(line) for line in lines[:2])


def is_data_card(path: Path) -> bool:
    """Whether a file is the card of a data set, as the hub has one in each, and no text of it."""
    if path.name.lower() != "readme.md":
        return False
    with open(path, "rb") as file:
        return file.read(4).rstrip() == b"---"


def _format(head: bytes) -> tuple[str, str] | None:
    """Kind of a file that begins so, and what to do; None for text."""
    for mark, what, advice in _FORMATS:
        if head.startswith(mark):
            return what, advice
    if head[_TAR[0] :].startswith(_TAR[1]):
        return "a tar archive", _PACKED
    controls = len(head) - len(head.translate(None, _CONTROLS))
    if b"\0" in head or controls > _MOST_CONTROLS * len(head):
        return "binary data", _TOKENS
    return None


def _table(path: Path, head: bytes) -> tuple[str, str] | None:
    """Kind of table that a text is, and what to do; None for running text."""
    advice = "its names and ids would be read as words; write its text alone to a .txt file"
    kinds = {".csv": "a table (CSV)", ".tsv": "a table (TSV)"}
    suffix = Path(path.name.removesuffix(".gz")).suffix.lower()
    if suffix in kinds:
        return kinds[suffix], advice
    text = head.decode("utf8", "ignore").lstrip("\ufeff \n\r\t")
    if suffix in (".json", ".jsonl", ".ndjson") or (text[:1] in ("{", "[") and _is_json(text)):
        return "a table (JSON)", advice
    return None


def _is_json(text: str) -> bool:
    """Whether the first line of a text, or all of it, is an object or an array of JSON."""
    for part in (text.partition("\n")[0], text):
        try:
            return isinstance(json.loads(part), dict | list)
        except (ValueError, RecursionError):
            continue
    return False
