"""What the stored results become today, piece by piece: pages, findings and tables.

    python tests/support/golden_pieces.py   # keep today's pieces, after a look at each

It keeps the digests of `golden_cuts` too.

Numbers are rounded to five digits, and those below 1e-9 to 0, so that the last bits of another
processor do not matter.
"""

from __future__ import annotations

import hashlib
import json
import re
from base64 import b64decode
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import golden_cuts
from click.testing import CliRunner

from widthwise.cli import main

ROOT = Path(__file__).parents[2]
KEPT = Path(__file__).parents[1] / "golden"
DIGESTS = KEPT / "digests.txt"
STUDIES = ("smollm2-criteria.jsonl", "smollm2-demo.jsonl", "smollm2-paper.jsonl")
RUNS = ("maml", "tinynet-search", "transfer", "word2vec")
_LONG = re.compile(r"-?\d+(?:\.\d{3,}(?:e[+-]?\d+)?|(?:\.\d+)?e-\d+)")
_CSV = re.compile(r"(?<=data:text/csv;base64,)[A-Za-z0-9+/=]+")
_NOTHING = 1e-9  # a difference of two equal sums
_PIECE = re.compile(r"(?=<section|<svg|</svg>|<script)")
_NAME = re.compile(r'<section (?:class="\w+" )?id="(\w+)"|<title[^>]*>([^<]+)')


def rounded(text: str) -> str:
    """The text with numbers of many decimals to five digits, those of its CSV files too."""

    def shorter(found: re.Match[str]) -> str:
        value = float(found[0])
        return f"{value:.5g}" if abs(value) > _NOTHING else "0.0"

    return _LONG.sub(shorter, _CSV.sub(lambda found: b64decode(found[0]).decode(), text))


def run(*words: str | Path) -> str:
    result = CliRunner(env={"COLUMNS": "160"}).invoke(main, [str(word) for word in words])
    assert result.exit_code == 0, result.output
    return result.stdout


def texts() -> Iterator[tuple[str, str]]:
    """Name and text of everything that is printed of a result."""
    yield "published", run("findings", "--published")
    for name in STUDIES:
        yield name.removesuffix(".jsonl"), run("findings", ROOT / "results" / name)


def parts() -> Iterator[tuple[str, str]]:
    """Name and content of each part of the pages, and of the findings for machines."""
    for name in STUDIES:
        for found in json.loads(run("findings", ROOT / "results" / name, "--json"))["models"]:
            for key, value in found.items():
                yield f"{name} --json {key}", json.dumps(value)
    with TemporaryDirectory() as folder:
        for name in (*STUDIES, *RUNS):
            page = Path(folder) / "page.html"
            run("report", ROOT / "results" / name, "-o", page)
            for number, piece in enumerate(_PIECE.split(page.read_text(encoding="utf8"))):
                named = _NAME.search(piece[:400])
                label = (named[1] or named[2]) if named else ""
                yield f"{name} page {number:03} {label}".strip(), piece
            page.unlink()


def digests() -> str:
    """A line a part: the beginning of its SHA-256, and its name."""
    return "".join(
        f"{hashlib.sha256(rounded(content).encode()).hexdigest()[:12]}  {name}\n"
        for name, content in parts()
    )


if __name__ == "__main__":
    for name, text in texts():
        (KEPT / f"{name}.txt").write_text(text, encoding="utf8")
    DIGESTS.write_text(digests(), encoding="utf8")
    golden_cuts.keep()
