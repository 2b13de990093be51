"""Records of one task at three widths, as a folder and as a page."""

import json
from pathlib import Path

from report_records import DENSE, score

from widthwise.report import write_report
from widthwise.study import Record, StoredStudy

PARENT, WIDE, CUT = (None, "dense", DENSE), ("ppm", "2.4x", 1376), ("ppm", "1.6x", 912)


CHANCE = ("random", "1.6x", 912)


def right(n: int, of: int = 60) -> list[float]:
    return [1.0] * n + [0.0] * (of - n)


def some() -> list[Record]:
    at = ((PARENT, 50), (WIDE, 45), (CUT, 30), (CHANCE, 25))
    return [score(place, "piqa", right(n)) for place, n in at]


def drawn(tmp_path: Path, records: list[Record]) -> str:
    path = tmp_path / "page.html"
    write_report([StoredStudy(path=tmp_path, settings={}, records=tuple(records), pending=0)], path)
    return path.read_text(encoding="utf8")


def folder(path: Path, records: list[Record], **settings: object) -> Path:
    path.mkdir()
    (path / "records.jsonl").write_text("".join(r.to_json() + "\n" for r in records))
    (path / "study.json").write_text(json.dumps(settings))
    return path
