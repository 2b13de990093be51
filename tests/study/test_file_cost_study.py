"""Files that llama.cpp times: a record a file and a rate, and nothing twice."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from llama_bench import calls, two_files

from widthwise.errors import RunError
from widthwise.study import FileCostSettings, FileCostStudy, load, read_study


@pytest.fixture
def settings(tmp_path: Path) -> FileCostSettings:
    return FileCostSettings(
        models=tuple(map(str, two_files(tmp_path).values())), workloads=("8x2",)
    )


def test_each_file_has_a_record_of_both_rates(
    llama_bench: Path, settings: FileCostSettings, tmp_path: Path
) -> None:
    records = FileCostStudy(tmp_path / "out", settings).run()
    assert [(r.model, r.quantity, r.n) for r in records] == [
        ("dense.gguf", "8x2x1 prefill", 5),
        ("dense.gguf", "8x2x1 decode", 5),
        ("narrow.gguf", "8x2x1 prefill", 5),
        ("narrow.gguf", "8x2x1 decode", 5),
    ]
    assert [r.width for r in records] == [64, 64, 32, 32]
    assert {r.unit for r in records} == {"tokens_per_sec"}
    told = records[2].settings
    assert told["build"] == "llama-bench 11549 (abc1234)"
    assert told["weight_bytes"] == (tmp_path / "narrow.gguf").stat().st_size
    assert read_study(tmp_path / "out").records == tuple(records)


def test_what_is_done_is_not_done_again(
    llama_bench: Path, settings: FileCostSettings, tmp_path: Path
) -> None:
    """A further workload is; of a file that was changed all is refused."""
    first = FileCostStudy(tmp_path / "out", settings).run()
    assert FileCostStudy(tmp_path / "out", settings).run() == first
    assert len(calls(llama_bench)) == 12
    more = replace(settings, workloads=("8x2", "4x2"))
    assert FileCostStudy(tmp_path / "out", more).run()[:4] == first
    assert len(calls(llama_bench)) == 24
    shutil.copy(tmp_path / "narrow.gguf", tmp_path / "dense.gguf")
    with pytest.raises(RunError, match="was started with weights"):
        FileCostStudy(tmp_path / "out", settings).run()


def test_what_failed_altogether_is_tried_again(llama_bench: Path, tmp_path: Path) -> None:
    file = two_files(tmp_path)["dense"]
    file.write_bytes(file.read_bytes() + b"__fail__")
    settings = FileCostSettings(models=(str(file),), workloads=("8x2",))
    for tries in (1, 2):
        records = FileCostStudy(tmp_path / "out", settings).run()
        assert [r.value for r in records] == [None, None]
        assert len(calls(llama_bench)) == tries


def test_a_file_that_failed_leaves_the_other_its_times(
    llama_bench: Path, settings: FileCostSettings, tmp_path: Path
) -> None:
    narrow = tmp_path / "narrow.gguf"
    whole = narrow.read_bytes()
    narrow.write_bytes(whole + b"__fail__")
    records = FileCostStudy(tmp_path / "out", settings).run()
    assert [r.value is None for r in records] == [False, False, True, True]
    assert all("failed to load model" in str(r.reason) for r in records[2:])
    assert load(tmp_path / "out" / "records.jsonl") == records


def test_two_files_of_one_name_are_told_apart(llama_bench: Path, tmp_path: Path) -> None:
    files = two_files(tmp_path)
    (tmp_path / "b").mkdir()
    other = shutil.copy(files["narrow"], tmp_path / "b" / "dense.gguf")
    asked = (str(files["dense"]), str(other))
    records = FileCostStudy(
        tmp_path / "out", FileCostSettings(models=asked, workloads=("8x2",))
    ).run()
    assert [r.model for r in records[::2]] == list(asked)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"models": ()}, "give one file or more, each once; got none"),
        ({"models": ("a.gguf", "a.gguf")}, "each once; got a.gguf, a.gguf"),
        ({"rounds": 4}, "at least 5 rounds and one workload; got 4 and 1"),
        ({"workloads": ()}, "got 5 and 0"),
        ({"workloads": ("8x2x8",)}, "timed on one prompt"),
        ({"workloads": ("paper",)}, "timed on one prompt"),
    ],
)
def test_settings_that_fix_no_numbers_are_refused(changes: dict[str, Any], said: str) -> None:
    asked: dict[str, Any] = {"models": ("a.gguf",), "workloads": ("8x2",), **changes}
    with pytest.raises(RunError, match=said):
        FileCostSettings(**asked)


def test_a_folder_is_refused_with_what_makes_a_file_of_it(
    llama_bench: Path, tmp_path: Path
) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text("{}")
    settings = FileCostSettings(models=(str(tmp_path / "model"),))
    with pytest.raises(RunError, match=r"is a folder: widthwise export .* -o model.gguf"):
        FileCostStudy(tmp_path / "out", settings).run()
    assert not (tmp_path / "out").exists()
