"""`widthwise mup`: the check, its figure, and the factors of pruned models."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import transformers as hf
from click.testing import CliRunner, Result
from families import WIDTH, tiny
from json_results import printed_json

from widthwise import make_plan, prune_checkpoint
from widthwise.cli import main

QUICK = ("--widths", "32,64", "--seeds", 2)


def run(*words: Any) -> Result:
    return CliRunner().invoke(main, ["mup", *(str(word) for word in words)])


@pytest.fixture(scope="module")
def dense(tmp_path_factory: Any) -> Path:
    path: Path = tmp_path_factory.mktemp("dense") / "model"
    tiny("llama").save_pretrained(path)
    return path


@pytest.fixture(scope="module")
def child(dense: Path) -> Path:
    path = dense.parent / "child"
    prune_checkpoint(dense, path, make_plan(dense, width=20, align=1, criterion="ppm"))
    return path


def test_the_check_says_a_verdict_of_every_layer(tmp_path: Path) -> None:
    picture = tmp_path / "check.png"
    result = run("check", *QUICK, "--json", "-o", picture)
    assert result.exit_code == 0, result.output
    found = printed_json("mup check", result)
    assert (found["widths"], found["steps"], len(found["layers"])) == ([32, 64], 3, 25)
    assert {one["verdict"] for one in found["layers"]} <= {"pass", "fail", "undecided"}
    assert found["verdict"] in ("pass", "undecided")
    assert picture.read_bytes().startswith(b"\x89PNG")
    again = run("check", *QUICK, "-o", picture)
    assert again.exit_code == 1
    assert "already exists; pass --force" in again.stderr
    three = ("--widths", "32,64,128", "--seeds", 3)
    lines = run("check", *three, "--tied", "--parametrization", "sp").stdout.splitlines()
    assert lines[-1] == "fail; all intervals together hold with 95 %"
    titles = [line for line in lines if line.startswith("How ")]
    assert titles == ["How far outputs of layers moved in 3 steps", "How large they were before"]
    assert len([line for line in lines if line.split()[0:1] == ["model.norm"]]) == 2


def test_depths_are_compared_at_one_width(tmp_path: Path) -> None:
    out = tmp_path / "depth.png"
    result = run("check", "--widths", "32", "--depths", "2,3", "--seeds", 2, "--json", "-o", out)
    assert result.exit_code == 0, result.output
    found = printed_json("mup check", result)
    assert (found["axis"], found["widths"]) == ("depth", [2, 3])
    assert "at all depths?" in (tmp_path / "depth.html").read_text()
    lines = run("check", "--widths", "32", "--depths", "2,3", "--seeds", 2).stdout.splitlines()
    assert lines[1].split()[:3] == ["layer", "L=2", "L=3"]
    assert "two numbers above 0" in run("check", "--depths", "2").stderr
    assert "must be at least 2; got 1" in run("check", "--depths", "1,2").stderr


def test_what_is_undecided_says_what_would_decide_it() -> None:
    lines = run("check", *QUICK).stdout.splitlines()
    assert lines[-1] == (
        "undecided; more --seeds or --widths make intervals narrower; all intervals together hold "
        "with 95 %"
    )


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["check", "--widths", "64"], 1, "at least two numbers above 0, ascending"),
        (["check", "--widths", "64,100"], 1, "multiple of 16; got 100"),
        (["check", "--widths", "wide"], 2, "must be whole numbers"),
        (["check", *QUICK, "--lr", "0"], 1, "lr must be above 0; got 0"),
        (["check", *QUICK, "--lr", "nan"], 1, "lr must be above 0; got nan"),
        (["check", "-o", "check.gif"], 2, "must end in .png"),
        (["after-prune", "child"], 2, "--dense"),
        (["show", "smollm2"], 2, "--base"),
        (["show", "nowhere", "--base", "hidden_size=64"], 1, "nowhere"),
        (["check", "nowhere"], 1, "nowhere"),
        (["show", "x", "--base", "64"], 2, "'64' must look like hidden_size=256"),
        (["show", "x", "--base", "hidden_size=no"], 2, "must be a whole number above 0; got 'no'"),
        (["check", "--roles", "x"], 2, "'x' must look like *.prompt=input"),
    ],
)
def test_wrong_input_gets_one_clean_sentence(words: list[Any], code: int, said: str) -> None:
    result = run(*words)
    assert (result.exit_code, result.stdout) == (code, "")
    assert said in result.stderr
    assert "Traceback" not in result.output


SIZES = {"hidden_size": 64, "intermediate_size": 128, "num_attention_heads": 8}


def save_config(path: Path, config: Any) -> Path:
    path.write_text(json.dumps(config.to_dict()))
    return path


def test_all_parameters_of_a_model_are_shown_beside_its_base(tmp_path: Path) -> None:
    path = save_config(tmp_path / "config.json", hf.GPTNeoXConfig(**SIZES))
    result = run("show", path, "--base", "hidden_size=16")
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    sizes = {"hidden_size 16 of 64", "intermediate_size 32 of 128", "num_attention_heads 2 of 8"}
    assert {*lines[0].removeprefix("Base: ").split(", ")} == sizes
    row = next(line.split("  ") for line in lines if "dense_4h_to_h.weight" in line)
    cells = [cell.strip() for cell in row if cell.strip()]
    assert cells[1:] == [
        "16 x 32",
        "64 x 128",
        "hidden",
        *("x 0.5", "x 0.25", "x 1"),
        "x 0.25",
        "x 4",
    ]
    found = printed_json("mup show", run("show", path, "--base", "hidden_size=16", "--json"))
    assert found["base"]["num_attention_heads"] == [2, 8]
    assert len(found["weights"]) == len(
        list(hf.GPTNeoXForCausalLM(hf.GPTNeoXConfig(**SIZES)).parameters())
    )
    heads = run("show", path, "--base", "hidden_size=16,num_attention_heads=8").stdout
    assert "attention scale of gpt_neox.layers.*.attention = 0.1768" in heads  # root 2 over 8


def test_small_networks_of_any_kind_are_checked(tmp_path: Path) -> None:
    """Of a mixture of experts from its config alone, and of a checkpoint."""
    path = save_config(tmp_path / "config.json", hf.MixtralConfig())
    words = ("--widths", "32,64", "--seeds", 2, "--layers", 1)
    result = run("check", path, *words, "--set", "num_local_experts=2", "--json")
    assert result.exit_code == 0, result.output
    found = printed_json("mup check", result)
    assert found["model"] == str(path)
    names = [layer["layer"] for layer in found["layers"]]
    assert "model.layers.0.mlp.gate (logits)" in names
    assert not any(".layers.1." in name for name in names)


def test_what_the_config_does_not_know_is_refused(tmp_path: Path) -> None:
    path = save_config(tmp_path / "config.json", hf.GPTNeoXConfig(**SIZES))
    same = run("show", path, "--base", "hidden_size=64")
    assert (same.exit_code, same.stdout) == (2, "")
    assert "must state another size than the model has" in same.stderr
    for words, said in (
        (("show", path, "--base", "hidden_size=20"), "GPTNeoXConfig refuses these sizes"),
        (("show", path, "--base", "hidden_size=15"), "GPTNeoXConfig refuses these sizes"),
        (("show", path, "--base", "hidden_sizes=16"), "GPTNeoXConfig has no setting hidden_sizes"),
        (("check", path, *QUICK, "--set", "width=3"), "GPTNeoXConfig has no setting width"),
    ):
        result = run(*words)
        assert (result.exit_code, result.stdout) == (1, "")
        assert said in result.stderr
    path.write_text('{"model_type": "mine"}')
    assert "no class for model_type 'mine'" in run("show", path, "--base", "x=1").stderr
    mamba = save_config(tmp_path / "mamba.json", hf.MambaConfig())
    said = run("check", mamba, *QUICK).stderr
    assert "--roles *.A_log=vector" in said


def test_a_pruned_model_is_a_change_of_width(dense: Path, child: Path) -> None:
    result = run("after-prune", child, "--dense", dense, "--json")
    assert result.exit_code == 0, result.output
    found = {one["name"]: one for one in printed_json("mup after-prune", result)["weights"]}
    grown = WIDTH / 20
    for name, one in found.items():
        down, block = name.endswith("down_proj.weight"), ".mlp." in name
        assert one["adam"] == pytest.approx(grown if down else 1)
        assert one["sgd"] == pytest.approx(grown if down else 1 / grown if block else 1)
    lines = run("after-prune", child, "--dense", dense).stdout.splitlines()
    assert lines[0].split("  ")[0] == "parameter"
    header = ["parameter", "base", "shape", "role", "Adam", "lr", "SGD", "lr"]
    assert lines[0].split() == header  # nothing of initial weights: it is trained
    row = next(line.split() for line in lines if "down_proj" in line)
    assert row[0] == "model.layers.*.mlp.down_proj.weight"
    assert row[-3:] == ["2.65", "x", "2.65"]
    assert lines[-1].startswith("Of 30 parameters, 3 have another learning rate")


def test_the_table_of_factors_fits_into_80_columns(
    dense: Path, child: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("COLUMNS", "80"), ("FORCE_COLOR", "1"), ("TERM", "xterm")):
        monkeypatch.setenv(name, value)
    printed = re.sub(r"\x1b\[\d+m", "", run("after-prune", child, "--dense", dense).stdout)
    assert max(map(len, printed.splitlines())) <= 80
    row = [line.split() for line in printed.splitlines() if ".mlp.down_proj" in line]
    assert row[-1][-3:] == ["2.65", "x", "2.65"]


def test_layers_have_factors_of_their_own_and_padding_does_not_count(
    dense: Path, child: Path
) -> None:
    padded = dense.parent / "padded"
    padded.mkdir()
    for file in dense.iterdir():
        (padded / file.name).write_bytes(file.read_bytes())
    config = json.loads((dense / "config.json").read_text())
    from widthwise.cut.plan import WIDTHS_KEY

    config[WIDTHS_KEY] = [WIDTH, 26, 50]
    (padded / "config.json").write_text(json.dumps(config))
    found = json.loads(run("after-prune", padded, "--dense", dense, "--json").stdout)["weights"]
    down = [one["adam"] for one in found if one["name"].endswith("down_proj.weight")]
    assert down == pytest.approx([1, WIDTH / 26, WIDTH / 50])


def test_models_that_are_no_parent_and_child_are_refused(dense: Path) -> None:
    same = run("after-prune", dense, "--dense", dense)
    assert same.exit_code == 1
    assert "has the same widths as" in same.stderr
    other = dense.parent / "other"
    tiny("llama", hidden_size=64).save_pretrained(other)
    refused = run("after-prune", other, "--dense", dense)
    assert "in the width of GLU blocks alone" in refused.stderr
    shallow = dense.parent / "shallow"
    tiny("llama", num_hidden_layers=2).save_pretrained(shallow)
    refused = run("after-prune", shallow, "--dense", dense)
    assert "is in base and not in the model" in refused.stderr
    missing = run("after-prune", dense.parent / "none", "--dense", dense)
    assert missing.exit_code == 1
    assert "Traceback" not in missing.output
