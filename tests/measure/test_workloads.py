"""Workloads: names, lengths of real prompts, and how they fall into batches."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from widthwise.errors import AssetError, RunError
from widthwise.measure import NAMED, Workload, workload, workloads_of

DATA = Path(__file__).resolve().parents[3] / "shared" / "data" / "benchmarks"


class Letters:
    """A tokenizer whose tokens are letters."""

    def __init__(self) -> None:
        self.read: list[str] = []

    def __call__(self, texts: list[str], **_: Any) -> dict[str, list[str]]:
        self.read += texts
        return {"input_ids": texts}


def test_a_workload_is_named_by_its_numbers() -> None:
    assert workload("512x32") == workload("512x32x1")
    work = workload("512x32x8")
    assert work == Workload(name="512x32x8", prompt_tokens=(512,) * 8, new_tokens=32, batch=8)
    assert (work.batches, work.tokens, work.longest) == (((8, 512),), 8 * 32, 544)


def test_prompts_are_padded_to_the_longest_of_their_batch() -> None:
    work = Workload(name="w", prompt_tokens=(3, 9, 4, 5, 1), new_tokens=2, batch=2)
    assert work.batches == ((2, 9), (2, 5), (1, 1))
    assert (work.tokens, work.longest) == (10, 11)


def test_the_grid_has_all_of_its_corners() -> None:
    works = workloads_of(["grid", "128x1x1"], None)
    assert len(works) == 27
    assert {w.prompt_tokens[0] for w in works} == {128, 512, 2048}
    assert {w.new_tokens for w in works} == {1, 32, 128}
    assert {w.batch for w in works} == {1, 8, 32}


@pytest.mark.parametrize(
    "text",
    ["", "512", "512x", "x32", "512x32x8x1", "5.5x3", "-5x3", "grids", "٣x3", "1x1x12345678"],
)
def test_another_form_is_refused_with_the_forms_there_are(text: str) -> None:
    with pytest.raises(RunError, match=r"PROMPTxNEWxBATCH \(512x32x8, .*\), grid, paper, hell"):
        workloads_of([text], None)


@pytest.mark.parametrize("text", ["0x1", "1x0", "1x1x0"])
def test_nothing_to_do_is_refused(text: str) -> None:
    with pytest.raises(RunError, match="all numbers must be at least 1"):
        workload(text)


def test_no_prompt_is_refused() -> None:
    with pytest.raises(RunError, match="at least one prompt"):
        Workload(name="none", prompt_tokens=(), new_tokens=1, batch=1)


@pytest.mark.skipif(not DATA.is_dir(), reason="the real benchmarks are not beside the checkout")
def test_the_paper_s_workloads_have_the_lengths_of_real_prompts() -> None:
    tokenizer = Letters()
    works = {work.name: work for work in workloads_of(["paper"], tokenizer, data=DATA)}
    assert tuple(works) == NAMED
    asked = {"hellaswag": (100, 20), "mmlu": (100, 50), "ifeval": (30, 150)}
    for task, (count, new_tokens) in asked.items():
        one, eight = works[f"{task}-b1"], works[f"{task}-b8"]
        assert one.prompt_tokens == eight.prompt_tokens
        assert (len(one.prompt_tokens), one.new_tokens) == (count, new_tokens)
        assert (len(one.batches), len(eight.batches)) == (count, -(-count // 8))
    assert all(text.endswith("Answer:") and "\nD. " in text for text in tokenizer.read[:100])
    # the same prompts again, and one of the six alone
    again = workloads_of(["ifeval-b8", "ifeval-b8"], Letters(), data=DATA)
    assert again == (works["ifeval-b8"],)
    assert workloads_of(["ifeval-b8"], Letters(), data=DATA, seed=1) != again


def test_documents_that_are_not_there_are_named(tmp_path: Path) -> None:
    (tmp_path / "readme.json").write_text(json.dumps({}))
    with pytest.raises(AssetError, match="task hellaswag needs its split"):
        workloads_of(["hellaswag-b1"], Letters(), data=tmp_path)
