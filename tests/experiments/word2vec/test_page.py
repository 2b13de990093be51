"""The page of word2vec runs says what their records hold."""

from __future__ import annotations

import re

from run_pages import RESULTS, lines, words


def test_word2vec_says_what_the_records_hold(pages: dict[str, str]) -> None:
    text = words(pages["word2vec"])
    (limit,) = (
        x["score"] for x in lines(RESULTS / "word2vec" / "results.jsonl") if x["network"] == "limit"
    )
    share = 100 * limit["right"] / limit["asked"]
    assert re.search(rf"and {share:.1f} % by the limit \[\d\d\.\d, \d\d\.\d\]", text)
    assert "those of a section share words, so that they are too narrow" in text
