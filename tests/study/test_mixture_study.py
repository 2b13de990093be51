"""A mixture of experts at several widths: one loaded model, and records that name every width."""

from __future__ import annotations

from pathlib import Path

import pytest
from every_family import tiny_model
from healing_runs import VOCABULARY, save_text, save_tokenizer
from study_runs import by_place, run, settings_of

from widthwise.arch import counts_at
from widthwise.cut.checkpoint import Checkpoint

REFITTED = "activation+refit"


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A mixture with shared experts, and the folder of its study."""
    folder = tmp_path_factory.mktemp("mixture")
    tiny_model("qwen2_moe", vocab_size=VOCABULARY).save_pretrained(folder / "moe")
    save_tokenizer(folder / "moe")
    return folder / "moe", folder


def test_a_study_of_a_mixture_names_the_widths_of_all_kinds(study: tuple[Path, Path]) -> None:
    model, folder = study
    settings = settings_of(
        model,
        widths=("40%", "60%"),
        tasks=("embedded:piqa",),
        criteria=("ppm", REFITTED),
        calibration=str(save_text(folder / "text.txt")),
        tokens=2048,
    )
    records = run(folder / "study", settings)
    assert [record.reason for record in records if record.value is None] == []
    found = by_place(records)
    with Checkpoint(model) as checkpoint:
        architecture = checkpoint.architecture
    for asked, widths in (("dense", (24, 40)), ("40%", (14, 23)), ("60%", (9, 15))):
        for criterion in (None,) if asked == "dense" else ("ppm", REFITTED, "random"):
            record = found[model.name, criterion, asked, "piqa"]
            assert record.width == widths[0]
            assert record.settings["widths"] == dict(
                zip(("experts", "shared"), widths, strict=True)
            )
            stored = found[model.name, criterion, asked, "parameters"]
            assert stored.value == counts_at(architecture, widths).parameters


def test_refits_of_a_mixture_are_kept_and_taken_again(study: tuple[Path, Path]) -> None:
    model, folder = study
    (file,) = (folder / "study" / "calibrated").glob("*.safetensors")
    before = file.read_bytes()
    settings = settings_of(
        model,
        widths=("40%", "60%"),
        tasks=("embedded:piqa", "embedded:prose"),  # further cells of the same networks
        criteria=("ppm", REFITTED),
        calibration=str(folder / "text.txt"),
        tokens=2048,
    )
    records = run(folder / "study", settings)
    assert [record.reason for record in records if record.value is None] == []
    assert file.read_bytes() == before
