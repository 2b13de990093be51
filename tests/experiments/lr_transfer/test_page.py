"""The page of learning-rate transfer: the sentences of the library, of whole seeds alone."""

from __future__ import annotations

from pathlib import Path

from run_pages import RESULTS, page_of, stored, words

from widthwise.experiments.lr_transfer import optimum_shifts
from widthwise.experiments.lr_transfer import results as transfer


def test_transfer_says_the_library_s_sentences(pages: dict[str, str], tmp_path: Path) -> None:
    text = words(pages["transfer"])
    runs = [run for run, _ in transfer.load(RESULTS / "transfer" / "results.jsonl").values()]
    for shift in optimum_shifts(runs):
        assert shift.sentence.partition(": ")[2] in text
    few = stored(tmp_path, "transfer", lambda old: [run for run in old if run["seed"] < 4])
    text = words(page_of(few, tmp_path / "few.html"))
    assert "muP: whether it stays is not decided by these seeds." in text


def test_a_seed_that_is_not_finished_is_left_out_of_the_verdict(tmp_path: Path) -> None:
    folder = stored(tmp_path, "transfer", lambda old: old[:-1])
    text = words(page_of(folder, tmp_path / "page.html"))
    assert "Not finished: seed 15 has 62 of 63 runs" in text
    runs = [run for run, _ in transfer.load(folder / "results.jsonl").values() if run.seed < 15]
    assert optimum_shifts(runs)[0].sentence.partition(": ")[2] in text
    short = stored(tmp_path / "transfer", "transfer", lambda old: old[:50])
    text = words(page_of(short, tmp_path / "short.html"))
    assert "Not known yet: an error needs at least 2 seeds; got 1." in text
