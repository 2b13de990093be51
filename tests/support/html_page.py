"""Pages of studies as a browser reads them."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path

from report_records import make_records

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
    """The records of these quantities."""
    return [r for r in make_records() if r.quantity in quantities]
