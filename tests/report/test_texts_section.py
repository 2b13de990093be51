"""Texts on the page: side by side, faint as far as they are the dense model's."""

from __future__ import annotations

from pathlib import Path

import pytest
from html_page import Page, some

from widthwise.report import write_page
from widthwise.report.texts_section import passage
from widthwise.study import Continuation


def text(
    written: str | None, criterion: str | None = "ppm", prompt: str = "The sea"
) -> Continuation:
    return Continuation(
        model="m",
        criterion=criterion,
        asked="dense" if criterion is None else "2.4x",
        width=1376,
        expansion_ratio=1376 / 576,
        prompt=prompt,
        text=written,
        reason="no room" if written is None else None,
    )


@pytest.mark.parametrize(
    ("written", "first", "shared", "rest"),
    [
        (" is blue and", " is blue and", " is blue and", ""),
        (" is blue and", " is blond", " is ", "blue and"),  # a word is not parted
        (" was", " is", " ", "was"),
        (" is", " is blue", " ", "is"),  # "is" may be the beginning of another word
        ("is", None, "", "is"),
        ("\n\nis", "\n\n\nso", "", " ¶ is"),
    ],
)
def test_a_text_is_parted_where_it_begins_to_differ(
    written: str, first: str | None, shared: str, rest: str
) -> None:
    found = passage("ppm 2.39x", text(written), first)
    assert (found.name, found.shared, found.rest) == ("ppm 2.39x", shared, rest)


def test_what_is_missing_says_why() -> None:
    assert passage("ppm", text(None), " is blue").rest == "missing: no room"


def test_the_page_shows_them_by_prompt(tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    texts = [
        text(f" {word} <b>", name, prompt)
        for prompt in ("The sea", "The sun")
        for name, word in ((None, "is"), ("ppm", "was"))
    ]
    write_page(some("piqa", "bytes"), path, title="t", settings={}, texts=texts)
    page = Page(path.read_text(encoding="utf8"))
    places = [page.text.index(part) for part in ("What it writes", "The sea", "is <b>", "The sun")]
    assert places == sorted(places)
    assert "b" not in page.tags
    shared = path.read_text(encoding="utf8").count('class="shared"')
    assert shared == 2  # of the second one after each prompt: the first is what it is compared with
    write_page(some("piqa", "bytes"), path, title="t", settings={})
    assert "What it writes" not in path.read_text(encoding="utf8")
