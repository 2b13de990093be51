"""The page of a search: what is not known is claimed nowhere."""

from __future__ import annotations

from run_pages import RESULTS, words

from widthwise.experiments.tinynet_search.findings import tiny_findings
from widthwise.experiments.tinynet_search.markdown import judged_sentences
from widthwise.experiments.tinynet_search.results import load_search


def test_a_search_without_settings_claims_nothing_beside_chance(pages: dict[str, str]) -> None:
    text = words(pages["tinynet-search"])
    assert "whether networks were drawn by chance alone is not known" in text
    assert ">a random network<" not in pages["tinynet-search"]
    trials = load_search(RESULTS / "tinynet-search" / "trials.jsonl").trials
    found = tiny_findings(trials, classes=10, is_chance=False)
    assert all(said in text for said in judged_sentences(found)[:2])
