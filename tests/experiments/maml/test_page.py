"""The page of meta-learning runs says what their records hold."""

from __future__ import annotations

from run_pages import RESULTS, lines, words


def test_maml_says_what_the_records_hold(pages: dict[str, str]) -> None:
    text = words(pages["maml"])
    found = {(x["network"], x["width"]): x for x in lines(RESULTS / "maml" / "results.jsonl")}
    test = found["finite", 2]["test"]
    low, high = (
        100 * (test["accuracy"] + z * test["standard_error"]) for z in (-1.959964, 1.959964)
    )
    assert f"{100 * test['accuracy']:.1f} % at width 2 [{low:.1f}, {high:.1f}]" in text
    assert "Shown below the limit: width 2, 8, linear kernel, ReLU GP and ReLU NTK;" in text
    assert "no difference from it is shown for width 32, 128, 512, 2048 and 8192." in text
    assert "There is one seed: how far another start" in text
    assert found["finite", 2]["settings"]["data"] in text
    assert "10000 (width 2, width 8, width 32 and 6 more); 100 (ReLU GP, ReLU NTK)" in text
