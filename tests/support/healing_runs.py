"""Two tiny checkpoints and a text, of which healings are made in less than a second."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import transformers as hf
from click.testing import CliRunner, Result
from families import tiny
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from widthwise import prune_checkpoint
from widthwise.cli import main
from widthwise.prune.refitting import refit

BLOCK = 32  # tokens, instead of 512
VOCABULARY = 257  # bytes and a beginning
BATCH = 4 * BLOCK
ALPHABET = sorted(pre_tokenizers.ByteLevel.alphabet())
QUICK: dict[str, Any] = {"tokens": 3 * BATCH, "batch_tokens": BATCH, "learning_rate": 3e-3}


def run(*words: Any) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words])


def save_tokenizer(folder: Path) -> None:
    """One token a byte."""
    model = models.BPE(vocab={c: i for i, c in enumerate(["<s>", *ALPHABET])}, merges=[])
    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    hf.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="<s>"
    ).save_pretrained(folder)


def save_text(path: Path) -> Path:
    words = ("king", "price", "river", "colour", "number", "wheat", "sand", "book", "nobody")
    path.write_text(
        "\n".join(
            f"In the year {i} the {words[i % 7]} of the {words[i % 9]} was {words[i % 5]}er."
            for i in range(800)
        )
    )
    return path


def save_dense(folder: Path) -> Path:
    """A tiny Llama in float32, drawn wide, so that a cut is felt."""
    tiny("llama", vocab_size=VOCABULARY, initializer_range=0.3).save_pretrained(folder)
    save_tokenizer(folder)
    return folder


def save_child(dense: Path, text: Path, folder: Path) -> Path:
    """That model cut and refitted, in float32."""
    how = {"sequential": False, "scales": False}
    done = refit(dense, width=20, align=1, text=text, tokens=2048, **how)
    return prune_checkpoint(dense, folder, done.plan, refit=done)
