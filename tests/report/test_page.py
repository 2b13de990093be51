"""The page: self-contained, escaped, atomic, deterministic, and honest about what is missing."""

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from report_records import make_records

from widthwise.errors import OutputError
from widthwise.report import write_page
from widthwise.study import Record

VOID = {"meta", "link", "br", "hr", "img", "input"}


class Page(HTMLParser):
    """Opens and closes every element, and keeps references, identifiers and text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.references: list[str] = []
        self.text = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.ids += [value or "" for name, value in attrs if name == "id"]
        names = ("src", "href", "xlink:href", "srcset", "data", "poster", "action")
        self.references += [value or "" for name, value in attrs if name in names]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data if data.strip() else " "


def write(path: Path, records: list[Record], title: str = "A study") -> str:
    write_page(records, path, title=title, settings={"seed": 0, "versions": {"torch": "2.13.0"}})
    return path.read_text(encoding="utf8")


def some(*quantities: str) -> list[Record]:
    return [r for r in make_records() if r.quantity in quantities]


@pytest.fixture(scope="module")
def html(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write(tmp_path_factory.mktemp("page") / "report.html", make_records())


def test_page_is_well_formed_with_unique_identifiers(html: str) -> None:
    page = Page(html)
    assert page.open == []
    assert len(page.ids) == len(set(page.ids))
    figures = page.tags.count("svg")
    assert figures == 6 + 3 + 5 * 3  # six scores; size, two speeds; three costs of five fronts
    assert page.tags.count("title") == 1 + figures
    files = [r.partition(";")[0] for r in page.references if r.startswith("data:")]
    assert files.count("data:image/svg+xml") == figures
    assert files.count("data:text/csv") == 1 + figures + 2  # all records, scores, networks


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
