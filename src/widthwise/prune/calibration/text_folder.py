"""Which files of a folder are its text: of a data set those of one split, of code the sources."""

from __future__ import annotations

import hashlib
import re
from codecs import getincrementaldecoder
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

from ...errors import RunError
from ...io import check_plain_text, files_in, is_data_card

PROSE = (".txt", ".md", ".rst")
TABLES = (".jsonl", ".ndjson", ".json", ".parquet")
SUFFIXES = PROSE + TABLES  # .gz of all but the last
SOURCES = frozenset(
    ".bash .c .cc .cjs .clj .cpp .cs .css .cu .cuh .cxx .dart .erl .ex .exs .fs .go .h .hh .hpp "
    ".hs .html .java .jl .js .jsx .kt .kts .lua .m .mjs .ml .mm .nim .php .pl .pm .proto .ps1 .py "
    ".pyi .r .rb .rs .scala .scss .sh .sql .svelte .swift .ts .tsx .vue .zig .zsh".split()
)
_OTHER_DATA = tuple(
    ".arrow .bin .bz2 .csv .feather .h5 .idx .lz4 .mds .mmap .npy .npz .pkl .pt .tar .tfrecord "
    ".tgz .tsv .xz .zip .zst .zstd".split()
)
_MOVE_OUT = "write it as text, JSON lines or Parquet, or move it out of the folder"
_BESIDE = ("dataset_info.json", "dataset_infos.json")  # what tools write beside a data set
_LOCKS = ("go.sum", "npm-shrinkwrap.json", "package-lock.json", "pnpm-lock.yaml")  # and *.lock
_VENDORED = frozenset(
    "__pycache__ bower_components node_modules site-packages third_party vendor venv".split()
)
_MINIFIED = re.compile(r"[.-]min\.(js|css)$|\.bundle\.js$")
_HEAD = 1 << 20  # bytes of a source that are looked at
_LONGEST_MEAN = 200  # bytes of a line: in the mean, sources have 20 to 60, minified ones thousands
# Words of names by which splits go on the hub, in the order in which one is taken.
_SPLITS: Mapping[str, str] = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("validation", "valid", "val", "dev"), "validation"),
    **dict.fromkeys(("test", "testing", "eval", "evaluation"), "test"),
}


@dataclass(frozen=True, kw_only=True)
class FolderText:
    """The files of a folder that are read.

    Attributes:
        files: In the order in which they are read.
        note: Which of all they are; empty where nothing was chosen.
        is_code: Whether they are of a folder of source code, where `source_fault` may be found.
    """

    files: tuple[Path, ...]
    note: str = ""
    is_code: bool = False


def folder_text(folder: Path, split: str | None = None) -> FolderText:
    """The files of a folder that are its text.

    Args:
        folder: The folder; what is hidden in it is ignored.
        split: The split of a data set, by its name on the hub. None takes all files, but of files
            of several splits the first of train, validation and test.

    Raises:
        RunError: There is no text, none of that split, or data that would be passed over.
    """
    below = [file for file in files_in(folder) if file.name not in _BESIDE]
    if split is None and _is_code(folder, below):
        return _code(folder, below)
    for file in below:
        if file.suffix.lower() in _OTHER_DATA:
            check_plain_text(file, tables=True)
            raise RunError(f"{file}: cannot be read as text; {_MOVE_OUT}")
    files = [file for file in below if kind_of(file) in SUFFIXES]
    if not files:
        kinds = f"{', '.join(SUFFIXES)}, and .gz of all but the last"
        raise RunError(f"{folder}: holds no file of text ({kinds}), and no source code")
    files = [file for file in files if not is_data_card(file)] or files
    files, notes = _of_split(folder, files, split)
    if sources := sum(kind_of(file) in SOURCES for file in below):
        notes.append(f"without {_count(sources, 'file')} of source code, which its texts outweigh")
    return FolderText(files=tuple(files), note=", ".join(notes))


def kind_of(file: PurePath) -> str:
    """The suffix that says what is in a file; none of packed Parquet, which no reader takes."""
    inner = Path(file.name.removesuffix(".gz")).suffix.lower()
    return "" if file.suffix == ".gz" and inner == ".parquet" else inner


def split_of(path: PurePath) -> str | None:
    """The split that the name of a file, or of a folder above it, says; the highest counts.

    >>> split_of(PurePath("data/train-00000-of-00002.parquet")), split_of(PurePath("latest.txt"))
    ('train', None)
    """
    words = re.split(r"[^a-z]+", "/".join(path.parts).lower())
    return next((_SPLITS[word] for word in words if word in _SPLITS), None)


def source_fault(file: Path) -> str | None:
    """Why a file is no source that someone wrote, by its first bytes; None where it is one."""
    try:
        check_plain_text(file)
        with open(file, "rb") as opened:
            head = opened.read(_HEAD)
    except (OSError, RunError):
        return "binary or unreadable"
    try:
        getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return "not in UTF-8"
    return "minified" if len(head) > _LONGEST_MEAN * max(1, len(head.splitlines())) else None


def _of_split(
    folder: Path, files: Sequence[Path], split: str | None
) -> tuple[list[Path], list[str]]:
    """The files of a split, and what is said of it."""
    splits = {file: split_of(file.relative_to(folder)) for file in files}
    there = [name for name in dict.fromkeys(_SPLITS.values()) if name in splits.values()]
    if split is None:
        if len(there) < 2:
            return list(files), [f"split {there[0]}"] if there == ["test"] else []
        others = there[1:]
        chosen = [file for file in files if splits[file] not in others]
        left = _count(len(files) - len(chosen), "file")
        return chosen, [f"split {there[0]}, without {left} of {' and '.join(others)}"]
    wanted = _SPLITS.get(split, split)
    chosen = [file for file in files if splits[file] == wanted]
    if not chosen:
        found = f"it holds {' and '.join(there)}" if there else "no file has a split in its name"
        raise RunError(f"{folder}: holds no files of the split {split}; {found}")
    return chosen, [f"split {wanted}"]


def _is_code(folder: Path, files: Iterable[Path]) -> bool:
    """Whether sources are most of the bytes in a folder that are text."""
    sizes: Counter[bool] = Counter()
    for file in files:
        kind = kind_of(file)
        if (kind in SOURCES or kind in SUFFIXES) and _left_out(folder, file) is None:
            sizes[kind in SOURCES] += file.stat().st_size
    return sizes[True] > sizes[False]


def _code(folder: Path, files: Sequence[Path]) -> FolderText:
    """The sources and the prose of a folder, in a drawn order that is always the same.

    In the order of their names, the first that fill the tokens would all be of one place.
    """
    left: Counter[str] = Counter()
    read: list[Path] = []
    for file in files:
        fault = _left_out(folder, file)
        if fault is None and kind_of(file) in (*PROSE, *SOURCES):
            read.append(file)
        else:
            left[fault or "of other kinds"] += 1
    read.sort(key=lambda f: hashlib.sha256(f.relative_to(folder).as_posix().encode()).digest())
    note = f"{_count(len(read), 'file')} of source code and prose"
    if left:
        note += f"; left out: {listed(left)}"
    return FolderText(files=tuple(read), note=note, is_code=True)


def listed(left: Counter[str]) -> str:
    """How many files were left out, and why.

    >>> listed(Counter({"minified": 2}))
    '2 minified'
    """
    return ", ".join(f"{count:,} {fault}" for fault, count in sorted(left.items()))


def _left_out(folder: Path, file: Path) -> str | None:
    """Why a file of a folder of code is none that someone wrote, by its name; None if it is one."""
    if any(part in _VENDORED for part in file.relative_to(folder).parts[:-1]):
        return "vendored or built"
    if file.suffix == ".lock" or file.name in _LOCKS:
        return "with locked versions"
    return "minified" if _MINIFIED.search(file.name) else None


def _count(number: int, word: str) -> str:
    return f"{number:,} {word}{'' if number == 1 else 's'}"
