"""Write docs/cli.md: the help of every command. A test fails when the file is stale."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click

from widthwise.cli import main

_PREFACE = """# Command line

Made by `make docs` from the commands' own help, below.

## In a terminal and in scripts

| exit code | meaning |
|---|---|
| 0 | All that was asked for is done. |
| 1 | It is not done, or not all of it, or it was interrupted. The last line of errors says why. |
| 2 | The command is typed wrongly: an option is unknown, missing or contradicts another one. |

Results are on standard output; progress, notes and errors are on standard error. On a terminal,
tables are as wide as it is: columns that do not fit side by side follow below. In a file or a pipe,
lines are not broken, and in place of bars there are lines with the time that is left. `NO_COLOR=1`
switches colours off. For scripts there is `--quiet`, by which standard error has errors alone, and
`--json` ([below](#json)).

To have the tab key complete commands, options, models and files, add a line to the file that your
shell reads at its start:

```sh
eval "$(_WIDTHWISE_COMPLETE=bash_source widthwise)"    # bash: ~/.bashrc
eval "$(_WIDTHWISE_COMPLETE=zsh_source widthwise)"     # zsh: ~/.zshrc
_WIDTHWISE_COMPLETE=fish_source widthwise | source     # fish: ~/.config/fish/config.fish
```

## JSON

With `--json`, standard output is one JSON object in one line, and nothing else: tables, progress,
notes and errors are on standard error. Exit codes are the same. Where the command could not begin,
or was interrupted, standard output is empty; where only a part could be measured (exit code 1), the
object has that part.

```sh
widthwise plan smollm2 --to 2.4x --json | jq .parameters
widthwise evaluate smollm2 --remove 10%,20% --json > scores.json
jq -c '.models[].records[] | select(.verdict == "degrades") | [.asked, .quantity]' scores.json
```

A field of a result in Python is a key of the same name here. `null` is a number that is missing,
unknown or not finite. An estimate is an object with `value`, `standard_error`, `n` and `interval`,
of 95 %.

| command | keys |
|---|---|
{rows}

Of a mixture of experts, `plan` has also `kinds`, `parent_active` and `active`; with `-o` it has the
whole plan.

Each of the `models` of a study has {model}.
The `settings` are those that the study was begun with,
`sentences` what may be said, `notes` what was left out and why, `pending` the number of cells that
are not measured yet, and `texts` what was written after prompts. Several draws of `random` are one
network, their mean.

Each of its `records` has {record}.
The `verdict` of a score is the word that tables have;
`beside_dense` has the `difference` from the score of the dense model, and a `p_value` that is
adjusted by Holm's method over the networks of the task. The `ratio` of a cost is that to the dense
model's, or to that of the first of several models that took turns. The values of all items are in
`records.jsonl`, and what was answered in `items/`.
"""

STUDIES = ("demo", "evaluate", "measure", "report", "study")  # their `models` have the same keys
MODEL_KEYS = "model settings sentences notes pending texts records"
RECORD_KEYS = (
    "cell model criterion asked width expansion_ratio quantity unit value standard_error n floor "
    "floor_kind floor_n floor_error higher_is_better reason duration_sec interval beside_dense "
    "verdict next_words flips ratio"
)
JSON_KEYS = {
    "abc": "optimizer hidden_layers a b c r r_layers stable nontrivial regime faults "
    "updated_maximally initialized_maximally faithful explanation",
    "demo": "folder report models checkpoint counts more more_seconds",
    "evaluate": "folder report models",
    "evaluate --against": "folder report models pairs",
    "export": "path file_type bytes_before bytes_after kinds padded_to smaller",
    "findings": "models pending",
    "heal": "out format child parent child_refit text settings learning_rate learning_rate_test "
    "learning_rate_factors tokens epochs seconds written_step written_tokens stopped went_back "
    "before after gain_nats gain_interval gain_p_value told fingerprint",
    "inspect": "model model_type layers hidden_size intermediate_size fused_gate_up kinds "
    "experts_per_token widths quantization vocabulary draft_layers left_alone default_alignment "
    "counts refit healing",
    "limit converge": "cases",
    "limit kernel": "cases",
    "maml": "folder report networks",
    "measure": "folder report models",
    "mup after-prune": "kind weights multipliers attention unscaled absorbed reasons",
    "mup check": "model parametrization tied lr optimizer verdict steps axis widths margin "
    "confidence layers",
    "mup show": "base kind weights multipliers attention unscaled absorbed reasons patterns notes",
    "mup transfer": "folder report parametrizations",
    "plan": "parent model_type hidden_size intermediate_size asked unaligned alignment "
    "parent_parameters parameters parent_bytes weight_bytes width",
    "prune": "path plan refit gguf",
    "report": "report models",
    "shrink": "asked reached verdict folder model file file_bytes dense_bytes minutes sizes pairs "
    "speeds trials",
    "shrink --dry-run": "asked removed sizes planned_bytes dense_bytes savings estimate",
    "study": "folder report models",
    "study --dry-run": "pieces device",
    "tinynet build": "folder title family scale classes counts differences",
    "tinynet formula": "formula fitted_range proposal beside",
    "tinynet search": "folder report sentences notes formula multipliers foretold besides floor "
    "classes seeds seconds is_chance drawn formula_nets inverse_nets front behind",
    "word2vec": "folder report networks over_seeds",
}
TARGET = Path(__file__).parents[1] / "docs" / "cli.md"


def reference() -> str:
    """The whole page as Markdown."""
    rows = [f"| `{name}` | {_listed(keys)} |" for name, keys in JSON_KEYS.items()]
    listed = {"model": _listed(MODEL_KEYS), "record": _listed(RECORD_KEYS)}
    parts = [_PREFACE.format(rows="\n".join(rows), **listed)]
    for path, command in _commands("widthwise", main):
        context = click.Context(command, info_name=path, terminal_width=80, **main.context_settings)
        parts += [f"## {path}", "", "```", command.get_help(context), "```", ""]
    return "\n".join(parts)


def _listed(keys: str) -> str:
    return ", ".join(f"`{key}`" for key in keys.split())


def _commands(path: str, command: click.Command) -> Iterator[tuple[str, click.Command]]:
    """A command and, of a group, all commands in it, each with what is typed to call it."""
    yield path, command
    if isinstance(command, click.Group):
        for name, inner in sorted(command.commands.items()):
            yield from _commands(f"{path} {name}", inner)


if __name__ == "__main__":
    TARGET.write_text(reference(), encoding="utf8")
