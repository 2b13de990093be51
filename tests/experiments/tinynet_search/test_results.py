"""Trials of a search, read back: classes, and the last proposals of the formula."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from run_pages import RESULTS, page_of, stored

from widthwise.experiments.tinynet_search.results import load_search
from widthwise.experiments.tinynet_search.trials import TrialJob


def test_classes_and_the_last_proposals_come_from_the_trials(tmp_path: Path) -> None:
    found = load_search(RESULTS / "tinynet-search" / "trials.jsonl")
    assert found.classes == 10
    assert found.is_chance is None

    def refitted(old: list[Any]) -> list[Any]:
        first = next(x for x in old if x["experiment"] == "tinynet formula")
        earlier = {**first, "network": {**first["network"], "depth": 0.7}}
        work = {name: earlier[name] for name in ("experiment", "network", "settings", "seed")}
        return [*old[:1], {**earlier, "key": TrialJob(**work).key}, *old[1:]]

    folder = stored(tmp_path, "tinynet-search", refitted)
    (folder / "study.json").write_text('{"sampler": "random", "sieve": null}')
    again = load_search(folder / "trials.jsonl")
    assert again.trials == found.trials
    assert again.is_chance
    assert ">a random network<" in page_of(folder, tmp_path / "page.html")
