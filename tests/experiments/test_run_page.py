"""What pages of runs leave out, and how failed runs are shown."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from run_pages import page_of, stored, words

from widthwise.experiments.run_page import settings_conflicts


def of_seed_0(runs: list[Any]) -> list[Any]:
    """Finite networks of widths 2, 8, 32 and so on, then the limit and others."""
    return [run for run in runs if run["seed"] == 0]


def test_runs_of_other_settings_are_left_out_and_counted(tmp_path: Path) -> None:
    assert settings_conflicts([{"a": 1}, {"a": 2, "b": 1}, {"b": 1}, {"a": 2}]) == ["a", "", "", ""]

    def other(old: list[Any]) -> list[Any]:
        first = of_seed_0(old)
        for run in first[:2]:
            run["settings"]["data"] = "other"
        return first

    text = words(page_of(stored(tmp_path, "maml", other), tmp_path / "page.html"))
    assert "2 runs were made with another data than the last ones, and left out here." in text
    assert "at width 32 [" in text
    assert "at width 2 [" not in text


def test_failed_runs_have_their_reasons_and_are_escaped(tmp_path: Path) -> None:
    def failed(old: list[Any]) -> list[Any]:
        first = of_seed_0(old)
        first[0] |= {"test": None, "best_step": None, "reason": "diverged <b>at once</b>"}
        return first

    html = page_of(stored(tmp_path, "maml", failed), tmp_path / "page.html")
    assert "diverged &lt;b&gt;at once&lt;/b&gt;" in html
    assert "width 2, seed 0" in html
    assert "at width 8 [" in words(html)
    every = stored(tmp_path / "maml", "word2vec", lambda old: [
        {**run, "score": None, "reason": "no"} for run in old
    ])  # fmt: skip
    text = page_of(every, tmp_path / "none.html")
    assert "No run came to an accuracy: see the failed runs." in text
    assert "<svg" not in text
