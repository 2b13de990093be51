"""What llama.cpp did in a second with files, as a table and on a page."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from widthwise.findings import other_network_sentences
from widthwise.report import cost_key, cost_tables, write_report
from widthwise.study import Record, StoredStudy

RATES = (10.0, 11.0, 10.5, 10.2, 10.8)
TOLD: dict[str, Any] = {
    "runtime": "llama.cpp", "build": "llama-bench 11549 (abc1234)", "device": "Some CPU",
    "threads": 2, "file_type": "q8_0", "weight_bytes": 1_000_000, "weights": "0" * 64,
    "load": 1.0, "is_busy": False, "seed": 0, "widthwise": "0.1.0",
    "time": "2026-01-01T00:00:00+00:00", "workload": "512x32x1", "prompts": 1,
    "prompt_tokens": [512, 512], "new_tokens": 32, "batch": 1,
}  # fmt: skip


def rates(model: str, scale: float = 1.0, width: int = 64, **told: Any) -> list[Record]:
    """The records of a file: it reads ten times as fast as it writes."""
    records = []
    for metric, times in (("prefill", 10), ("decode", 1)):
        items = tuple(times * scale * rate for rate in RATES)
        records.append(
            Record(
                cell=f"{model} {metric}",
                model=model,
                criterion=None,
                asked="dense",
                width=width,
                expansion_ratio=width / 32,
                quantity=f"512x32x1 {metric}",
                unit="tokens_per_sec",
                value=sorted(items)[2],
                standard_error=0.1,
                n=5,
                higher_is_better=True,
                items=items,
                settings={**TOLD, **told},
            )
        )
    return records


def test_files_stand_in_rows_with_ratios_to_the_first() -> None:
    narrow = rates("narrow.gguf", 1.25, 32, weight_bytes=800_000)
    (table,) = cost_tables([*rates("dense.gguf"), *narrow])
    assert table.title == "512x32x1"
    assert table.about == (
        "llama.cpp reads a prompt of 512 tokens, and writes 32 tokens; llama-bench 11549 "
        "(abc1234), Some CPU, 2 threads, 5 rounds; 2026-01-01 00:00 UTC"
    )
    assert table.rows == (
        ("dense.gguf", "q8_0", "64", "1.0 MB", "105 ± 0.1", "", "10.5 ± 0.1", ""),
        ("narrow.gguf", "q8_0", "32", "800.0 kB", "131 ± 0.1", "1.250 [1.250, 1.250]",
         "13.1 ± 0.1", "1.250 [1.250, 1.250]"),
    )  # fmt: skip


def test_a_file_without_times_says_why_and_a_busy_machine_is_said() -> None:
    busy = rates("dense.gguf", is_busy=True, load=5.7)
    lost = [
        replace(r, value=None, standard_error=None, n=0, items=(), reason="no such architecture")
        for r in rates("odd.gguf")
    ]
    (table,) = cost_tables([*busy, *lost])
    assert table.rows[1][4:] == ("-", "", "-", "")
    assert table.notes[0] == "no such architecture"
    assert "up to 5.7 processes wanted a core" in table.notes[1]


def test_a_page_has_the_table_and_the_sentence(tmp_path: Path) -> None:
    records = (*rates("dense.gguf"), *rates("narrow.gguf", 1.25, 32))
    study = StoredStudy(path=Path("turns"), settings={}, records=records, pending=0)
    write_report([study], tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text(encoding="utf8")
    assert "1.250 [1.250, 1.250]" in page
    assert "Working memory" not in page
    assert "Limit:" not in cost_key(records)
    assert other_network_sentences(records) == [
        "The first is dense.gguf.",
        "narrow.gguf on 512x32x1: the speed of reading the prompt is 1.25 times that of the first "
        "(95 % interval 1.25 to 1.25) and that of writing tokens is 1.25 times that of the first "
        "(95 % interval 1.25 to 1.25).",
    ]
