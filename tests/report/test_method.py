"""How a page says that its numbers were measured."""

from dataclasses import replace
from pathlib import Path

from html_page import Page, some, write


def test_page_says_how_it_was_measured(html: str) -> None:
    text = Page(html).text
    for said in ("torch 2.13.0", "bfloat16", "frequencies of single bytes", "always 'yes'"):
        assert said in text
    assert "accuracy, 5 shots, n = 100" in text


def test_page_says_that_intervals_are_anytime_valid(tmp_path: Path) -> None:
    made = [replace(r, settings={"until": 0.05}) for r in some("piqa")]
    assert "confidence sequence by betting" in Page(write(tmp_path / "a.html", made)).text
    assert "by betting" not in Page(write(tmp_path / "b.html", some("piqa"))).text
