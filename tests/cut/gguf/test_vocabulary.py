"""A vocabulary that a GGUF file stores twice: noticed, and written once where that is asked for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import torch
from command_line import run
from every_family import tiny_model
from llama_cpp import greedy_of_file
from tiny_gguf import write_gguf

from widthwise.cut import Plan
from widthwise.cut.gguf import two_copies, vocabulary_note
from widthwise.errors import OutputError, UnsupportedModelError
from widthwise.prune import make_plan, prune_checkpoint, prune_gguf

TABLE, HEAD = "token_embd.weight", "output.weight"
PROMPT = [1, 40, 41, 42]


def twice(
    folder: Path, table: str = "F32", head: str = "F32", family: str = "llama", apart: float = 0
) -> Path:
    """A file whose head is its table, each in a type.

    Args:
        folder: Where to write it.
        table, head: Their types.
        family: Of the model, and the architecture of the file.
        apart: How far the head was trained apart, in parts of its size.
    """
    model = tiny_model(family, tie_word_embeddings=False).to(torch.bfloat16).float()
    numbers = model.model.embed_tokens.weight.data
    noise = torch.randn(numbers.shape, generator=torch.Generator().manual_seed(1)) * numbers.std()
    model.lm_head.weight.data = numbers + apart * noise
    kinds = {"model.embed_tokens.weight": (TABLE, table), "lm_head.weight": (HEAD, head)}
    given = model.state_dict()
    model.state_dict = lambda: {name: each for name, each in given.items() if name not in kinds}

    def add(writer: Any) -> None:
        for name, (place, kind_name) in kinds.items():
            kind = gguf.GGMLQuantizationType[kind_name]
            rows = gguf.quants.quantize(given[name].numpy(), kind)
            writer.add_tensor(place, rows, raw_dtype=kind)

    write_gguf(model, folder / "tiny.gguf", family.replace("_moe", "moe"), add)
    return folder / "tiny.gguf"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WIDTHWISE_CACHE", str(tmp_path / "cache"))


def tensors(path: Path) -> dict[str, Any]:
    return {tensor.name: tensor for tensor in gguf.GGUFReader(path).tensors}


@pytest.mark.parametrize(
    ("table", "head", "kept"),
    [("Q5_0", "Q8_0", HEAD), ("F16", "Q4_0", TABLE), ("Q8_0", "Q8_0", TABLE)],
)
def test_the_finer_copy_stays_bit_for_bit(table: str, head: str, kept: str, tmp_path: Path) -> None:
    source = twice(tmp_path, table, head)
    plan = make_plan(source, width=32, criterion="ppm")
    whole = prune_gguf(source, tmp_path / "whole.gguf", plan)
    once = prune_gguf(source, tmp_path / "once.gguf", plan, tie_embeddings=True)
    before, two, one = (tensors(each) for each in (source, whole.path, once.path))
    assert [*one] == [name for name in two if name != HEAD]
    assert one[TABLE].tensor_type == before[kept].tensor_type
    for name, tensor in one.items():
        expected = before[kept] if name == TABLE else two[name]
        assert np.array_equal(tensor.data, expected.data)
    left = before[TABLE if kept == HEAD else HEAD]
    assert f"{left.n_bytes:,} bytes less" in str(once)
    # As much less, and the name and the place of one tensor, filled up to 32 bytes.
    assert 0 <= whole.bytes_after - once.bytes_after - left.n_bytes < 128


@pytest.mark.parametrize("layers", [(32, 32, 32), (32, 8, 24)])
def test_llama_cpp_writes_the_same_tokens_by_one_copy(
    layers: tuple[int, ...], tmp_path: Path
) -> None:
    """Also as deci, which a llama of several widths becomes."""
    pytest.importorskip("xllamacpp")
    source = twice(tmp_path, "Q8_0", "Q8_0")
    plan = make_plan(source, width=32, criterion="ppm")
    keep = tuple(keep[:width] for keep, width in zip(plan.keep, layers, strict=True))
    plan = Plan(**{**vars(plan), "keep": keep})
    written = []
    for name, tie in (("whole", False), ("once", True)):
        out = prune_gguf(source, tmp_path / f"{name}.gguf", plan, tie_embeddings=tie).path
        written.append(greedy_of_file(out, PROMPT, 1))
    assert written[0] == written[1]


def test_it_is_noticed_by_plan_inspect_and_prune(tmp_path: Path) -> None:
    source = twice(tmp_path, "Q4_0", "Q8_0")
    saved = tensors(source)[TABLE].n_bytes
    note = vocabulary_note(source)
    assert note is not None
    assert f"{TABLE} (Q4_0) and {HEAD} (Q8_0)" in note
    assert f"{saved:,} bytes smaller" in note
    assert note in run("plan", source, "--width", "32").stderr
    assert json.loads(run("inspect", source).stdout)["vocabulary"] == note
    words = ["prune", source, "--criterion", "ppm", "--width", "32", "-o", tmp_path / "out.gguf"]
    assert note in run(*words).stderr
    tied = run(*words, "--force", "--tie-embeddings")
    assert tied.exit_code == 0, tied.output
    assert note not in tied.stderr
    assert "The vocabulary is stored once, as Q8_0" in tied.stderr
    assert vocabulary_note(tmp_path / "out.gguf") is None
    again = make_plan(
        tmp_path / "out.gguf", remove="20%", criterion="ppm"
    )  # the result is a model like any other
    assert again.intermediate_size == 32


@pytest.mark.parametrize(
    ("kinds", "apart", "noticed"),
    [
        (("Q4_0", "Q8_0"), 0.05, True),  # less than 4 bits round off
        (("Q4_0", "Q8_0"), 0.3, False),
        (("F32", "F32"), 1e-3, False),
        (("F32", "BF16"), 0.0, True),
        (("Q4_0", "Q4_1"), 1.0, False),
    ],
)
def test_a_head_that_was_trained_apart_is_another_matrix(
    kinds: tuple[str, str], apart: float, noticed: bool, tmp_path: Path
) -> None:
    source = twice(tmp_path, *kinds, apart=apart)
    assert (vocabulary_note(source) is not None) == noticed


def test_what_cannot_be_tied_is_one_sentence(tmp_path: Path) -> None:
    for name in ("once", "apart", "both"):
        (tmp_path / name).mkdir()
    once = tmp_path / "once" / "tiny.gguf"
    write_gguf(tiny_model("llama", tie_word_embeddings=True), once)
    with pytest.raises(UnsupportedModelError, match="one copy of the vocabulary already"):
        two_copies(once)
    apart = twice(tmp_path / "apart", apart=1.0)
    words = ["--width", "32", "--tie-embeddings", "-o"]
    refused = run("prune", apart, *words, tmp_path / "out.gguf")
    assert refused.exit_code == 1
    assert "two different matrices" in refused.stderr.splitlines()[-1]
    assert "would be a folder" in run("prune", apart, *words, tmp_path / "out").stderr
    with pytest.raises(OutputError, match="tie_embeddings is for a"):
        prune_checkpoint(
            once, tmp_path / "out", make_plan(once, width=32, criterion="ppm"), tie_embeddings=True
        )
    model = tiny_model("llama")
    model.save_pretrained(tmp_path / "folder")
    refused = run("prune", tmp_path / "folder", *words, tmp_path / "out.gguf")
    assert "a .gguf file is cut from a .gguf file only" in refused.stderr
    with pytest.raises(UnsupportedModelError, match="in every file of the architecture qwen2moe"):
        two_copies(twice(tmp_path / "both", family="qwen2_moe"))
    assert not (tmp_path / "out.gguf").exists()
