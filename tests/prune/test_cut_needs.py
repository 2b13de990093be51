"""What a cut needs of this machine is compared with what is free, before the work begins."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tiny_gguf import save_llama

from widthwise.cut.checkpoint import ModelSource, resolve_model
from widthwise.errors import OutputError, RunError
from widthwise.notices import shown
from widthwise.prune import CutEstimate, PruneSpec, check_memory, cut_needs, estimate_cut, in_bytes

SPEC = PruneSpec.of(width=64)


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModelSource:
    monkeypatch.setenv("WIDTHWISE_CACHE", str(tmp_path / "cache"))
    return resolve_model(save_llama(tmp_path / "whole.gguf", 96))


@pytest.fixture
def estimate(source: ModelSource, tmp_path: Path) -> CutEstimate:
    return estimate_cut(source, SPEC, 2048, out=tmp_path / "out")


def said_of(source: ModelSource, estimate: CutEstimate) -> list[str]:
    said: list[str] = []
    with shown(said.append):
        check_memory(source, estimate)
    return said


def free(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    monkeypatch.setattr(cut_needs, "free_bytes", lambda _: count)


def test_enough_memory_is_not_spoken_of(source: ModelSource, estimate: CutEstimate) -> None:
    assert said_of(source, estimate) == []


def test_memory_that_is_too_small_for_certain_is_refused(
    source: ModelSource, estimate: CutEstimate, monkeypatch: pytest.MonkeyPatch
) -> None:
    free(monkeypatch, estimate.least_bytes - 1)
    with pytest.raises(RunError, match=r"needs 0\.01 GB of memory at least, and 0\.01 GB are free"):
        check_memory(source, estimate)


def test_memory_that_may_be_too_small_is_warned_of(
    source: ModelSource, estimate: CutEstimate, monkeypatch: pytest.MonkeyPatch
) -> None:
    free(monkeypatch, estimate.least_bytes)
    (said,) = said_of(source, replace(estimate, memory_bytes=10**12))
    assert said.startswith(f"Warning: {source.name} needs about 9")
    assert "are free, so it may stop before the end; fewer tokens" in said


def test_a_folder_for_states_that_is_too_small_is_warned_of(
    source: ModelSource, estimate: CutEstimate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", "/some/folder")
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=10**9))
    (said,) = said_of(source, replace(estimate, state_bytes=2 * 10**9))
    assert "2,048 tokens need 2.0 GB in /some/folder, where 1.0 GB are free; set TMPDIR" in said


def test_layers_that_are_there_need_no_more_room(
    estimate: CutEstimate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work, name = tmp_path / "work", "widthwise.cut.checkpoint.reader.free_disk_bytes"
    work.mkdir()
    monkeypatch.setattr(name, lambda _: estimate.result_bytes + 1)
    with pytest.raises(OutputError, match="the disk is full"):
        cut_needs.check_disk(estimate, tmp_path / "out", work)
    (work / "layer-00000.safetensors").write_bytes(bytes(estimate.kept_bytes))
    cut_needs.check_disk(estimate, tmp_path / "out", work)


def test_a_gguf_result_is_counted_in_its_own_types(
    source: ModelSource, estimate: CutEstimate, tmp_path: Path
) -> None:
    file: Any = estimate_cut(source, SPEC, 2048, out=tmp_path / "out.gguf")
    assert file.result_bytes != estimate.result_bytes
    assert file.result_bytes < (tmp_path / "whole.gguf").stat().st_size
    assert replace(file, result_bytes=estimate.result_bytes) == estimate


def test_sizes_in_words() -> None:
    assert [in_bytes(count) for count in (1, 43_000_000, 96_000_000, 3_140_000_000)] == [
        "0.01 GB",
        "0.04 GB",
        "0.1 GB",
        "3.1 GB",
    ]
