"""Write docs/families.md: what of widthwise works on every family, tried on tiny models.

Of all families that takes half an hour; `tools/families_table.py llama mixtral` tries these alone
and leaves the other rows as they are. A test fails when a family of the tests is not in the table.
"""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parents[1]
TRIALS = ("cut", "refit", "heal", "evaluate", "gguf")
TARGET = ROOT / "docs" / "families.md"
HEAD = """# Model families

Made by `tools/families_table.py`, which builds a tiny random model of every family by transformers
{version} and tries on it what the columns say:

- **cut**: the checkpoint is cut from disk to disk, and the model in memory; both have the same
  bits, transformers loads the result, and its logits are those of the dense model without the
  removed neurons.
- **refit**: it is calibrated, its neurons are chosen by `obs`, and down_proj is refitted; in a
  mixture of experts from the tokens that are sent to each expert.
- **heal**: some steps of distillation from the dense model are made, judged on held-out text, and
  written back where they helped.
- **evaluate**: questions of a task are answered by the narrow model.
- **GGUF out**: the narrow model is written as a GGUF file in float32, with the tokenizer of SmolLM2
  or, where the family needs one, of SentencePiece; llama.cpp then writes the same greedy tokens as
  transformers, with log probabilities that differ by less than 0.001.

An encoder is compared by its logits or its hidden states, and a pair of an encoder and a decoder by
the logits of the decoder.

A family that is not listed may work as well: `widthwise plan MODEL` says in a second whether it
does. What widthwise does not understand is refused.

"""


# What a trial says, in fewer words.
_BRIEF = (
    (
        r".* and only models that do are exported;.*",
        "only models that continue a text are exported",
    ),
    (r".*: \w+ is no model that it knows;.*", "llama.cpp's converter does not know its class"),
    (
        r".* cannot be written as GGUF by llama.cpp's converter of [^:]*: (.*); a newer.*",
        r"llama.cpp's converter: \1",
    ),
    (r"llama.cpp: [\d.]+ E .*?error loading model: (.*)", r"llama.cpp does not load it: \1"),
    (r"llama.cpp: \S*?(\w+\.cpp):\d+: (.*)", r"llama.cpp ends the process: \1 (\2)"),
    (r".* is not a causal language model: it has (no probability [^,]*),.*", r"it has \1"),
    (r"\w+ cannot be run without", "it cannot be run without"),
)


def trial(check: Callable[[str, Path], None], family: str) -> str:
    """Why a check fails on a family, as a remark below the table; "" where it works."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            check(family, Path(folder))
        except Exception as error:  # of any kind: the table says what came
            text = " ".join(str(error).replace(f"{folder}/", "").split()).removeprefix("Error: ")
            return text[:400] or type(error).__name__
    return ""


def brief(remark: str) -> str:
    """A remark in fewer words, the same for all families of which it holds."""
    for pattern, words in _BRIEF:
        remark = re.sub(pattern, words, remark)
    return remark


def read_table() -> dict[str, list[str]]:
    """The remarks of every family in the table that is there, "" for yes."""
    text = TARGET.read_text(encoding="utf8") if TARGET.exists() else ""
    remarks = dict(re.findall(r"^(\d+)\. (.*)$", text, re.MULTILINE))
    return {
        family: ["" if cell == "yes" else remarks[cell[4:-1]] for cell in cells.split(" | ")]
        for family, cells in re.findall(r"^\| `(\S+)` \| (.*) \|$", text, re.MULTILINE)
    }


def write_table(version: str, sections: dict[str, list[str]], rows: dict[str, list[str]]) -> None:
    """Write the page: a table a section, and the remarks below."""
    lines, remarks = [HEAD.format(version=version)], []
    for title, families in sections.items():
        lines.append(
            f"## {title}\n\n| model type | cut | refit | heal | evaluate | GGUF out |\n"
            f"|---|---|---|---|---|---|\n"
        )
        for family in families:
            cells = []
            for remark in map(brief, rows[family]):
                if remark and remark not in remarks:
                    remarks.append(remark)
                cells.append(f"no ({remarks.index(remark) + 1})" if remark else "yes")
            lines.append(f"| `{family}` | {' | '.join(cells)} |\n")
        lines.append("\n")
    lines += [f"{number}. {remark}\n" for number, remark in enumerate(remarks, 1)]
    TARGET.write_text("".join(lines), encoding="utf8")


def main(*names: str) -> None:
    sys.path.insert(0, str(ROOT / "tests" / "support"))
    import family_trials
    import transformers
    from every_family import DENSE, ENCODERS, MIXTURES, WRAPPERS
    from healing_runs import BLOCK

    from widthwise.prune.calibration import text
    from widthwise.prune.healing import text_blocks

    text.BLOCK_TOKENS = text_blocks.BLOCK_TOKENS = BLOCK
    sections = {
        "Dense models and hybrids": [*DENSE],
        "Mixtures of experts": [*MIXTURES],
        "Models of text and images, whose language model is cut": [*WRAPPERS],
        "Encoders, and pairs of an encoder and a decoder": [*ENCODERS],
    }
    checks = [getattr(family_trials, f"check_{name}") for name in TRIALS]
    rows = read_table() if names else {}
    for family in names or [family for families in sections.values() for family in families]:
        rows[family] = [trial(check, family) for check in checks]
        print(family, *(brief(remark) or "yes" for remark in rows[family]), sep=" | ", flush=True)
    write_table(transformers.__version__, sections, rows)


if __name__ == "__main__":
    main(*sys.argv[1:])
