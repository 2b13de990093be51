"""The page of word2vec runs says what their records hold."""

from __future__ import annotations

from run_pages import RESULTS, lines, words

from widthwise.experiments.limit_differences import mean_share


def test_word2vec_says_what_the_records_hold(pages: dict[str, str]) -> None:
    text = words(pages["word2vec"])
    scores = [
        x["score"] for x in lines(RESULTS / "word2vec" / "results.jsonl") if x["network"] == "limit"
    ]
    assert len(scores) == 3
    value, low, high = (100 * x for x in mean_share([x["right"] / x["asked"] for x in scores]))
    assert f"and {value:.1f} % by the limit [{low:.1f}, {high:.1f}]." in text
    assert "Shown below the limit: width 64, 256, NTK and GP; no difference" in text
    assert "Means with 95 % intervals over seeds." in text
    assert "those of a section share words, so that they are too narrow" in text
