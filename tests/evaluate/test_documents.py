"""Documents of tasks: every form of file, and one clear sentence for everything that is missing."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest
from harness_data import PIQA, write_musr, write_rows

from widthwise.errors import AssetError, RunError
from widthwise.evaluate import documents as data
from widthwise.evaluate import load_tasks


@pytest.mark.parametrize("suffix", ["jsonl", "jsonl.gz", "json", "json.gz", "parquet"])
def test_every_form_of_file_holds_the_same_documents(tmp_path: Path, suffix: str) -> None:
    rows = [{**PIQA, "goal": f"wörk {number}"} for number in range(3)]
    file = tmp_path / "piqa" / f"validation.{suffix}"
    if suffix == "parquet":
        file.parent.mkdir()
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), file)
    else:
        write_rows(file, rows)
    assert data.read_rows(file) == rows
    (task,) = load_tasks(["piqa"], data=tmp_path)
    assert [document.doc for document in task.documents()] == rows
    if suffix in ("json", "jsonl"):  # as editors of Windows save it
        file.write_text(file.read_text(encoding="utf8"), encoding="utf-8-sig")
        assert data.read_rows(file) == rows


def test_a_missing_file_is_named_with_all_places(tmp_path: Path) -> None:
    with pytest.raises(AssetError) as piqa:
        load_tasks(["piqa"], data=tmp_path)
    assert str(piqa.value) == (
        f"task piqa needs its split validation; looked for {tmp_path}/piqa/validation, "
        "each with .jsonl.gz, .jsonl, .json.gz, .json, .parquet"
    )
    with pytest.raises(AssetError, match=r"mmlu_\w+/test and .*/mmlu/test/abstract_algebra, each"):
        load_tasks(["mmlu"], data=tmp_path)
    write_rows(tmp_path / "gsm8k" / "test.jsonl", [{"question": "how", "answer": "#### 2"}])
    with pytest.raises(AssetError, match="task gsm8k needs its split train"):
        load_tasks(["gsm8k"], data=tmp_path)


def test_the_known_folders_are_found(tmp_path: Path) -> None:
    targets = {"choices": ["a", "b"], "labels": [1, 0]}
    row = {"question": "?", "mc1_targets": targets, "mc2_targets": targets}
    write_rows(tmp_path / "truthfulqa_mc" / "validation.jsonl", [row])
    mmlu = {"question": "?", "choices": list("abcd"), "answer": 2}
    write_rows(tmp_path / "mmlu" / "test" / "virology.jsonl", [mmlu])
    write_musr(tmp_path, (1, 1, 1))
    names = ["truthfulqa_mc1", "truthfulqa_mc2", "mmlu_virology", "leaderboard_musr"]
    assert [task.source for task in load_tasks(names, data=tmp_path)] == [
        "all 1 items",
        "all 1 items",
        "all 1 items",
        "all 3 items",
    ]


LINE = json.dumps(PIQA)
DAMAGED = {
    "jsonl": {
        f"{LINE}\n{{": r"validation\.jsonl, line 2 is not JSON",
        "": r"validation\.jsonl holds no documents",
        "3\n": "document 1 must be a JSON object with columns",
        f'{LINE}\n\n{{"goal": "a"}}': "document 2 lacks the column 'sol1'",
        '{"sol1": "a"}': r"task piqa .*validation\.jsonl, columns sol1 \(.*'goal' is undefined",
        f"{LINE}\n{LINE.replace(': 0', ': [0]')}": r"task piqa cannot be loaded with .*Arrow",
        "\udcff": r"validation\.jsonl is damaged or cannot be read",
    },
    "jsonl.gz": {LINE: r"validation\.jsonl\.gz is damaged or cannot be read"},
    "parquet": {LINE: r"validation\.parquet is damaged or not Parquet"},
}


@pytest.mark.parametrize(
    ("suffix", "text", "sentence"),
    [(suffix, text, match) for suffix, all_ in DAMAGED.items() for text, match in all_.items()],
)
def test_a_damaged_file_is_named(tmp_path: Path, suffix: str, text: str, sentence: str) -> None:
    file = write_rows(tmp_path / "piqa" / f"validation.{suffix}", [])
    file.write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises((AssetError, RunError), match=sentence) as error:
        load_tasks(["piqa"], data=tmp_path)
    assert "\n" not in str(error.value)


def test_a_cut_gzip_is_named(tmp_path: Path) -> None:
    file = write_rows(tmp_path / "piqa" / "validation.jsonl.gz", [PIQA] * 99)
    file.write_bytes(file.read_bytes()[:-9])
    with pytest.raises(AssetError, match=r"validation\.jsonl\.gz is damaged or cannot be read"):
        load_tasks(["piqa"], data=tmp_path)


@pytest.mark.parametrize("label", [2, -1])
def test_a_label_that_names_no_option_is_refused(tmp_path: Path, label: int) -> None:
    """lm-eval counts such an item as wrong, whatever a model says."""
    rows = [{**PIQA, "goal": f"cut {number}", "label": 0} for number in range(3)]
    rows[2]["label"] = label
    write_rows(tmp_path / "piqa" / "validation.jsonl", rows)
    with pytest.raises(RunError, match=rf"piqa, item 2: the label {label} names none of its 2"):
        load_tasks(["piqa"], data=tmp_path)
