"""The page: self-contained, escaped, atomic, deterministic, and honest about what is missing."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
from html_page import Page, some, write
from report_records import make_records

from widthwise.errors import OutputError
from widthwise.report import write_page


def test_page_is_well_formed_with_unique_identifiers(html: str) -> None:
    page = Page(html)
    assert page.open == []
    assert len(page.ids) == len(set(page.ids))
    figures = page.tags.count("svg")
    assert figures == 6 + 3 + 5 * 3  # six scores; size, two speeds; three costs of five fronts
    assert page.tags.count("title") == 1 + figures
    files = [r.partition(";")[0] for r in page.references if r.startswith("data:")]
    assert files.count("data:image/svg+xml") == figures
    assert (
        files.count("data:text/csv") == 1 + figures + 3
    )  # all records, scores, distances, networks


def test_page_refers_to_nothing_outside_itself(html: str) -> None:
    page = Page(html)
    identifiers = {f"#{name}" for name in page.ids}
    data = ("data:text/csv;", "data:image/svg+xml;")
    assert all(r in identifiers or r.startswith(data) for r in page.references)
    assert not {"link", "img", "iframe"} & set(page.tags)
    assert page.tags.count("script") == 1
    assert not re.search(r"https?://(?!www\.w3\.org/)", html)
    assert "@import" not in html
    assert all(target.startswith("#") for target in re.findall(r"url\(([^)]*)\)", html))


def test_page_escapes_what_users_named(tmp_path: Path) -> None:
    name = "<script>alert('x')</script>"
    made = some("piqa", "bytes", "decode")
    records = [replace(r, model=name, quantity=r.quantity + "<b>") for r in made]
    text = write(tmp_path / "page.html", records, title=name + " & co")
    page = Page(text)
    assert "b" not in page.tags
    assert page.tags.count("script") == 1
    assert name in page.text


def test_page_is_the_same_for_the_same_records(tmp_path: Path) -> None:
    first = write(tmp_path / "a.html", some("piqa", "bytes", "decode"))
    assert write(tmp_path / "b.html", some("piqa", "bytes", "decode")) == first


def test_unwritable_place_is_named(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"nowhere/page\.html: No such file"):
        write(tmp_path / "nowhere" / "page.html", make_records()[:1])


def test_failed_write_leaves_the_old_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "page.html"
    old = write(path, make_records()[:1])

    def fail(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(OutputError, match="No space left"):
        write(path, make_records()[:2])
    assert path.read_text(encoding="utf8") == old
    assert [p.name for p in tmp_path.iterdir()] == ["page.html"]


def test_a_page_that_is_not_finished_says_so_and_until_when(tmp_path: Path) -> None:
    made = some("piqa", "bytes", "decode")
    path = tmp_path / "page.html"
    write_page(made, path, title="A study", settings={}, renewed_until=1_700_000_000.4)
    text = path.read_text(encoding="utf8")
    assert '<html lang="en" data-renewed-until="1700000000">' in text
    assert "this page draws itself anew" in Page(text).text
    done = write(path, made)
    assert "data-renewed-until=" not in done
    assert "draws itself anew" not in Page(done).text
