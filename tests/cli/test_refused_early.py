"""What no model could make possible is refused before one is looked for, fetched or converted."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from pathlib import Path

import gguf
import pytest
from click.testing import CliRunner
from tiny_gguf import requantized, save_llama

from widthwise.cli import main
from widthwise.cut.checkpoint import finding, resolve
from widthwise.errors import CheckpointError

MODEL = "org/model"  # M below: of the hub, so that to look for it would be a download

REFUSED = [
    ("plan M --to 2x --align 0", "--align must be at least 1"),
    ("plan M --to 2x --paper-widths", "--paper-widths can only be used with --remove"),
    ("plan M --to 2x --criterion activation --calibration no.txt", "no.txt: no such file"),
    ("plan M --to 2x --criterion activation --tokens 3", "--tokens must be at least 1024"),
    ("plan M --to 2x --criterion ppm_activation", "pass --calibration FILE"),
    ("plan M --to 2x --criterion ppm_activation --calibration no.txt", "no.txt: no such file"),
    ("plan M --to 2x -o absent/plan.json", "the folder of absent/plan.json does not exist"),
    ("prune M --to wide --refit -o out", "--to must look like 2.4x"),
    ("prune M --to 2x --refit --criterion best -o out", "criterion must be one of"),
    ("prune M --to 2x --refit --align 0 -o out", "--align must be at least 1"),
    ("prune M --to 2x --refit --calibration no.txt -o out", "no.txt: no such file"),
    ("prune M --to 2x --refit --tokens 5 -o out", "--tokens must be at least 1024"),
    ("prune M --to 2x --tokens 5 -o out", "--tokens must be at least 1024"),
    ("prune M --to 2x --refit -o a.gguf", "write that folder as a .gguf file by widthwise export"),
    ("prune smollm2 --to 2x --refit -o a.gguf", "smollm2 is a checkpoint folder"),
    ("prune begun --to 2x --refit -o a.gguf", "begun is a checkpoint folder"),
    ("prune X.gguf --to 2x --dtype float16 -o a.gguf", "keeps the types of its parent"),
    ("prune X.gguf --to 2x --max-shard-size 1GB -o a.gguf", "is written as one file"),
    ("prune X.gguf --size 85% -o a.gguf", "--size counts the bytes of a checkpoint in bfloat16"),
    ("prune M --to 2x -o file.jsonl/out", "file.jsonl is no folder"),
    ("prune M --to 2x --max-shard-size 85% -o out", "--max-shard-size must look like"),
    ("inspect M --context 0", "0 is not in the range"),
    ("inspect M --width -5", "--width -5 must be above 0"),
    ("evaluate M --suite file.jsonl", "file.jsonl, line 1, has no field answer"),
    ("evaluate M --suite file.csv", "file.csv is not a task"),
    ("evaluate M --suite absent.csv", "absent.csv is not there"),
    ("evaluate M --suite absent.jsonl", "the task file absent.jsonl is not there"),
    ("evaluate M --suite absent.yaml", "the task file absent.yaml is not there"),
    ("evaluate M --suite broken.yaml", "the task file broken.yaml cannot be read"),
    ("evaluate M --suite empty.yaml", "the task file empty.yaml cannot be read"),
    ("evaluate M --suite other.yaml", "the task file other.yaml describes no task"),
    ("evaluate M --suite helaswag", "names like it: hellaswag"),
    ("evaluate M --suite embedded:nosuch", "suite embedded has no task 'nosuch'"),
    ("evaluate M --limit nosuch=5", "--limit names 'nosuch'"),
    ("evaluate M --suite sound.yaml --limit nosuch=5", "--limit names 'nosuch'"),
    ("evaluate M --suite piqa,embedded:piqa", "two of the tasks have the name piqa"),
    ("evaluate M --to 2x --criterion activation --calibration no.txt", "no.txt: no such file"),
    ("evaluate M --thinking", "--thinking needs a task that is asked with a chat template"),
    ("evaluate M --backend vllm", "backend vllm needs vLLM"),
    ("evaluate M --limit 5 -o begun", "the study in begun was started"),
    ("study M --suite file.jsonl", "file.jsonl, line 1, has no field answer"),
    ("study M --limit nosuch=5", "--limit names 'nosuch'"),
    ("study M --device nosuch", "device nosuch cannot be used here"),
    ("study M --measure 5y5", "a workload must be PROMPTxNEW"),
    ("study M --measure 128x16 --country France", "country must be three letters"),
    ("measure M --workload 0x5x", "a workload must be PROMPTxNEW"),
    ("measure M --country France", "country must be three letters"),
]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with files of the wrong kinds, on a machine that would have to fetch the model."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file.jsonl").write_text('{"question": "Why?"}\n')
    (tmp_path / "file.csv").write_text("question\nWhy?\n")
    (tmp_path / "broken.yaml").write_text("task: [a\n b: c")
    (tmp_path / "empty.yaml").write_text("")
    (tmp_path / "sound.yaml").write_text("task: mine\ndataset_path: json\n")
    (tmp_path / "other.yaml").write_text("dataset_path: json\n")
    (tmp_path / "begun").mkdir()
    begun = {"model": MODEL, "tasks": ["embedded"], "limit": 7, "dtype": None, "device": "cpu"}
    (tmp_path / "begun" / "study.json").write_text(json.dumps(begun))

    def fetch(model: str) -> Path:
        raise CheckpointError(f"{model} was looked for")

    module = importlib.import_module("widthwise.cut.checkpoint.resolve")
    monkeypatch.setattr(module, "hub_folder", fetch)
    return tmp_path


@pytest.mark.parametrize(("words", "message"), REFUSED)
def test_nonsense_is_refused_before_the_model_is_looked_for(
    words: str, message: str, place: Path
) -> None:
    result = CliRunner().invoke(main, [MODEL if word == "M" else word for word in words.split()])
    assert result.exit_code in (1, 2), result.output
    last = result.stderr.splitlines()[-1]
    assert last.startswith("Error: ")
    assert message in last
    assert "was looked for" not in result.stderr


_WITHOUT_TORCH = """
import sys
from click.testing import CliRunner
from widthwise.cli import main
for name in ("torch", "transformers"):
    assert name not in sys.modules
    sys.modules[name] = None  # an import of it fails
for words in sys.argv[1:]:
    result = CliRunner().invoke(main, words.split())
    print((result.stderr or repr(result.exception)).splitlines()[-1])
"""


def test_what_a_command_alone_shows_to_be_wrong_is_said_without_loading_torch(place: Path) -> None:
    """torch and transformers take two thirds of the seconds until such a sentence."""
    cases = [
        ("--suite file.jsonl", "file.jsonl, line 1, has no field answer"),
        ("--suite helaswag", "names like it: hellaswag"),
        ("--suite piqa,absent.yaml", "the task file absent.yaml is not there"),
        ("--limit 60,ifeval@chat=24", "--limit names 'ifeval@chat'"),
        ("--to 2x --calibration no.txt", "no.txt: no such file"),
        ("-o begun --limit 5", "the study in begun was started"),
        ("--suite piqa --thinking", "--thinking needs a task that is asked with a chat template"),
        ("--device nosuch", "device nosuch cannot be used here: PyTorch knows none of this name"),
    ]
    asked = [(f"{c} {MODEL} {words}", says) for c in ("evaluate", "study") for words, says in cases]
    asked += [
        (f"{words} --device gpu", "device gpu cannot be used here: PyTorch knows none")
        for words in ("measure M", "heal M --dense M -o out", "shrink M --remove 20%")
    ]
    _are_said_without_torch(asked)


SAYS = "width must be in [1, 52], as the model has 53; "
BEYOND_CONFIG = [
    ("plan model --to 99x", "--to 99x asks for 3168"),
    ("prune model --width 53 -o out", "--width 53 asks for 53"),
    ("shrink model --remove 99% -o out", "--remove 99% asks for 0"),
    ("evaluate model --suite piqa --to 99x", "--to 99x asks for 3168"),
    ("study model --suite piqa --remove 99%", "--remove 99% asks for 0"),
    ("measure model --to 99x", "--to 99x asks for 3168"),
]


@pytest.fixture
def folder(place: Path) -> None:
    """A folder that has a config, and none of the other files of a model."""
    (place / "model").mkdir()
    config = {"model_type": "llama", "hidden_size": 32, "intermediate_size": 53}
    (place / "model" / "config.json").write_text(json.dumps(config))


def test_a_width_that_a_gguf_file_or_a_mixture_rules_out_is_said_without_torch(place: Path) -> None:
    small = save_llama(place / "small.gguf", 96)
    requantized(small, place / "blocks.gguf", gguf.GGMLQuantizationType.Q8_0)
    (place / "experts").mkdir()
    config = {"model_type": "qwen3_moe", "hidden_size": 32, "intermediate_size": 64}
    config |= {"moe_intermediate_size": 48, "num_experts": 4}
    (place / "experts" / "config.json").write_text(json.dumps(config))
    _are_said_without_torch(
        [
            ("prune small.gguf --width 96 -o out", "[1, 95], as the model has 96"),
            ("prune small.gguf --to 9x -o out.gguf", "[1, 95], as the model has 96"),
            (
                "prune blocks.gguf --width 31 -o out.gguf",
                "31 neurons, which is below the alignment 32",
            ),
            ("plan experts --width 500", "[1, 47], as the model has 48"),
            ("prune experts --to 99x -o out", "[1, 47], as the model has 48"),
        ]
    )


@pytest.mark.parametrize(("words", "asks"), BEYOND_CONFIG)
def test_a_width_that_config_json_rules_out_is_refused_before_the_model_is_read(
    words: str, asks: str, folder: None
) -> None:
    """Whose other files are not there, as that would say."""
    assert f"{SAYS}{asks}" in CliRunner().invoke(main, words.split()).stderr


def test_of_plan_prune_and_shrink_that_is_said_without_loading_torch(folder: None) -> None:
    """transformers, which reads a whole config, takes seconds to load."""
    _are_said_without_torch([(words, f"{SAYS}{asks}") for words, asks in BEYOND_CONFIG[:3]])


@pytest.mark.parametrize("command", ["evaluate", "study"])
@pytest.mark.parametrize("file", ["chat_template.jinja", "tokenizer_config.json"])
def test_a_template_without_a_switch_is_named_before_the_model_is_read(
    command: str, file: str, place: Path, folder: None
) -> None:
    text = "{{ messages[0].content }}"
    stated = json.dumps({"chat_template": text}) if file.endswith(".json") else text
    (place / "model" / file).write_text(stated)
    words = f"{command} model --suite embedded:ifbench@chat --thinking"
    last = CliRunner().invoke(main, words.split()).stderr.splitlines()[-1]
    assert last.endswith("its chat template has no switch for thinking; drop --thinking")


def _are_said_without_torch(asked: list[tuple[str, str]]) -> None:
    command = [sys.executable, "-c", _WITHOUT_TORCH, *(words for words, _ in asked)]
    lines = subprocess.run(
        command, stdout=subprocess.PIPE, text=True, check=True
    ).stdout.splitlines()
    for line, (words, says) in zip(lines, asked, strict=True):
        assert says in line, words


def test_what_is_asked_soundly_does_look_for_the_model(place: Path) -> None:
    result = CliRunner().invoke(main, ["plan", MODEL, "--to", "2x"])
    assert "org/model was looked for" in result.stderr


def test_a_local_model_is_read_and_only_another_one_is_fetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "model.gguf"
    file.touch()
    assert finding([str(tmp_path)]) == "reading the model"
    assert finding([str(file), str(tmp_path)]) == "reading the models"
    assert finding(["org/model"]) == "finding the model, fetched at first use"
    for is_there, words in ((False, "finding the models, fetched at first use"), (True, "reading")):
        monkeypatch.setattr(resolve, "has_embedded_model", lambda answer=is_there: answer)
        assert finding([str(tmp_path), "smollm2"]).startswith(words)
