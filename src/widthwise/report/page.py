"""The page: one HTML file with everything in it, written whole or not at all."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from markupsafe import Markup, escape

from .. import __version__
from ..findings import Table
from ..io import write_text
from .html_table import HtmlTable, html_table
from .panels import Panel, slug
from .svg import standalone_svg_uri, to_svg

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_HERE = Path(__file__).parent
_ON_ONE_LINE = re.compile(r" %|\[[^]]*\]")
Legend = Sequence[tuple[str, str, str]]  # glyph, colour and name


@dataclass(frozen=True, kw_only=True)
class Detail:
    """Sentences and a table that a reader may open.

    Attributes:
        summary: What is seen of it at first.
        sentences: Its text.
        table: Below the text; None where there is none.
    """

    summary: str
    sentences: tuple[str, ...]
    table: Table | None = None


@dataclass(frozen=True, kw_only=True)
class Passage:
    """A text beside others that begin alike.

    Attributes:
        name: Who wrote it.
        shared: Its beginning, as far as it is like that of the first of them.
        rest: What follows.
    """

    name: str
    shared: str
    rest: str


@dataclass(frozen=True, kw_only=True, eq=False)
class Sheet:
    """A large figure that has a width of its own.

    Attributes:
        figure: The same that a command writes to a file.
        caption: Under it.
    """

    figure: Figure
    caption: str


@dataclass(frozen=True, kw_only=True)
class Block:
    """Part of a section; what is empty is left out.

    Attributes:
        heading: Above it.
        about: Small, below the heading.
        legend: Of the figures, with a remark on what all of them share.
        legend_about: What the legend is read out as.
        marks: Whether the legend names intervals and floors too.
        panels: Figures side by side.
        is_large: Whether the figures are larger.
        choices: Figures by what a reader chooses; one choice is shown at a time.
        sheet: A large figure alone.
        passages: Texts beside each other.
        sentences: Text.
        tables: Tables under their titles.
        is_folded: Whether a reader opens tables one by one.
        n_open: How many of these are open at first.
        is_filtered: Whether the heading stands for the tables' titles, and rows can be chosen.
        details: What a reader may open.
        definitions: Names and what they are.
        notes: Small, at the end.
    """

    heading: str = ""
    about: str = ""
    legend: Legend = ()
    legend_about: str = "Legend of the figures"
    marks: bool = False
    panels: Sequence[Panel] = ()
    is_large: bool = False
    choices: Sequence[tuple[str, Sequence[Panel]]] = ()
    sheet: Sheet | None = None
    passages: Sequence[Passage] = ()
    sentences: Sequence[str] = ()
    tables: Sequence[Table] = ()
    is_folded: bool = False
    n_open: int = 1
    is_filtered: bool = False
    details: Sequence[Detail] = ()
    definitions: Sequence[tuple[str, str]] = ()
    notes: Sequence[str] = ()


@dataclass(frozen=True, kw_only=True)
class Section:
    """A section of a page.

    Attributes:
        key: Its identifier.
        title: Its heading.
        link: What leads to it at the top of the page.
        about: Below the heading.
        blocks: Its parts; a section without any is not shown.
        remark: Small, at the end.
        is_folded: Whether a reader opens it.
    """

    key: str
    title: str
    link: str
    about: str = ""
    blocks: Sequence[Block] = ()
    remark: str = ""
    is_folded: bool = False


@dataclass(frozen=True, kw_only=True)
class Page:
    """All that a page shows.

    Attributes:
        title: Heading.
        byline: What was measured, in a line.
        answer: What may be said, in a few sentences; the first one first of all.
        lead: The figure that decides, with its legend; a block without anything where there is
            none.
        first_table: What stands above that figure.
        warnings: What is left out or not finished, and why.
        remarks: What could not be compared, and why.
        answers: What each of several studies says by itself, by its name.
        sections: Figures, tables and how it was measured.
        records: A link to all records, and how many there are.
        renewed_until: Until when the file is written anew, in seconds since the epoch; a browser
            that shows it before then loads it again and again. None of one that is finished.
    """

    title: str
    byline: str
    answer: Sequence[str]
    lead: Block = Block()
    first_table: Block = Block()
    warnings: Sequence[str] = ()
    remarks: Sequence[str] = ()
    answers: Sequence[tuple[str, Sequence[str]]] = ()
    sections: Sequence[Section] = ()
    records: tuple[str, str] | None = None
    renewed_until: float | None = None

    def html(self) -> str:
        """The whole file: it needs no other one and no network. Equal pages are equal bytes."""
        import jinja2

        environment = jinja2.Environment(
            loader=jinja2.FileSystemLoader(_HERE),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        environment.filters["unbroken"] = unbroken
        taken: dict[str, int] = {}

        def view(table: Table, filtered: bool = False) -> HtmlTable:
            name = slug(table.title)
            taken[name] = taken.get(name, 0) + 1
            number = f"-{taken[name]}" if taken[name] > 1 else ""
            return html_table(table, name + number, filtered)

        return environment.get_template("page.html").render(
            page=self,
            sections=[section for section in self.sections if section.blocks],
            view=view,
            drawn=self._drawn,
            version=__version__,
            **{name: (_HERE / f"page.{name}").read_text(encoding="utf8") for name in ("css", "js")},
        )

    def _drawn(self, sheet: Sheet) -> tuple[str, str, str]:
        """A sheet as an element, as a link to a file, and the name of that."""
        description = " ".join(self.answer)
        svg = to_svg(sheet.figure, name="runs", title=self.title, description=description)
        return svg, standalone_svg_uri(svg, ()), slug(self.title)

    def write(self, path: Path) -> None:
        """Write the page; an existing file is replaced in one step.

        Raises:
            OutputError: The file cannot be written.
        """
        write_whole(path, self.html())


def provenance_section(parts: Sequence[tuple[str, Sequence[tuple[str, str]]]]) -> Section:
    """Where numbers come from: names and values, under headings if there are several."""
    return Section(
        key="provenance",
        title="Provenance",
        link="Provenance",
        is_folded=True,
        blocks=[Block(heading=heading, definitions=rows) for heading, rows in parts],
        remark=f"Drawn by widthwise {__version__} from records and nothing else.",
    )


def unbroken(text: str) -> str:
    """An interval stays on one line, and so does a number with its per cent sign."""
    return Markup(_ON_ONE_LINE.sub(lambda match: match[0].replace(" ", "\u00a0"), escape(text)))


def write_whole(path: Path, text: str) -> None:
    """Write a page, whole or not at all.

    Raises:
        OutputError: The file cannot be written.
    """
    write_text(path, text, failure="cannot write the report {path}: {error.strerror}")
