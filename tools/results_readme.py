"""Write results/README.md from the stored records. A test fails when the file is stale.

What the records cannot tell (the command, the commit that added the file) stands in `FILES`, as
LOG.md and the history have it; all else is read from the lines of each file.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from widthwise.experiments import detect_run_file
from widthwise.experiments.run_files import PAGES
from widthwise.study import Record, read_study

ROOT = Path(__file__).parents[1]
TARGET = ROOT / "results" / "README.md"
NOT_RECORDED = "not recorded"
MACHINE = ("processor", "threads", "device", "dtype", "torch", "python")  # settings of a line
HEAD = """# Stored results

Made by `make docs` from the records themselves (`tools/results_readme.py`). `widthwise report FILE`
draws the page of a file, and `widthwise findings FILE` says what a study permits to say. No file
records the commit of the code that measured it: the commit below is the one that added the file as
it is. What a file does not record of its machine may stand in [LOG.md](../LOG.md), whose
measurements were made on 2 cores (x86-64 with bf16 units) with 24 GB and no GPU, unless an entry
names another machine.
"""


@dataclass(frozen=True, kw_only=True)
class Source:
    """Where a file of records comes from.

    Attributes:
        path: The file, below `results`.
        command: The command, as far as LOG.md holds it.
        commit: The commit that added these records.
        log: How the heading of its entry in LOG.md begins.
    """

    path: str
    command: str
    commit: str
    log: str


FILES = (
    Source(
        path="smollm2-demo.jsonl",
        command="`make demo`, as it was then",
        commit="a106aba (floors counted again in eb08834)",
        log="2026-11-23 · The demo with a calibrated cut",
    ),
    Source(
        path="smollm2-paper.jsonl",
        command="`widthwise evaluate smollm2 --suite paper --data DIR --remove "
        "10%,20%,30%,40%,50%,60% --limit 160,wikitext=4,mmlu=171,gsm8k=32 --max-new-tokens 256 "
        "--dtype bfloat16`; MUSR and IFEval in a second run, whose options are not recorded",
        commit="a675a04 (floors counted again in eb08834)",
        log="2026-11-23 · SmolLM2 on the paper's 13 tasks",
    ),
    Source(
        path="smollm2-criteria.jsonl",
        command="`widthwise study`; its options are not recorded",
        commit="2c88d5c (floors counted again in eb08834)",
        log="2026-11-28 · TinyNet's default search",
    ),
    Source(
        path="qwen2.5-coder-1.5b/records.jsonl",
        command="`widthwise evaluate qwen2.5-coder-1.5b`, as DESIGN.md beside it says; not "
        "finished, and it goes on in a folder with this file alone",
        commit="009db58",
        log="2026-11-30 · Design: does the dichotomy hold",
    ),
    Source(
        path="maml/results.jsonl",
        command="`widthwise maml --data omniglot28.npz --relu-widths 128,512 --seeds 3`",
        commit="783a1bb",
        log="2026-12-01 · MAML collapses",
    ),
    Source(
        path="word2vec/results.jsonl",
        command="`widthwise word2vec --vocabulary 10000 --width 64,256,1024 --epochs 2 --seeds 3`",
        commit="3c9505e",
        log="2026-12-01 · MAML collapses",
    ),
    Source(
        path="transfer/results.jsonl",
        command="`widthwise mup transfer` with 16 seeds; its other options are not recorded",
        commit="47a5c0e",
        log="2026-11-30 · The embedding's learning rate alone",
    ),
    Source(
        path="transfer-256/results.jsonl",
        command="`widthwise mup transfer wikipedia.txt.gz --widths 32,64,128,256 "
        "--learning-rates 2^-12..2^-4 --seeds 8`, in a folder with the runs above",
        commit="9c38618",
        log="2026-12-01 · At width 256",
    ),
    Source(
        path="transfer-muon/results.jsonl",
        command="`widthwise mup transfer wikipedia.txt.gz --optimizer muon --seeds 4`",
        commit="9c38618",
        log="2026-12-01 · At width 256",
    ),
    Source(
        path="tinynet-search/trials.jsonl",
        command="`widthwise tinynet search` with all its defaults",
        commit="73a169b",
        log="2026-11-28 · TinyNet's default search",
    ),
)


def readme() -> str:
    """The whole page as Markdown."""
    return "\n".join([HEAD, *(_section(source) for source in FILES)])


def _section(source: Source) -> str:
    path = ROOT / "results" / source.path
    lines = [json.loads(line) for line in path.read_text(encoding="utf8").splitlines()]
    settings = [{**line.get("versions", {}), **line["settings"]} for line in lines]
    rows = [
        ("command", source.command),
        ("commit", source.commit),
        ("machine", _machine(settings)),
        ("date", _dates(settings)),
        ("records", f"{len(lines)}, of widthwise {_values(settings, 'widthwise')}"),
        ("measurement", _log_link(source.log)),
    ]
    table = [f"| {name} | {text} |" for name, text in rows]
    runs = detect_run_file(path)
    if runs is None:
        figures = _scores(read_study(path).records)
    else:
        figures = _answer(PAGES[runs.command](path).answer)
    return "\n".join([f"## {source.path}", "", "| | |", "|---|---|", *table, "", *figures, ""])


def _log_link(start: str) -> str:
    """A link to the entry of LOG.md whose heading begins so, by the anchor that GitHub makes."""
    log = (ROOT / "LOG.md").read_text(encoding="utf8")
    (heading,) = re.findall(rf"^## ({re.escape(start)}.*)$", log, re.MULTILINE)
    anchor = re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")
    return f"[LOG.md, {heading}](../LOG.md#{anchor})"


def _machine(settings: Sequence[dict[str, Any]]) -> str:
    values = {name: _values(settings, name) for name in MACHINE}
    known = [f"{name} {value}" for name, value in values.items() if value]
    unknown = [name for name, value in values.items() if not value]
    return "; ".join([*known, *([f"{NOT_RECORDED}: {', '.join(unknown)}"] if unknown else [])])


def _values(settings: Sequence[dict[str, Any]], name: str) -> str:
    """All values that the lines have of a setting; empty where none has it."""
    return " and ".join(dict.fromkeys(str(line[name]) for line in settings if name in line))


def _dates(settings: Sequence[dict[str, Any]]) -> str:
    days = sorted({line["time"][:10] for line in settings if "time" in line})
    return " to ".join(dict.fromkeys([*days[:1], *days[-1:]])) or NOT_RECORDED


def _answer(sentences: Iterable[str]) -> list[str]:
    """What the page of an experiment answers, as a list."""
    return [f"- {sentence}" for sentence in sentences]


def _scores(records: Sequence[Record]) -> list[str]:
    """A row a task that all networks were asked: its floor, the dense score, and each criterion at
    its widest and narrowest."""
    scores = [record for record in records if record.floor_kind]
    criteria = list(dict.fromkeys(r.criterion for r in scores if r.criterion is not None))
    ratios = sorted({record.expansion_ratio for record in scores}, reverse=True)
    dense, widest, narrowest = ratios[0], ratios[1], ratios[-1]
    by_place = {(r.quantity, r.criterion, r.expansion_ratio): r for r in scores}
    rows = [["task", "unit", "floor", "dense", *criteria], ["---"] * (4 + len(criteria))]
    places = [(None, dense), *product(criteria, (widest, narrowest))]
    for task in dict.fromkeys(record.quantity for record in scores):
        if any((task, *place) not in by_place for place in places):
            continue
        first = by_place[task, None, dense]
        rows.append(
            [
                *(task, first.unit, _number(first.floor), _score(first)),
                *(
                    " to ".join(_score(by_place[task, name, r]) for r in (widest, narrowest))
                    for name in criteria
                ),
            ]
        )
    caption = (
        f"Scores ± one standard error; of each criterion at {widest:.2f}x and at {narrowest:.2f}x, "
        f"the widest and the narrowest cut (dense is {dense:.2f}x)."
    )
    return [caption, "", *("| " + " | ".join(row) + " |" for row in rows)]


def _score(record: Record) -> str:
    return f"{_number(record.value)} ± {_number(record.standard_error)}"


def _number(value: float | None) -> str:
    """Three decimals; of large numbers none."""
    if value is None:
        return NOT_RECORDED
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3f}"


if __name__ == "__main__":
    TARGET.write_text(readme(), encoding="utf8")
