"""What is tried on a tiny model of every family: cut, refit, heal, evaluate, export to GGUF.

Each trial raises where it does not work. `docs/families.md` is the table of their answers.
"""

from __future__ import annotations

import copy
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import transformers as hf
from command_line import prune_by_weights, run
from every_family import VOCAB, load, tiny_model
from healing_runs import QUICK, VOCABULARY, save_text, save_tokenizer
from llama_cpp import CLOSE, greedy_of_file, greedy_of_model
from safetensors.torch import load_file, save_file

from widthwise.arch import counts_at
from widthwise.assets import embedded_model
from widthwise.cut import ModelWeights, Plan, apply
from widthwise.cut.checkpoint import Checkpoint, read_json, resolve_model
from widthwise.cut.gguf import export_gguf
from widthwise.prune import HealSettings, heal, make_plan, prune_checkpoint, refit
from widthwise.prune.healing.api import NotBetter

# Families whose tokenizer is always of their own class, or always of sentencepiece.
SENTENCEPIECE = ("qwen2", "gemma", "gemma2", "gemma3_text", "phi3")
# Settings without which llama.cpp computes something else, and which real models of these have.
GGUF_SETTINGS: dict[str, dict[str, Any]] = {
    "qwen3_moe": {"norm_topk_prob": True},
    "gemma3_text": {"query_pre_attn_scalar": 8},
    "cohere2": {"rotary_pct": 1.0},
    "gemma2": {"query_pre_attn_scalar": 8},
}


def without(model: Any, plan: Plan) -> Any:
    """The dense model, its columns of down zero where the plan keeps no neuron."""
    masked = copy.deepcopy(model)
    architecture = ModelWeights(masked).architecture
    parameters = dict(masked.named_parameters())
    for index, group in enumerate(architecture.groups):
        cut, down = architecture.cuts[group.down], parameters[group.down].data
        down = down[index - cut.group] if cut.stacked else down
        gone = sorted(set(range(architecture.width_of(index))) - set(plan.keep[index]))
        down.index_fill_(cut.axis, torch.tensor(gone), 0)
    return masked


def ids_of(seed: int, rows: int = 2, tokens: int = 20) -> torch.Tensor:
    """Tokens of text, none of which stands for an image."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(20, VOCAB, (rows, tokens), generator=generator)


def inputs(model: Any, seed: int, rows: int = 2, tokens: int = 20) -> dict[str, torch.Tensor]:
    """What a model reads; a decoder behind an encoder reads fewer tokens, of its own."""
    given = {"input_ids": ids_of(seed, rows, tokens)}
    if hasattr(model, "get_decoder") and model.config.is_encoder_decoder:
        given["decoder_input_ids"] = ids_of(seed + 100, rows, 3 * tokens // 4)
    return given


def logits(model: Any) -> torch.Tensor:
    """Logits, or hidden states of a model without a head."""
    with torch.no_grad():
        answer: torch.Tensor = model(**inputs(model, 1), use_cache=False)[0]
    return answer


def check_cut(family: str, folder: Path) -> None:
    """By stream and in memory the same bits, reloaded, and the logits of the masked dense model."""
    model = tiny_model(family)
    model.save_pretrained(folder / "dense")
    with Checkpoint(folder / "dense") as checkpoint:
        stored = checkpoint.architecture
    plan = make_plan(folder / "dense", remove="40%", align=8, criterion="ppm")
    assert make_plan(model, remove="40%", align=8, criterion="ppm").keep == plan.keep
    out = prune_checkpoint(folder / "dense", plan=plan, out=folder / "narrow")
    narrow = load(family, out)
    in_memory = dict(apply(model, plan).named_parameters())
    assert [*in_memory] == [name for name, _ in narrow.named_parameters()]
    assert all(torch.equal(p, in_memory[name]) for name, p in narrow.named_parameters())
    assert plan.parameters == sum(parameter.numel() for parameter in narrow.parameters())
    assert counts_at(stored).parameters == sum(p.numel() for p in model.parameters())
    masked, dense = logits(without(model, plan)), logits(model)
    # Sums of the same numbers in another order: float32 rounding, grown by three layers.
    torch.testing.assert_close(logits(narrow), masked, rtol=0, atol=1e-5 * masked.abs().max())
    assert (dense - masked).abs().max() > 0.01 * dense.abs().max()  # the cut shows


def check_commands(family: str, folder: Path) -> None:
    """The commands that look at a model; its card names a class that loads the cut whole."""
    tiny_model(family).save_pretrained(folder / "dense")
    planned = run("plan", folder / "dense", "--remove", "40%")
    assert planned.exit_code == 0, planned.output
    done = prune_by_weights(folder / "dense", folder / "narrow", "--remove", "40%")
    assert done.exit_code == 0, done.output
    inspected = run("inspect", folder / "narrow")
    assert inspected.exit_code == 0, inspected.output
    (name,) = re.findall(r"import (Auto\w+)", (folder / "narrow" / "README.md").read_text())
    _, report = getattr(hf, name).from_pretrained(folder / "narrow", output_loading_info=True)
    assert not any(report.values()), (name, report)


Tensors = dict[str, torch.Tensor]


def _damages(down: str, other: str) -> dict[str, Callable[[Tensors], Tensors]]:
    """What may be wrong with the weights of a model: names to functions of its tensors."""
    return {
        "a down is missing": lambda t: {name: t[name] for name in t if name != down},
        "another tensor is missing": lambda t: {name: t[name] for name in t if name != other},
        "a down is narrower": lambda t: {**t, down: t[down][..., :-1].contiguous()},
        "a down holds NaN": lambda t: {**t, down: t[down] * float("nan")},
    }


def check_refused(family: str, folder: Path) -> None:
    """Damaged files of a family: one sentence each, and nothing is written."""
    dense = folder / "dense"
    tiny_model(family).save_pretrained(dense)
    weights, config = dense / "model.safetensors", dense / "config.json"
    with Checkpoint(dense) as checkpoint:
        architecture = checkpoint.architecture
    other = next(name for name in checkpoint.tensors if name not in architecture.cuts)
    whole, stated, tensors = weights.read_bytes(), config.read_text(), load_file(weights)
    for damage in _damages(architecture.groups[-1].down, other).values():
        save_file(damage({k: v.clone() for k, v in tensors.items()}), weights, {"format": "pt"})
        _refused(dense, folder / "out")
    weights.write_bytes(whole[:-7])
    _refused(dense, folder / "out")
    weights.write_bytes(whole)
    config.write_text(stated[:-20])
    _refused(dense, folder / "out")


def _refused(dense: Path, out: Path) -> None:
    result = prune_by_weights(dense, out, "--remove", "40%")
    errors = [line for line in result.stderr.splitlines() if line.startswith("Error: ")]
    assert (result.exit_code, len(errors)) == (1, 1), result.output
    assert not out.exists()


def check_measure(family: str, folder: Path) -> None:
    """Its costs, dense and at one width, are measured."""
    tiny_model(family).save_pretrained(folder / "dense")
    how = "--to 1.2x --workload 8x1,8x2x2 --dtype float32 --device cpu --rounds 5".split()
    result = run("measure", folder / "dense", *how, "-o", folder / "out")
    assert result.exit_code == 0, result.output


def check_refit(family: str, folder: Path) -> None:
    """Calibrated, chosen by `obs` and refitted; what is written answers as what is in memory."""
    model = tiny_model(family)
    model.save_pretrained(folder / "dense")
    batches = [inputs(model, seed, 4, 40) for seed in range(6)]
    done = refit(model, remove="40%", align=8, text=batches, criterion="obs")
    out = prune_checkpoint(folder / "dense", plan=done.plan, refit=done, out=folder / "narrow")
    assert torch.equal(logits(load(family, out)), logits(apply(model, done.plan, done)))
    # On text that it was not fitted to, every block errs less than no block would.
    assert all(fit.held_out_error < 1 for fit in done.layers)


def save_pair(family: str, folder: Path) -> tuple[Path, Path, Path]:
    """A tiny model with a tokenizer of bytes, its narrow child, and a text."""
    changes = {"vocab_size": VOCABULARY}
    if family.startswith(("gemma3n", "gemma4")):
        changes["vocab_size_per_layer_input"] = VOCABULARY
    tiny_model(family, **changes).save_pretrained(folder / "parent")
    save_tokenizer(folder / "parent")
    plan = make_plan(folder / "parent", remove="40%", align=8, criterion="ppm")
    child = prune_checkpoint(folder / "parent", plan=plan, out=folder / "child")
    return folder / "parent", child, save_text(folder / "text.txt")


def save_words(family: str, folder: Path, **settings: Any) -> Path:
    """A tiny model with the words and the tokenizer of SmolLM2."""
    embedded = embedded_model()
    words = read_json(embedded / "config.json")["vocab_size"]
    changes = {"vocab_size": words, **GGUF_SETTINGS.get(family, {}), **settings}
    if family.startswith("gemma4"):
        changes["vocab_size_per_layer_input"] = words
    tiny_model(family, **changes).save_pretrained(folder)
    shutil.copy(embedded / "tokenizer.json", folder / "tokenizer.json")
    stated = read_json(embedded / "tokenizer_config.json")  # no class of the family's own
    stated["tokenizer_class"] = "PreTrainedTokenizerFast"
    (folder / "tokenizer_config.json").write_text(json.dumps(stated))
    if family in SENTENCEPIECE:
        save_sentencepiece(folder)
    return folder


def save_sentencepiece(folder: Path) -> None:
    """A tokenizer of 350 pieces of English."""
    import sentencepiece

    lines = save_text(folder / "text.txt").read_text().splitlines()
    (folder / "text.txt").unlink()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines),
        model_prefix=str(folder / "tokenizer"),
        vocab_size=350,
        byte_fallback=True,
        minloglevel=2,
    )
    (folder / "tokenizer.vocab").unlink()


def check_gguf(family: str, folder: Path) -> None:
    """The cut model as a GGUF file in float32: llama.cpp writes the tokens of transformers."""
    dense = save_words(family, folder / "dense")
    plan = make_plan(dense, remove="40%", align=8, criterion="ppm")
    narrow = prune_checkpoint(dense, plan=plan, out=folder / "narrow")
    export_gguf(resolve_model(narrow), folder / "narrow.gguf", "f32")
    prompt = [1, 504, 3575, 282, 260]
    expected = greedy_of_model(load(family, narrow), prompt, {0, 2})
    found = greedy_of_file(folder / "narrow.gguf", prompt)
    same = [token for token, _ in found] == [token for token, _ in expected]
    assert same, "llama.cpp writes other tokens than transformers"
    pairs = zip(found, expected, strict=True)
    far = max(abs(chance - wanted) for (_, chance), (_, wanted) in pairs)
    assert far < CLOSE, f"the same tokens, with log probabilities that differ by up to {far:.0e}"


def check_heal(family: str, folder: Path) -> None:
    """Some steps of healing; where they help, the result is a whole checkpoint that loads."""
    parent, child, text = save_pair(family, folder)
    try:
        settings = HealSettings(**QUICK)
        heal(child, parent, out=folder / "healed", text=text, settings=settings, dtype="float32")
    except NotBetter:
        return
    load(family, folder / "healed")


def check_evaluate(family: str, folder: Path) -> None:
    """Three questions of a task, answered by the narrow model."""
    _, child, _ = save_pair(family, folder)
    words = ["--suite", "embedded:piqa", "--limit", 3, "--dtype", "float32", "--device", "cpu"]
    result = run("evaluate", child, *words, "-o", folder / "out")
    assert result.exit_code == 0, result.output.strip().splitlines()[-1]
