"""The pages of a shrink: one screen of Markdown, and one page for whoever decides."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ..cut.checkpoint import loading_code
from ..findings import Table
from ..io import write_text
from ..report import Block, Page, Section, provenance_section, written_section
from ..stats import number, percent
from .result import ShrinkResult

_HOW = (
    "Both models were asked the same items. A change has its 95 % interval; degrades and improves "
    "are said where it leaves out 0 after Holm's adjustment, and the result beats the floor, the "
    "score of the best answerer that understands nothing. What was measured here is known of these "
    "tasks and this text alone."
)


def write_readme(result: ShrinkResult, path: Path) -> None:
    """Write the screen of Markdown, whole or not at all.

    Raises:
        OutputError: It cannot be written.
    """
    write_text(path, "\n".join(_readme(result)) + "\n")


def write_page(result: ShrinkResult, path: Path) -> None:
    """Write the page, whole or not at all.

    Raises:
        OutputError: It cannot be written.
    """
    shrink_page(result).write(path)


def _title(result: ShrinkResult) -> str:
    return f"{Path(result.plan.sizes.parent).name}, made smaller"


def _readme(result: ShrinkResult) -> Iterator[str]:
    """Its lines."""
    yield from (f"# {_title(result)}", "", result.verdict, "")
    yield from (f"## {result.table.title}", "", f"{result.table.about}.", "")
    yield from (result.table.markdown(), "")
    if (far := result.distance_table).rows:
        yield from (f"## {far.title}", "", far.markdown(), "")
    yield from (f"- {line}" for line in _lost(result))
    yield from ("", "## Size and speed", "", _sizes(result).markdown(), "")
    if result.speeds:
        yield from (f"{result.speed_table.about}.", "", result.speed_table.markdown(), "")
        yield from (line for note in result.speed_table.notes for line in (note, ""))
    if result.trial_table.rows:
        yield from (f"## {result.trial_table.title}", "", result.trial_table.markdown(), "")
    yield from ("## How to load it", "", _loading(result), "")
    yield f"Made in {result.minutes:.1f} minutes. `report.html` has the same for people who decide."


def _lost(result: ShrinkResult) -> tuple[str, ...]:
    return (*result.refit_sentences, result.healing_sentence)


def _sizes(result: ShrinkResult) -> Table:
    """The sizes before and after."""
    sizes, file = result.plan.sizes, f"bytes of {result.plan.file}"
    before, after = result.plan.dense_bytes, result.file_bytes
    own = result.parameters
    rows = (
        ("neurons in a block", str(sizes.intermediate_size), result.neurons, ""),
        (
            "parameters",
            number(sizes.parent_parameters, "count"),
            number(own, "count"),
            percent(1 - own / sizes.parent_parameters),
        ),
        (file, number(before, "bytes"), number(after, "bytes"), percent(1 - after / before)),
    )
    return Table(
        title="Size",
        about="Sizes before and after",
        header=("what", "before", "after", "less"),
        rows=rows,
    )


def _loading(result: ShrinkResult) -> str:
    code = loading_code(result.model).replace("path/to/this/folder", str(result.model.absolute()))
    if result.settings.gguf is None:
        return code.rstrip()
    return f"{code}\n```sh\nllama-cli -m {result.file.absolute()}\n```"


def _ways_to_load(result: ShrinkResult) -> Iterator[str]:
    """How each result is loaded, in a sentence."""
    if result.settings.gguf is not None:
        yield f"With llama.cpp: llama-cli -m {result.file.absolute()}"
    path = str(result.model.absolute())
    trusted = ", trust_remote_code=True" if result.settings.per_layer else ""
    yield f"With transformers: AutoModelForCausalLM.from_pretrained({path!r}{trusted})"


def _facts(result: ShrinkResult) -> list[tuple[str, str]]:
    """What the result came from."""
    settings = result.settings
    return [
        ("asked", str(result.plan.goal)),
        ("model", settings.model),
        ("tasks", f"{', '.join(settings.tasks)}; up to {settings.limit} items each"),
        ("text", settings.text or "embedded text"),
        ("minutes", f"{result.minutes:.1f} of {settings.minutes:g}"),
        ("checkpoint", str(result.model.absolute())),
        ("deployed", str(result.file.absolute())),
    ]


def shrink_page(result: ShrinkResult) -> Page:
    """The page for whoever decides."""
    tables = [_sizes(result), *(t for t in (result.speed_table, result.trial_table) if t.rows)]
    lost = [table for table in (result.table, result.distance_table) if table.rows]
    return Page(
        title=_title(result),
        byline=f"asked for {result.plan.goal.words} · {result.width_words} of "
        f"{result.plan.sizes.intermediate_size}",
        answer=[result.verdict, *(result.plan.first_words if result.plan.savings else ())],
        sections=[
            Section(
                key="lost",
                title="What it lost",
                link="What it lost",
                blocks=[Block(tables=lost, sentences=_lost(result), notes=[_HOW])],
            ),
            Section(
                key="costs",
                title="What it costs",
                link="What it costs",
                blocks=[Block(tables=tables)],
            ),
            written_section(result.texts),
            Section(
                key="load",
                title="How to load it",
                link="How to load it",
                blocks=[Block(sentences=tuple(_ways_to_load(result)))],
            ),
            provenance_section([("", _facts(result))]),
        ],
    )
