"""The page: self-contained, escaped, atomic, deterministic, and honest about what is missing."""

import base64
import csv
import re
from dataclasses import replace
from html.parser import HTMLParser
from io import StringIO
from pathlib import Path

import pytest
import scipy.stats
from report_records import make_records, record, sweep_records

from widthwise.errors import OutputError, RunError
from widthwise.report import write_page
from widthwise.report.provenance import setting_rows
from widthwise.stats import confidence_sequence, share_interval
from widthwise.study import Record

MADE = make_records()
VOID = {"meta", "link", "br", "hr", "img", "input"}
REASON = "the process ran out of memory"


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


def test_page_says_how_it_was_measured(html: str) -> None:
    text = Page(html).text
    for said in ("torch 2.13.0", "bfloat16", "frequencies of single bytes", "always 'yes'"):
        assert said in text
    assert "accuracy, 5 shots, n = 100" in text


def test_setting_that_differs_is_said_of_each_quantity() -> None:
    halved = [replace(r, settings={"budget": len(r.quantity)}) for r in some("mmlu", "boolq")]
    assert dict(setting_rows(halved, {})) == {"budget": "4 (mmlu); 5 (boolq)"}


def test_setting_left_open_is_what_the_records_say() -> None:
    many = [
        replace(r, settings={"dtype": "bfloat16", "rounds": [i] * 30}) for i, r in enumerate(MADE)
    ]
    rows = dict(setting_rows(many, {"dtype": None, "limit": None, "items_asked": 100}))
    assert rows == {
        "dtype": "bfloat16",
        "limit": "not set",
        "items asked": "100",
        "rounds": f"{len(MADE)} values, in the records",
    }


def test_page_carries_all_records(html: str) -> None:
    link = next(r for r in Page(html).references if r.startswith("data:"))
    text = base64.b64decode(link.partition("base64,")[2]).decode()
    rows = list(csv.DictReader(StringIO(text)))
    records = make_records()
    assert [row["cell"] for row in rows] == [r.cell for r in records]
    assert [float(row["value"]) for row in rows] == [r.value for r in records]
    assert tuple(map(float, rows[0]["items"].split())) == records[0].items


@pytest.mark.parametrize("until", [None, 0.05])
def test_a_figures_csv_has_the_intervals_of_its_bars(tmp_path: Path, until: float | None) -> None:
    """Of shares those of a share, early stop or not, and of bits per byte Student's."""
    made = [r for r in MADE if r.quantity in ("piqa", "prose")]
    made = [replace(r, settings={**r.settings, "until": until}) for r in made]
    page = Page(write(tmp_path / "page.html", made))
    links = [r for r in page.references if r.startswith("data:text/csv")]
    tables = [base64.b64decode(link.partition("base64,")[2]).decode() for link in links]
    rows = [
        row
        for table in tables
        for row in csv.DictReader(StringIO(table))
        if {"quantity", "low"} <= row.keys()
    ]
    drawn = {(row["quantity"], row["criterion"], row["width"]): row for row in rows}
    assert len(drawn) == len(rows) == len(made)
    for one in made:
        row = drawn[one.quantity, one.criterion or "", str(one.width)]
        assert (float(row["low"]), float(row["high"])) == pytest.approx(known_ends(one, until))


def known_ends(found: Record, until: float | None) -> tuple[float, float]:
    assert found.value is not None
    if found.unit == "accuracy" and until is not None:
        sequence = confidence_sequence(found.items, low=0.0, high=1.0)
        return sequence.low, sequence.high
    if found.unit == "accuracy":
        return share_interval(found.value, found.n)
    known = scipy.stats.ttest_1samp(found.items, 0).confidence_interval()
    return float(known.low), float(known.high)


def test_page_of_a_sweep_shows_every_task(tmp_path: Path) -> None:
    page = Page(write(tmp_path / "page.html", sweep_records()))
    assert page.open == []
    drawn = [i for i in page.ids if i.startswith(("score-", "size-")) and i.endswith("-title")]
    assert len(drawn) == 13 + 2  # the size and prefill
    assert len((tmp_path / "page.html").read_bytes()) < 2e6
    for said in (
        "n = 200; no floor: no trivial answerer is known",
        "Sample: 200 of 1,319 items, seed 0.",
        "chance: 0.250; always 'A': 0.200.",
        "log scale",
        "Capped is the share",
    ):
        assert said in page.text
    settings = page.text[page.text.index("How this was measured") :]
    assert "chance corrected" not in settings  # the table of scores has it


def test_page_says_that_intervals_are_anytime_valid(tmp_path: Path) -> None:
    made = [replace(r, settings={"until": 0.05}) for r in some("piqa")]
    assert "confidence sequence by betting" in Page(write(tmp_path / "a.html", made)).text
    assert "by betting" not in Page(write(tmp_path / "b.html", some("piqa"))).text


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


@pytest.mark.parametrize("quantity", ["piqa", "prose", "decode", "parameters"])
def test_missing_values_are_shown_with_their_reason(tmp_path: Path, quantity: str) -> None:
    gone = {"value": None, "standard_error": None, "items": (), "reason": REASON}
    records = [
        replace(r, **gone)
        if (r.quantity, r.asked) in ((quantity, "1.6x"), ("mmlu", "dense"))
        else r
        for r in some(quantity, "mmlu")
    ]
    text = Page(write(tmp_path / "page.html", records)).text
    assert "missing [1]" in text
    assert re.search(rf"\[1\].*{quantity} of ppm 1\.58x.*: {REASON}", text)


def test_everything_missing_still_makes_a_page(tmp_path: Path) -> None:
    gone = {"value": None, "standard_error": None, "items": (), "reason": REASON}
    text = Page(write(tmp_path / "page.html", [replace(r, **gone) for r in make_records()])).text
    assert REASON in text
    assert "no loss can be judged" in text


@pytest.mark.parametrize(
    "only",
    [
        record((None, "dense", 1536), "parameters", "count", 134.5e6, n=1),
        record(("ppm", "2.4x", 1376), "decode", "tokens_per_sec", 17.0, n=5),
        record(("ppm", "2.4x", 1376), "mmlu", "accuracy", 0.25, n=1, higher_is_better=True),
    ],
    ids=lambda r: r.quantity,
)
def test_one_record_makes_a_page_that_says_so(tmp_path: Path, only: Record) -> None:
    page = Page(write(tmp_path / "page.html", [only]))
    assert "1 record" in page.text
    assert page.open == []


def test_no_records_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="at least one record; got none"):
        write(tmp_path / "page.html", [])
    assert list(tmp_path.iterdir()) == []


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
