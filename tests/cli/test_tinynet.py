"""`widthwise tinynet build` and `formula`: files, words, JSON and clean errors."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner, Result
from json_results import printed_json
from safetensors.torch import load_file, save_file

from widthwise.cli import main
from widthwise.stats import Estimate
from widthwise.tinynet import (
    FAMILIES,
    PUBLISHED,
    Formula,
    Multipliers,
    NetworkSpec,
    export,
    load_net,
    solve,
)

TINY = "0.145,0.1,0.1"  # 32 px, 7 blocks


def run(*words: Any) -> Result:
    return CliRunner().invoke(main, ["tinynet", *(str(word) for word in words)])


def test_a_network_is_written_and_read_again(tmp_path: Path) -> None:
    out = tmp_path / "net"
    result = run("build", "E", "-o", out, "--seed", 3, "--json")
    assert result.exit_code == 0, result.output
    assert printed_json("tinynet build", result)["counts"]["parameters"] == 2_042_972
    lines = result.stderr.splitlines()
    assert lines[0].startswith("TinyNet-E: images of 106 px, multipliers of efficientnet: ")
    assert lines[1] == "  2,042,972 parameters, 8,171,888 bytes, 24,356,848 multiply-adds"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["net"]
    assert sorted(path.name for path in out.iterdir()) == ["config.json", "model.safetensors"]
    config = json.loads((out / "config.json").read_text())
    assert (config["pixels"], config["classes"], config["macs"]) == (106, 1000, 24_356_848)
    assert config["weights"] == "new, drawn with seed 3"
    net, model = load_net(out)
    assert net == NetworkSpec(
        title="TinyNet-E", family="efficientnet", scale=PUBLISHED["e"].scale, classes=1000
    )
    assert not model.training
    again = net.build(seed=3).state_dict()
    assert all(torch.equal(tensor, again[name]) for name, tensor in model.state_dict().items())
    other = net.build(seed=4).state_dict()
    assert not torch.equal(model.state_dict()["classifier.weight"], other["classifier.weight"])


def test_weights_are_loaded_strictly(tmp_path: Path) -> None:
    assert run("build", TINY, "-o", tmp_path / "one", "--classes", 5, "--seed", 6).exit_code == 0
    file = tmp_path / "one" / "model.safetensors"
    weights = load_file(file)
    torch.save(weights, tmp_path / "weights.pth")
    for source in (file, tmp_path / "weights.pth"):
        out = tmp_path / source.stem
        result = run("build", TINY, "-o", out, "--classes", 5, "--weights", source)
        assert result.exit_code == 0, result.output
        assert (out / "model.safetensors").read_bytes() == file.read_bytes()
        assert json.loads((out / "config.json").read_text())["weights"] == f"from {source.name}"


def test_weights_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    assert run("build", TINY, "-o", tmp_path / "one", "--classes", 5).exit_code == 0
    weights = load_file(tmp_path / "one" / "model.safetensors")
    head = weights["conv_head.weight"]
    cases: dict[str, tuple[dict[str, torch.Tensor], str]] = {
        "less": (
            {name: one for name, one in weights.items() if name != "bn2.bias"},
            "does not fit the network: 1 missing (such as bn2.bias)",
        ),
        "more": ({**weights, "fc.bias": head.clone()}, "1 unknown (such as fc.bias)"),
        "shape": (
            {**weights, "classifier.bias": torch.zeros(6)},
            "classifier.bias has shape (6,) and must have (5,)",
        ),
        "nan": ({**weights, "conv_head.weight": head * torch.nan}, "NaN or Inf in conv_head"),
    }
    for name, (wrong, said) in cases.items():
        file = tmp_path / f"{name}.safetensors"
        save_file(wrong, file)
        result = run("build", TINY, "-o", tmp_path / "two", "--classes", 5, "--weights", file)
        assert (result.exit_code, result.stdout) == (1, ""), name
        assert said in result.stderr
        assert not (tmp_path / "two").exists()


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_unreadable_weights_are_one_sentence(tmp_path: Path, suffix: str) -> None:
    for content in (b"", b"no weights at all", b"\x80\x02}q\x00X\x05"):
        file = tmp_path / f"weights{suffix}"
        file.write_bytes(content)
        result = run("build", TINY, "-o", tmp_path / "out", "--weights", file)
        assert result.exit_code == 1
        assert re.search("cannot be read: |is neither .safetensors nor a plain", result.stderr)
        assert "weights_only" not in result.stderr
        assert "Traceback" not in result.output
    torch.save({"epoch": 3, "state_dict": {}}, tmp_path / "run.pth")
    result = run("build", TINY, "-o", tmp_path / "out", "--weights", tmp_path / "run.pth")
    assert "must hold tensors by name, and nothing around them" in result.stderr


@pytest.mark.parametrize("family", ["efficientnet-small", "glu-transformer"])
def test_torchscript_computes_what_pytorch_does(tmp_path: Path, family: str) -> None:
    """Traced with one image; run on three."""
    out = tmp_path / "net"
    words = ["build", "0.5,0.2,0.2", "--family", family, "--classes", 5, "-o", out]
    result = run(*words, "--torchscript")
    assert result.exit_code == 0, result.output
    net, model = load_net(out)
    pixels = FAMILIES[family].resolution(net.scale)
    images = torch.randn(3, 3, pixels, pixels)
    with pytest.warns(DeprecationWarning, match="torch.jit.load"):
        script = torch.jit.load(out / "model.torchscript.pt")
    with torch.inference_mode():
        expected = model(images)
        # float32 sums in another order: 1e-6 of the largest
        close = {"rtol": 0, "atol": 1e-4 * float(expected.abs().max())}
        torch.testing.assert_close(script(images), expected, **close)


def test_onnx_computes_what_pytorch_does(tmp_path: Path) -> None:
    """Exported with two images; run on three."""
    import onnx
    from onnx.reference import ReferenceEvaluator

    out, family = tmp_path / "net", "efficientnet-small"
    words = ["build", "0.5,0.2,0.2", "--family", family, "--classes", 5, "-o", out]
    result = run(*words, "--onnx")
    assert result.exit_code == 0, result.output
    assert "torchvision" not in result.output
    net, model = load_net(out)
    pixels = FAMILIES[family].resolution(net.scale)
    images = torch.randn(3, 3, pixels, pixels)
    with torch.inference_mode():
        expected = model(images)
    copy = ReferenceEvaluator(onnx.load(out / "model.onnx"))
    (logits,) = copy.run(["logits"], {"images": images.numpy()})
    scale = float(expected.abs().max())  # float32 sums in another order: 1e-6 of the largest
    torch.testing.assert_close(torch.from_numpy(logits), expected, rtol=0, atol=1e-4 * scale)
    config = json.loads((out / "config.json").read_text())
    assert set(config["relative_differences"]) == {"model.onnx"}
    assert 0 <= config["relative_differences"]["model.onnx"] < 1e-4


def test_a_copy_that_computes_something_else_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And nothing is left of it."""
    monkeypatch.setattr(export, "TOLERANCE", -1.0)
    result = run("build", TINY, "-o", tmp_path / "net", "--torchscript")
    assert result.exit_code == 1
    assert "model.torchscript.pt differs from PyTorch by 0.0e+00" in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_folder_is_replaced_on_demand_only(tmp_path: Path) -> None:
    out = tmp_path / "net"
    assert run("build", TINY, "-o", out).exit_code == 0
    before = (out / "model.safetensors").read_bytes()
    again = run("build", TINY, "-o", out, "--seed", 1)
    assert again.exit_code == 1
    assert "already exists; pass --force" in again.stderr
    assert (out / "model.safetensors").read_bytes() == before
    assert run("build", TINY, "-o", out, "--seed", 1, "--force").exit_code == 0
    assert (out / "model.safetensors").read_bytes() != before
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    result = run("build", TINY, "-o", tmp_path / "mine", "--force")
    assert "holds other files" in result.stderr
    assert (tmp_path / "mine" / "letter.txt").read_text() == "dear"


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["build", "x", "-o", "out"], 1, "NET must be one of b0, a, b, c, d, e, or resolution"),
        (["build", "1,1", "-o", "out"], 1, "NET must be one of"),
        (["build", "1,1,nan", "-o", "out"], 1, "width must be a multiplier"),
        (["build", "9,9,9", "-o", "out"], 1, "resolution must be a multiplier"),
        (["build", "1,4,4", "-o", "out", "--family", "resnet50"], 1, "at most 1,000,000,000 param"),
        (["build", "0.1,1,1", "-o", "out"], 1, "total stride of 32"),
        (["build", "1,1,1", "-o", "out", "--family", "vgg"], 1, "the family must be one of"),
        (["build", "e", "-o", "out", "--family", "resnet18"], 2, "--family goes with multipliers"),
        (["build", "e", "-o", "out", "--classes", 0], 1, "classes must be in"),
        (["build", "e", "-o", "out", "--weights", "none.pth"], 2, "does not exist"),
        (["build", "e"], 2, "Missing option '-o'"),
        (["formula"], 2, "exactly one of --flops, --params, --size, --latency; got none"),
        (["formula", "--flops", "1M", "--size", "1MB"], 2, "got --flops and --size"),
        (["formula", "--flops", "1M", "--device", "cpu"], 2, "--device is where --latency"),
        (["formula", "--flops", "50X"], 1, "--flops must look like 50M; got '50X'"),
        (["formula", "--flops", "1k"], 1, "is out of reach of networks of efficientnet"),
        (["formula", "--flops", "1G"], 1, "must be at most 385,814,752 multiply-adds"),
        (
            ["formula", "--latency", "5ms", "--device", "abacus"],
            1,
            "device abacus cannot be used here",
        ),
    ],
)
def test_wrong_input_gets_one_clean_sentence(
    words: list[Any], code: int, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = run(*words)
    assert (result.exit_code, result.stdout) == (code, "")
    assert said in " ".join(result.stderr.split())
    assert "Traceback" not in result.output
    assert list(tmp_path.iterdir()) == []


def test_the_formula_prints_its_network_and_how_sure_it_is() -> None:
    result = run("formula", "--flops", "50M")
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0] == "efficientnet for 50,000,000 multiply-adds, 1000 classes"
    rows = {line[: line.find("  ")]: line.split() for line in lines[2:9]}
    assert rows["tiny formula"][-3:] == ["2,338,446", "+1.15", "%"]
    assert rows["depth alone"][2:] == ["-"] * 7
    text = "\n".join(lines)
    assert "an interpolation of the five released models, not the authors' fit" in text
    assert "95 % interval" in text
    assert "within the fitted range 0.0631 to 0.8731" in text
    net = lines[-1].split()[lines[-1].split().index("build") + 1]
    assert lines[-1].startswith("To write it: widthwise tinynet build ")
    resolution, depth, width = map(float, net.split(","))
    scale = Multipliers(resolution=resolution, depth=depth, width=width)
    assert FAMILIES["efficientnet"].counts(scale, classes=1000).parameters == 2_338_446


def test_the_formula_says_where_it_is_not_fitted() -> None:
    result = run("formula", "--flops", "10M")
    assert result.exit_code == 0, result.output
    assert "OUTSIDE, so an extrapolation, of the fitted range" in result.stdout
    result = run("formula", "--params", "2.5M", "--family", "resnet18", "--classes", 10)
    assert result.exit_code == 0, result.output
    assert "nothing shows that it holds for resnet18" in result.stdout
    assert "--family resnet18 -o DIR" in result.stdout


def test_the_formula_as_json() -> None:
    found = printed_json("tinynet formula", run("formula", "--flops", "50M", "--json"))
    proposal = found["proposal"]
    assert proposal["counts"] == {"parameters": 2_338_446, "macs": 50_574_432}
    low, high = proposal["resolution"]["interval"]
    assert low < proposal["resolution"]["value"] < high
    assert proposal["is_inside"] is True
    assert len(found["beside"]) == 6
    missing = [one for one in found["beside"] if one["scale"] is None]
    assert [one["rule"] for one in missing] == ["depth alone"]
    assert missing[0]["cost"] is None
    assert missing[0]["reason"]


def test_a_budget_of_seconds_goes_by_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    """By a device that needs a nanosecond for a multiply-add."""

    def fake(family: Any, scale: Multipliers, *, classes: int, device: str) -> Estimate:
        macs = family.counts(scale, classes=classes).macs
        return Estimate(value=macs * 1e-9, standard_error=0.0, n=15)

    monkeypatch.setattr(solve, "latency_sec", fake)
    result = run("formula", "--latency", "50ms", "--device", "cpu")
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("efficientnet for 50 ms, 1000 classes")
    assert "Another moment may give another time." in result.stdout
    assert "compound" not in result.stdout


def test_a_network_that_costs_another_share_than_was_read_at_is_confessed() -> None:
    """2.5 M parameters: the curve has them between two shares, and the width goes on to them."""
    result = run("formula", "--params", "2.5M")
    asked = json.loads(run("formula", "--params", "2.5M", "--json").stdout)["proposal"]
    assert asked["own_share"] == pytest.approx(asked["counts"]["macs"] / 385_814_752)
    assert abs(asked["own_share"] / asked["share"] - 1) > 0.02, "the test wants one that is off"
    (said,) = [line for line in result.stdout.splitlines() if line.startswith("The network itself")]
    assert f"has the share {asked['own_share']:.4f}, within the fitted range" in said
    fitted = Formula.from_published()
    inside = True
    for curve, name in ((fitted.resolution, "resolution"), (fitted.depth, "depth")):
        low, high = curve(asked["own_share"]).interval()
        assert f"{low:.3f} to {high:.3f}" in said
        inside = inside and low <= asked["scale"][name] <= high
    assert ("are within these 95 % intervals" in said) == inside


def test_a_share_of_its_own_outside_the_range_is_an_extrapolation() -> None:
    """1.9 M parameters are fewer than TinyNet-E has, the smallest behind the formula."""
    said = run("formula", "--params", "1.9M").stdout
    (line,) = [line for line in said.splitlines() if line.startswith("The network itself")]
    assert "OUTSIDE, so an extrapolation, of the fitted range" in line
    near = run("formula", "--params", "4M").stdout  # off by 1 %, no more than rounding
    assert "The network itself" not in near
