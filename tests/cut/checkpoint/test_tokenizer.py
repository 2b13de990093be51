"""A tokenizer is loaded with its words, or the cause is named; words without a row are named."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import transformers as hf
from families import tiny
from healing_runs import VOCABULARY, run, save_dense, save_text

from widthwise import make_plan, prune_checkpoint
from widthwise.cut.checkpoint import load_tokenizer
from widthwise.errors import RunError
from widthwise.prune.calibration import calibrate
from widthwise.prune.healing import heal

SENTENCEPIECE = b"\n\x0e\n\x05<unk>\x15\0\0\0\0\x18\x02" * 3
TIKTOKEN = b"IQ== 0\nIg== 1\n"
WORD = "<image_soft_token>"


@pytest.fixture
def dense(tmp_path: Path) -> Path:
    return save_dense(tmp_path / "dense")


def only(folder: Path, **files: bytes) -> None:
    """Replace the files of the tokenizer."""
    for file in folder.glob("tokenizer*"):
        file.unlink()
    for name, content in files.items():
        (folder / name.replace("__", ".")).write_bytes(content)


@pytest.fixture
def no_sentencepiece(monkeypatch: pytest.MonkeyPatch) -> None:
    """The package of the tests' own environment cannot be imported."""
    monkeypatch.setitem(sys.modules, "sentencepiece", None)


def problem(folder: Path) -> str:
    with pytest.raises(RunError) as found:
        load_tokenizer(folder, str(folder))
    assert "\n" not in str(found.value)
    return str(found.value)


CODE = b'{"auto_map": {"AutoTokenizer": ["tokenization_x.X", null]}}'
LLAMA = b'{"tokenizer_class": "LlamaTokenizer"}'
CASES: dict[str, tuple[dict[str, bytes], str]] = {
    "sentencepiece": (
        {"tokenizer__model": SENTENCEPIECE, "tokenizer_config__json": LLAMA},
        "needs a package that is not installed: pip install sentencepiece",
    ),
    "sentencepiece alone": ({"tokenizer__model": SENTENCEPIECE}, "pip install sentencepiece"),
    "tiktoken": ({"tokenizer__model": TIKTOKEN}, "pip install tiktoken"),
    "a class that needs a package": (
        {"vocab__txt": b"a\n", "tokenizer_config__json": b'{"tokenizer_class": "CpmAntTokenizer"}'},
        "pip install rjieba",
    ),
    "no file": ({}, "there is no tokenizer to load; put its files"),
    "settings alone": ({"tokenizer_config__json": LLAMA}, "there is no tokenizer to load"),
    "no words": (
        {"vocab__json": b"{}", "merges__txt": b"", "tokenizer_config__json": LLAMA},
        "tokenizer",
    ),
    "damaged": ({"tokenizer__json": b"{"}, "cannot be loaded from the files next to config.json"),
    "another file": ({"tokenizer__json": b"{}"}, "cannot be loaded from the files next"),
    "a pointer": (
        {"tokenizer__json": b"version https://git-lfs.github.com/spec/v1\noid sha256:a\n"},
        "cannot be loaded from the files next to config.json",
    ),
    "code": (
        {
            "vocab__json": b"{}",
            "tokenizer_config__json": CODE,
        },
        "needs its own code, which widthwise does not run",
    ),
}


@pytest.mark.usefixtures("no_sentencepiece")
@pytest.mark.parametrize("kind", CASES)
def test_a_tokenizer_that_cannot_be_had_is_an_error_that_names_the_cause(
    kind: str, dense: Path
) -> None:
    files, message = CASES[kind]
    only(dense, **files)
    assert message in problem(dense)


@pytest.mark.usefixtures("no_sentencepiece")
def test_every_command_names_the_package_that_a_tokenizer_needs(
    dense: Path, tmp_path: Path, data: Path
) -> None:
    text, child = save_text(tmp_path / "text.txt"), tmp_path / "child"
    prune_checkpoint(dense, child, make_plan(dense, width=20, align=1, criterion="ppm"))
    for folder in (dense, child):
        only(folder, tokenizer__model=SENTENCEPIECE, tokenizer_config__json=LLAMA)
    out = ["-o", tmp_path / "out"]
    texts = ["--calibration", text, "--tokens", 2048]
    asked = (
        ["prune", dense, "--width", 20, "--exact", "--refit", *texts, *out],
        ["plan", dense, "--width", 20, "--exact", *texts, "-o", tmp_path / "plan.json"],
        ["heal", child, "--dense", dense, "--text", text, *out],
        ["evaluate", dense, "--suite", "piqa", "--data", data, *out],
        ["mup", "transfer", text, "--tokenizer", dense, *out],
    )
    for words in asked:
        result = run(*words)
        assert result.exit_code == 1, words
        assert "pip install sentencepiece" in result.stderr, (words, result.stderr)
        assert "Traceback" not in result.output


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Two questions of PIQA."""
    return save_questions(tmp_path / "data", "boil water")


def save_questions(folder: Path, goal: str) -> Path:
    (folder / "piqa").mkdir(parents=True)
    rows = [
        {"goal": f"{goal} {i}", "sol1": "use fire", "sol2": "look at it", "label": i}
        for i in (0, 1)
    ]
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    (folder / "piqa" / "validation.jsonl").write_text(lines)
    return folder


@pytest.fixture
def longer(dense: Path) -> Path:
    """A checkpoint whose tokenizer knows a word more than its table has rows."""
    tokenizer = hf.AutoTokenizer.from_pretrained(dense)
    tokenizer.add_tokens([WORD])
    tokenizer.save_pretrained(dense)
    assert len(tokenizer) == VOCABULARY + 1
    return dense


def test_a_word_without_a_row_does_no_harm_where_it_does_not_occur(
    longer: Path, tmp_path: Path, data: Path
) -> None:
    result = run(
        "evaluate", longer, "--suite", "piqa", "--data", data, "--dtype", "float32",
        "-o", tmp_path / "out",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    text = save_text(tmp_path / "text.txt")
    assert calibrate(longer, text=text, tokens=2048).parts


@pytest.mark.parametrize("backend", ["widthwise", "hf"])
def test_a_word_without_a_row_is_named_before_a_model_is_asked(
    backend: str, longer: Path, tmp_path: Path
) -> None:
    data = save_questions(tmp_path / "data", f"see {WORD}")
    result = run(
        "evaluate", longer, "--suite", "piqa", "--data", data, "--dtype", "float32",
        "--backend", backend, "-o", tmp_path / "out",
    )  # fmt: skip
    assert result.exit_code == 1
    assert f"task piqa: contains '{WORD}', token {VOCABULARY}, for which the model has no" in (
        result.stderr
    )


def test_a_word_without_a_row_is_named_by_what_reads_texts(
    longer: Path, tmp_path: Path, short_blocks: None
) -> None:
    text = tmp_path / "text.txt"
    text.write_text(f"the king {WORD} of the river was here. " * 200)
    child = prune_checkpoint(
        longer, tmp_path / "child", make_plan(longer, width=20, align=1, criterion="ppm")
    )
    calls: tuple[Callable[[], object], ...] = (
        lambda: calibrate(longer, text=text, tokens=2048),
        lambda: make_plan(longer, width=20, criterion="ppm_activation", calibration=text),
        lambda: heal(child, longer, text=text, out=tmp_path / "out"),
    )
    for call in calls:
        with pytest.raises(RunError, match=rf"contains '{WORD}', token {VOCABULARY}"):
            call()


def test_a_model_in_memory_is_calibrated_by_a_longer_tokenizer(
    longer: Path, tmp_path: Path
) -> None:
    tokenizer = hf.AutoTokenizer.from_pretrained(longer)
    model = tiny("llama", vocab_size=VOCABULARY)
    text = save_text(tmp_path / "text.txt")
    assert calibrate(model, text=text, tokens=2048, tokenizer=tokenizer).parts
    text.write_text(f"the king {WORD} of the river was here. " * 200)
    with pytest.raises(RunError, match=f"contains '{WORD}'"):
        calibrate(model, text=text, tokens=2048, tokenizer=tokenizer)
    assert torch.isfinite(model.lm_head.weight).all()
