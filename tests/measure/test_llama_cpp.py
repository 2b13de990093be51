"""llama.cpp's own times of GGUF files: rounds in turn, and a reason where there is no number."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from families import tiny
from llama_bench import calls, two_files
from tiny_gguf import save_llama, write_gguf

from widthwise.errors import CheckpointError, RunError
from widthwise.measure import LlamaCpp, find_llama_cpp, llama_cpp, single_prompt, time_files
from widthwise.measure.llama_cpp import _cause

WORK = single_prompt("16x4")


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    """Two tiny models, the second one narrower."""
    return two_files(tmp_path)


def spoiled(file: Path, how: bytes) -> Path:
    """A file on which the stand-in does something else."""
    with open(file, "ab") as end:
        end.write(how)
    return file


def test_files_take_turns_and_rounds_are_paired(llama_bench: Path, files: dict[str, Path]) -> None:
    costs = time_files(files, WORK, llama=find_llama_cpp())
    seen = [Path(words["-m"]).stem for words in calls(llama_bench)]
    rounds = [seen[at : at + 2] for at in range(0, len(seen), 2)]
    assert len(rounds) == 6  # one warms up
    assert all(sorted(each) == ["dense", "narrow"] for each in rounds)
    assert len({tuple(each) for each in rounds}) == 2  # in both orders
    words = calls(llama_bench)[0]
    assert (words["-p"], words["-n"], words["-r"]) == ("16", "4", "1")
    narrow, dense = costs["narrow"], costs["dense"]
    assert dense.llama.name == "llama-bench"
    assert [len(cost.rounds) for cost in costs.values()] == [5, 5]
    at = [number for number, name in enumerate(seen, 1) if name == "dense"][1:]
    assert [each.prefill for each in dense.rounds] == [100.0 * (1 + n / 100) for n in at]
    assert [each.decode for each in dense.rounds] == [10.0 * (1 + n / 100) for n in at]
    assert narrow.rounds[0].build == "llama-bench 11549 (abc1234)"
    assert narrow.rounds[0].device == "Some CPU"
    assert narrow.facts.width == 32


def test_a_file_that_it_cannot_load_has_a_reason_and_is_not_tried_again(
    llama_bench: Path, files: dict[str, Path]
) -> None:
    spoiled(files["narrow"], b"__fail__")
    costs = time_files(files, WORK)
    assert costs["narrow"].rounds == ()
    assert str(costs["narrow"].reason) == (
        f"{files['narrow']}: llama.cpp gave no times and ended with 1: main: error: failed to load "
        "model"
    )
    assert len(costs["dense"].rounds) == 5
    assert sum("narrow" in words["-m"] for words in calls(llama_bench)) == 1


def test_a_visit_that_does_not_end_is_ended(
    llama_bench: Path, files: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(llama_cpp, "_VISIT_SEC", 1)
    spoiled(files["dense"], b"__hang__")
    cost = time_files({"dense": files["dense"]}, WORK)["dense"]
    assert "took more than" in str(cost.reason)
    assert cost.rounds == ()


def test_a_text_longer_than_the_context_is_not_begun(
    llama_bench: Path, files: dict[str, Path]
) -> None:
    cost = time_files({"dense": files["dense"]}, single_prompt("2045x4"))["dense"]
    assert cost.reason == f"2045x4x1 needs a context of 2049 tokens; {files['dense']} has 2048"
    assert not llama_bench.exists()


def test_what_cannot_be_timed_is_refused_before_anything_runs(
    llama_bench: Path, files: dict[str, Path], tmp_path: Path
) -> None:
    (tmp_path / "no.gguf").write_text("none")
    with pytest.raises(CheckpointError, match="is not a GGUF file"):
        time_files({**files, "no": tmp_path / "no.gguf"}, WORK)
    with pytest.raises(RunError, match="at least 5 rounds and a file; got 4 and 2"):
        time_files(files, WORK, rounds=4)
    for name in ("16x4x2", "16x1", "grid", "hellaswag-b1"):
        with pytest.raises(RunError, match=r"timed on one prompt.*got "):
            single_prompt(name)
    assert not llama_bench.exists()


def test_without_a_llama_cpp_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(llama_cpp, "_BENCH", "no-such-program")
    monkeypatch.setattr(llama_cpp, "_PACKAGE", "no_such_package")
    with pytest.raises(RunError, match=r"its program no-such-program on PATH, or pip install"):
        find_llama_cpp()


@pytest.fixture(scope="module")
def package() -> LlamaCpp:
    pytest.importorskip("xllamacpp")
    return LlamaCpp(program=None, threads=1)


def test_the_package_times_a_real_model(package: LlamaCpp, tmp_path: Path) -> None:
    """One process: what it says of its prompt and its tokens becomes tokens a second."""
    file = save_llama(tmp_path / "dense.gguf", neurons=64)
    timing = llama_cpp._FileTiming(file, llama_cpp.gguf_facts(file))
    visit = llama_cpp._visit(timing, WORK, package, seed=0)
    assert visit.prefill > 0
    assert visit.decode > 0
    assert visit.build.startswith("xllamacpp ")
    assert visit.device


def test_the_package_takes_turns_too(package: LlamaCpp, files: dict[str, Path]) -> None:
    done: list[int] = []
    costs = time_files(files, WORK, llama=package, on_step=done.append)
    assert done == list(range(1, 13))
    assert [(len(cost.rounds), cost.reason) for cost in costs.values()] == [(5, None), (5, None)]


def test_an_architecture_that_the_package_does_not_know_is_named(
    package: LlamaCpp, tmp_path: Path
) -> None:
    write_gguf(tiny("llama"), tmp_path / "odd.gguf", "nonesuch")
    cost = time_files({"odd": tmp_path / "odd.gguf"}, single_prompt("4x2"), llama=package)["odd"]
    assert "unknown model architecture: 'nonesuch'" in str(cost.reason)
    assert cost.reason is not None
    assert " E " not in cost.reason


@pytest.mark.parametrize("stamp", ["", "0.00.218.283 "])
def test_its_words_are_shown_without_the_marks_of_its_log(stamp: str) -> None:
    """The first lines of a log may have no time."""
    log = f"{stamp}I loading\n{stamp}E llama_model_load: error loading model: it\n"
    cause = _cause(subprocess.CompletedProcess([], 1, "", log))
    assert cause.endswith("ended with 1: llama_model_load: error loading model: it")


@pytest.mark.skipif(shutil.which("llama-bench") is None, reason="needs llama-bench on PATH")
def test_the_real_program_times_a_real_model(files: dict[str, Path]) -> None:
    costs = time_files(files, WORK)
    assert {cost.llama.name for cost in costs.values()} == {"llama-bench"}
    assert [(len(cost.rounds), cost.reason) for cost in costs.values()] == [(5, None), (5, None)]
