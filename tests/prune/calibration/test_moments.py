"""Second moments of activations: equal to a plain loop, additive, without padding; their text."""

from __future__ import annotations

import gzip
import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from families import FAMILIES, LAYERS, VOCAB, WIDTH, tiny
from transformers import PreTrainedTokenizerFast

from widthwise.assets import embedded_model
from widthwise.errors import AssetError, OutputError, RunError
from widthwise.prune.calibration import (
    BLOCK_TOKENS,
    Calibration,
    LayerwiseRunner,
    Moments,
    calibrate,
    read_text,
    text_of,
)


def batches(count: int = 4, seed: int = 3) -> list[dict[str, Any]]:
    generator = torch.Generator().manual_seed(seed)
    return [
        {"input_ids": torch.randint(3, VOCAB, (3, 20 + i), generator=generator)}
        for i in range(count)
    ]


def plain_moments(model: Any, layer: int, given: list[dict[str, Any]]) -> torch.Tensor:
    """The sum of h h^T in float64, token by token, with the model run as a whole."""
    seen: list[torch.Tensor] = []
    down = model.get_submodule(f"model.layers.{layer}.mlp.down_proj")
    handle = down.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].detach()))
    with torch.no_grad():
        for batch in given:
            model(**batch)
    handle.remove()
    total = torch.zeros(WIDTH, WIDTH, dtype=torch.float64)
    for batch, rows in zip(given, seen, strict=True):
        mask = batch.get("attention_mask", torch.ones_like(batch["input_ids"]))
        for h, kept in zip(rows.flatten(0, 1).double(), mask.flatten(), strict=True):
            if kept:
                total += torch.outer(h, h)
    return total


@pytest.mark.parametrize("family", FAMILIES)
def test_moments_equal_a_plain_loop(family: str) -> None:
    """Every layer of every family, each layer run on its own. float32 sums of 60 terms: 1e-5."""
    model, given = tiny(family), batches()
    calibration = calibrate(model, text=given)
    for layer in range(LAYERS):
        halves = calibration.layers[layer]
        for moments, half in ((halves.fit, given[::2]), (halves.held_out, given[1::2])):
            expected = plain_moments(model, layer, half)
            torch.testing.assert_close(
                moments.total.double(), expected, rtol=1e-4, atol=1e-5 * float(expected.max())
            )
            assert moments.tokens == sum(batch["input_ids"].numel() for batch in half)


def test_a_model_is_run_in_eval_mode_and_left_as_it_was() -> None:
    model = tiny("llama", attention_dropout=0.5).train()
    forward = model.model.layers[0].forward
    first, again = (calibrate(model, text=batches()).layers[1].fit.total for _ in range(2))
    assert torch.equal(first, again)
    assert model.training
    assert model.model.layers[0].forward == forward
    assert not model.model.layers[1].mlp.down_proj._forward_pre_hooks


def test_a_sum_that_is_wider_than_a_panel_is_whole() -> None:
    rows = torch.randn(50, 1000, generator=torch.Generator().manual_seed(0))
    moments = Moments.empty(1000)
    moments.add(rows[:20])
    moments.add(rows[20:])
    exact = rows.double().T @ rows.double()
    torch.testing.assert_close(moments.total.double(), exact, rtol=0, atol=1e-4)  # |sum| ~ 50


def test_moments_of_bfloat16_are_exact_products_summed_in_float32() -> None:
    rows = torch.randn(64, 96, generator=torch.Generator().manual_seed(0)).bfloat16()
    moments = Moments.empty(96)
    moments.add(rows)
    exact = rows.double().T @ rows.double()
    torch.testing.assert_close(moments.total.double(), exact, rtol=0, atol=1e-4)  # bf16: 0.1
    assert torch.get_float32_matmul_precision() == "highest"


def test_padding_is_left_out() -> None:
    model, (first, second) = tiny("gemma3_text"), batches(2)
    whole = calibrate(model, text=[first, second])
    ids = first["input_ids"]
    mask = torch.cat([torch.ones_like(ids), torch.zeros(3, 6, dtype=torch.long)], 1)
    padded = {
        "input_ids": torch.cat([ids, torch.full((3, 6), 5)], 1),
        "attention_mask": mask,
    }
    got = calibrate(model, text=[padded, second])
    for layer in range(LAYERS):
        torch.testing.assert_close(
            got.layers[layer].fit.total, whole.layers[layer].fit.total, rtol=1e-4, atol=1e-6
        )
    assert got.parts[0].fingerprint == whole.parts[0].fingerprint
    assert got.parts[0].fit_tokens == ids.numel()


def test_merging_and_resuming_from_a_file_equal_one_pass(tmp_path: Path) -> None:
    model, given = tiny("qwen3"), batches(6)
    whole = calibrate(model, text=given)
    first = calibrate(model, text=given[:2], out=tmp_path / "first.safetensors")
    rest = calibrate(model, text=given[2:])
    merged = Calibration.load(tmp_path / "first.safetensors").merged(rest)
    merged.save(tmp_path / "merged.safetensors")
    stored = Calibration.load(tmp_path / "merged.safetensors")
    assert stored.parts == (*first.parts, *rest.parts)
    assert stored.model == whole.model
    for layer in range(LAYERS):
        for half in ("fit", "held_out"):
            got, expected = (getattr(c.layers[layer], half) for c in (stored, whole))
            assert got.tokens == expected.tokens
            torch.testing.assert_close(got.total, expected.total, rtol=1e-5, atol=1e-6)


def test_what_does_not_add_up_is_refused(tmp_path: Path) -> None:
    first = calibrate(tiny("llama"), text=batches())
    with pytest.raises(RunError, match="text in common would count it twice"):
        first.merged(first)
    with pytest.raises(RunError, match="different GLU weights do not add up"):
        first.merged(calibrate(tiny("llama", seed=1), text=batches(seed=4)))
    path = tmp_path / "moments.safetensors"
    first.save(path)
    with pytest.raises(OutputError, match="already exists"):
        first.save(path)
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(RunError, match="cannot be read as moments"):
        Calibration.load(path)
    with pytest.raises(RunError, match="cannot be read as moments"):
        Calibration.load(tmp_path / "absent")
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


def test_a_layer_of_a_file_is_read_when_it_is_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "moments.safetensors"
    calibrate(tiny("llama"), text=batches(), out=path)
    stored = Calibration.load(path)
    assert len(stored.layers) == LAYERS
    assert stored.layers[1] is not stored.layers[1]  # nothing is kept
    with pytest.raises(KeyError):
        stored.layers[LAYERS]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([], "at least two batches that are not all padding"),
        (batches(1), "at least two batches that are not all padding"),
        (
            [{**b, "attention_mask": torch.zeros_like(b["input_ids"])} for b in batches()],
            "not all padding",
        ),
        ([{"input_ids": torch.full((2, 30), 7)}] * 2, "1 different token over and over"),
    ],
)
def test_batches_that_are_no_text_are_refused(given: Any, message: str) -> None:
    with pytest.raises(RunError, match=message):
        calibrate(tiny("llama"), text=given)


def test_a_foreign_token_is_refused() -> None:
    given = batches()
    given[2]["input_ids"][0, 0] = VOCAB
    with pytest.raises(RunError, match=f"token {VOCAB} .* beyond the {VOCAB} tokens of the model"):
        calibrate(tiny("llama"), text=given)


def test_overflow_in_half_precision_is_told() -> None:
    model = tiny("llama")
    with torch.no_grad():
        model.model.layers[1].mlp.up_proj.weight.mul_(1e7)
    calibration = calibrate(model.half(), text=batches())
    calibration.layers[0].fit.mean("layer 0")
    with pytest.raises(
        RunError,
        match=r"layers\.1\.mlp: its activations are not finite: .* or weights up to this layer",
    ):
        calibration.layers[1].fit.mean("model.layers.1.mlp")


def test_no_token_is_told() -> None:
    with pytest.raises(RunError, match="no token to calibrate on"):
        Moments.empty(4).mean("layer 0")


def test_a_tokenizer_that_is_missing_is_told() -> None:
    with pytest.raises(RunError, match=r"tokenizer cannot be loaded, .* pass the tokenizer"):
        calibrate(tiny("llama"))


class Letters:
    """A tokenizer of characters; with or without a token that begins every text."""

    def __init__(self, beginning: tuple[int, ...] = ()) -> None:
        self.beginning = beginning

    def __call__(self, text: str, add_special_tokens: bool = True, **_: Any) -> dict[str, Any]:
        start = list(self.beginning) if add_special_tokens else []
        return {"input_ids": start + [ord(letter) for letter in text]}


WORDS = " ".join(f"{i} is a number, the one after {i - 1}." for i in range(600))


def as_words(text: Any) -> str:
    rows = [row for batch in (*text.fit, *text.held_out) for row in batch.input_ids.tolist()]
    return "".join(chr(i) for row in rows for i in row)


def test_the_second_half_of_a_text_is_held_out(tmp_path: Path) -> None:
    path = tmp_path / "text.txt"
    path.write_text(WORDS)
    text = read_text(path, Letters(), 8 * BLOCK_TOKENS + 100)
    assert text.tokens == 8 * BLOCK_TOKENS
    assert [b.tokens for b in (*text.fit, *text.held_out)] == [4 * BLOCK_TOKENS] * 2
    squeezed = re.sub(r"\s+", " ", as_words(text))
    assert WORDS.startswith(squeezed[:-20])


def test_every_block_begins_as_a_text_of_the_model_begins(tmp_path: Path) -> None:
    path = tmp_path / "text.txt"
    path.write_text(WORDS)
    text = read_text(path, Letters((1,)), 4 * BLOCK_TOKENS)
    for batch in (*text.fit, *text.held_out):
        assert batch.input_ids.shape[1] == BLOCK_TOKENS
        assert batch.input_ids[:, 0].tolist() == [1] * len(batch.input_ids)
        assert (batch.input_ids[:, 1:] != 1).all()


def test_files_of_a_folder_take_turns_and_tables_give_their_text(tmp_path: Path) -> None:
    import pyarrow
    import pyarrow.parquet

    a, b, c, d = ([f"{letter * 40} {i} {chr(1040 + i)}" for i in range(60)] for letter in "abcd")
    with gzip.open(tmp_path / "a.jsonl.gz", "wt") as file:
        file.writelines(json.dumps({"text": text, "other": "zzzz"}) + "\n" for text in a)
    (tmp_path / "b.json").write_text(json.dumps([{"question": text, "n": 1} for text in b]))
    pyarrow.parquet.write_table(pyarrow.table({"text": c}), tmp_path / "c.parquet")
    with gzip.open(tmp_path / "d.md.gz", "wt") as file:
        file.write("\n\n".join(d))
    (tmp_path / "e.png").write_bytes(b"\x89PNG")
    found = as_words(read_text(tmp_path, Letters(), 4 * BLOCK_TOKENS))
    assert "z" not in found
    for letter in "abcd":  # each from its beginning, though the text ends before any of them
        assert f"{letter * 40} 0" in found
    one = read_text(tmp_path / "b.json", Letters(), 2 * BLOCK_TOKENS)
    assert as_words(one).startswith("b" * 40 + " 0 \u0410\n\n")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"too short", r"holds too little text, 11 tokens; 1,024 are the least"),
        (b"\xff\xfe\x00", "cannot be read as text"),
        (b"a" * 5000, "different tokens over and over"),
        (b"", "too little text, 0 tokens"),
    ],
)
def test_files_that_are_no_text_are_refused(tmp_path: Path, content: bytes, message: str) -> None:
    for path, stored in (
        (tmp_path / "text.txt", content),
        (tmp_path / "text.txt.gz", gzip.compress(content)),
    ):
        path.write_bytes(stored)
        with pytest.raises(RunError, match=message):
            read_text(path, Letters())


@pytest.mark.parametrize("damage", [lambda b: b[:-9], lambda b: b[:40] + b"\xff" * 40 + b[80:]])
def test_packed_text_that_is_damaged_is_refused(
    tmp_path: Path, damage: Callable[[bytes], bytes]
) -> None:
    words = " ".join(str(i * i) for i in range(9000))
    (tmp_path / "x.txt.gz").write_bytes(damage(gzip.compress(words.encode())))
    with pytest.raises(RunError, match=r"x\.txt\.gz: cannot be read as text"):
        read_text(tmp_path / "x.txt.gz", Letters(), 4 * BLOCK_TOKENS * 1000)


def test_a_long_text_is_cut_where_words_end_and_read_no_further_than_asked(tmp_path: Path) -> None:
    words = [f"{i:05x}" for i in range(40_000)]  # 240,000 characters: several pieces and reads
    (tmp_path / "x.txt").write_bytes(" ".join(words).encode() + b" \xff")  # no text at its end
    found = as_words(read_text(tmp_path / "x.txt", Letters(), 40 * BLOCK_TOKENS))
    assert found.split()[:3000] == words[:3000]
    with pytest.raises(RunError, match="cannot be read as text"):
        read_text(tmp_path / "x.txt", Letters(), 40_000 * BLOCK_TOKENS)


def test_a_folder_of_more_files_than_may_be_open_is_read(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource", reason="no limits of this kind on this system")
    for number in range(300):
        (tmp_path / f"{number:03d}.txt").write_text(f"{number} {'words ' * 1000}")
    (tmp_path / "table.parquet.gz").write_bytes(b"of no kind that is read")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    there = len(list(Path("/dev/fd").iterdir()))
    resource.setrlimit(resource.RLIMIT_NOFILE, (there + 200, hard))
    try:
        found = as_words(read_text(tmp_path, Letters(), 4000 * BLOCK_TOKENS))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert all(f"{number} words" in found for number in range(299))


def test_what_only_has_the_name_of_a_text_is_passed_over(tmp_path: Path) -> None:
    """A pipe would be waited for, and a link to nowhere is no file; a name of a text that is not
    there is not looked for on the hub."""
    os.mkfifo(tmp_path / "a.txt")
    (tmp_path / "b.txt").mkdir()
    (tmp_path / "c.txt").symlink_to(tmp_path / "nowhere")
    (tmp_path / "d.txt").write_text(WORDS)
    assert as_words(read_text(tmp_path, Letters(), 4 * BLOCK_TOKENS)).startswith(WORDS[:100])
    for name in ("folder/text.txt", "folder/text.jsonl.gz"):
        with pytest.raises(RunError, match="no such file or folder of text"):
            read_text(name, Letters())


def test_a_place_without_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="holds no file of text"):
        read_text(tmp_path, Letters())
    with pytest.raises(RunError, match="no such file or folder of text"):
        read_text("no/such/place", Letters())
    with pytest.raises(RunError, match="got an empty name"):
        read_text("", Letters())
    (tmp_path / "deep.json").write_text("[" * 100_000)
    with pytest.raises(RunError, match=r"deep\.json: cannot be read as text"):
        read_text(tmp_path / "deep.json", Letters())
    (tmp_path / "deep.json").unlink()
    with pytest.raises(RunError, match="--tokens must be at least 1024"):
        read_text(None, Letters(), 1000)
    (tmp_path / "x.jsonl").write_text("{broken")
    with pytest.raises(RunError, match=r"x\.jsonl: cannot be read as text"):
        read_text(tmp_path, Letters())


def test_halves_of_characters_are_no_trouble(tmp_path: Path) -> None:
    """Scraped JSON holds them, and tokenizers do not take them."""
    from tokenizers import Tokenizer, models

    tokenizer = Tokenizer(models.BPE())
    (tmp_path / "x.jsonl").write_text('{"text": "\\ud800 abc"}\n')
    with pytest.raises(RunError, match="too little text"):
        read_text(tmp_path / "x.jsonl", PreTrainedTokenizerFast(tokenizer_object=tokenizer))


def test_the_embedded_text_is_of_splits_that_no_task_scores() -> None:
    from widthwise.assets import benchmark_rows

    try:
        embedded_model()
        text = read_text(None, Letters(), 40 * BLOCK_TOKENS)
        scored = {row["passage"][:80] for row in benchmark_rows("boolq", "validation")}
        scored |= {row["question"] for row in benchmark_rows("mmlu/anatomy", "test")}
    except AssetError as error:
        pytest.skip(f"the embedded data cannot be had: {error}")
    found = as_words(text)
    assert text.tokens == 40 * BLOCK_TOKENS
    assert "A. " in found
    assert not [words for words in scored if len(words) > 40 and words in found]


def test_text_of_holds_out_every_second_batch() -> None:
    given = batches(5)
    text = text_of(given)
    assert [b.input_ids.shape[1] for b in text.fit] == [20, 22, 24]
    assert [b.input_ids.shape[1] for b in text.held_out] == [21, 23]


def test_a_walk_hands_on_what_the_model_itself_computes() -> None:
    """Through all layers and the last norm: bit for bit what a pass of the whole model gives."""
    kinds = ["sliding_attention", "full_attention", "sliding_attention"]
    model, given = tiny("gemma3_text", sliding_window=8, layer_types=kinds), batches(2)
    with LayerwiseRunner(model, text_of(given)) as walk:
        for layer in range(LAYERS):
            walk.advance(layer)
        hidden = walk._batches[0].hidden
    with torch.no_grad():
        expected = model.model(**given[0]).last_hidden_state
        assert torch.equal(model.model.norm(hidden), expected)
