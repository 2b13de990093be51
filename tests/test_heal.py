"""Healing from end to end: two checkpoints in, a plain one out that says what it is."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers as hf
from click.testing import CliRunner, Result
from families import WIDTH, tiny
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from widthwise import make_plan, prune_checkpoint
from widthwise.cli import main
from widthwise.errors import CheckpointError, OutputError, RunError
from widthwise.prune import Checkpoint, refit, texts
from widthwise.prune.healing import HealSettings, api, blocks, heal, inspect_healing, judging
from widthwise.prune.healing.blocks import read_blocks
from widthwise.prune.healing.state import state_folder

BLOCK = 32  # tokens, instead of 512
VOCABULARY = 257  # bytes and a beginning
BATCH = 4 * BLOCK
ALPHABET = sorted(pre_tokenizers.ByteLevel.alphabet())
QUICK = {"tokens": 3 * BATCH, "batch_tokens": BATCH, "learning_rate": 3e-3}


def run(*words: Any) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words])


def contents(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in folder.iterdir()}


@pytest.fixture(autouse=True)
def _short_blocks(monkeypatch: Any) -> None:
    for module in (texts, blocks):
        monkeypatch.setattr(module, "BLOCK_TOKENS", BLOCK)


@pytest.fixture(scope="module")
def text(tmp_path_factory: Any) -> Path:
    path: Path = tmp_path_factory.mktemp("text") / "text.txt"
    words = ("king", "price", "river", "colour", "number", "wheat", "sand", "book", "nobody")
    path.write_text(
        "\n".join(
            f"In the year {i} the {words[i % 7]} of the {words[i % 9]} was {words[i % 5]}er."
            for i in range(800)
        )
    )
    return path


@pytest.fixture(scope="module")
def child(tmp_path_factory: Any, dense: Path, text: Path) -> Path:
    """The tiny model cut and refitted, in float32."""
    out: Path = tmp_path_factory.mktemp("child") / "child"
    done = refit(dense, width=20, align=1, text=text, tokens=2048, sequential=False)
    return prune_checkpoint(dense, out, done.plan, refit=done)


@pytest.fixture
def healed(child: Path, dense: Path, text: Path, tmp_path: Path) -> Any:
    """`heal` of that child, into `tmp_path / out`."""

    def call(out: str = "out", **changes: Any) -> Any:
        options = {key: changes.pop(key) for key in ("progress", "force", "text") if key in changes}
        settings = HealSettings(**{**QUICK, **changes})
        return heal(
            child, dense, out=tmp_path / out, settings=settings,
            dtype="float32", **{"text": text, **options},
        )  # fmt: skip

    return call


def _write_tokenizer(folder: Path) -> None:
    """One token a byte."""
    model = models.BPE(vocab={c: i for i, c in enumerate(["<s>", *ALPHABET])}, merges=[])
    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    hf.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="<s>"
    ).save_pretrained(folder)


@pytest.fixture(scope="module")
def dense(tmp_path_factory: Any) -> Path:
    """A tiny Llama in float32, drawn wide, so that a cut is felt."""
    folder: Path = tmp_path_factory.mktemp("dense") / "dense"
    tiny("llama", vocab_size=VOCABULARY, initializer_range=0.3).save_pretrained(folder)
    _write_tokenizer(folder)
    return folder


def test_the_command_writes_a_plain_checkpoint_that_says_what_it_is(
    child: Path, dense: Path, text: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    result = run(
        "heal", child, "--dense", dense, "--text", text, "--tokens", "1K",
        "--batch-tokens", BATCH, "--learning-rate", "3e-3", "--dtype", "float32", "-o", out,
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert result.stdout == f"{out}\n"
    assert "tokens in 0." in result.stderr
    assert "KL fell by" in result.stderr
    assert ": closer to its parent; brackets are 95 % intervals" in result.stderr
    model = hf.AutoModelForCausalLM.from_pretrained(out)
    assert model.config.intermediate_size == 20
    assert hf.AutoTokenizer.from_pretrained(out).get_vocab()
    record = json.loads((out / "widthwise_healing.json").read_text())
    assert record["tokens"] == 1000 // BLOCK * BLOCK
    assert record["text"]["source"] == str(text)
    assert record["after"]["divergence_nats"] < record["before"]["divergence_nats"]
    assert record["gain_interval"][0] > 0
    assert len(record["curve"]) == 8
    assert record["curve"][-1]["tokens"] == record["tokens"]
    assert record["child_refit"]["criterion"] == "activation"
    card = (out / "README.md").read_text()
    assert "992 tokens of" in card
    assert record["parent"]["fingerprint"] in card
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out"]


def test_mup_factors_are_in_the_record_the_card_and_the_weights(
    healed: Any, child: Path, dense: Path, text: Path, tmp_path: Path
) -> None:
    out = tmp_path / "scaled"
    result = run(
        "heal", child, "--dense", dense, "--text", text, "--tokens", QUICK["tokens"],
        "--batch-tokens", BATCH, "--learning-rate", "3e-3", "--dtype", "float32", "--mup-factors",
        "-o", out,
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    record = json.loads((out / "widthwise_healing.json").read_text())
    assert record["settings"]["mup_factors"] is True
    factors = record["learning_rate_factors"]
    assert [name for name in factors if not name.endswith("mlp.down_proj.weight")] == []
    assert set(factors.values()) == {WIDTH / 20}
    assert (
        "down_proj at the learning rate times dense width over width (muP)"
        in (out / "README.md").read_text()
    )
    plain = healed().out
    record = json.loads((plain / "widthwise_healing.json").read_text())
    assert record["learning_rate_factors"] is None
    name = next(iter(factors))
    one, two = (load_file(path / "model.safetensors")[name] for path in (out, plain))
    assert not torch.equal(one, two)
    same = run("heal", dense, "--dense", dense, "--mup-factors", "-o", tmp_path / "same")
    assert same.exit_code == 1


def test_factors_are_a_setting_that_a_state_keeps(healed: Any, tmp_path: Path) -> None:
    """One begun with none is refused with them; states from before there were any go on."""

    def interrupt(*_: Any) -> None:
        os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        healed(progress=interrupt)
    with pytest.raises(RunError, match="was begun with mup_factors None, not True"):
        healed(mup_factors=True)
    file = tmp_path / ".out.healing" / "state.safetensors"
    with safe_open(file, "pt") as state:
        head = state.metadata()
    known = json.loads(head["settings"])
    del known["mup_factors"]
    save_file(load_file(file), file, {**head, "settings": json.dumps(known)})
    assert len(healed().curve) == 3


def test_inspect_works_and_the_refit_is_not_claimed(healed: Any) -> None:
    out = healed().out
    assert not (out / "widthwise_refit.json").exists()
    assert (out / "widthwise_plan.json").exists()
    result = run("inspect", out)
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["refit"] is None
    with Checkpoint(out) as checkpoint:
        found = inspect_healing(checkpoint)
    assert found is not None
    assert found["verified"] is True
    assert "curve" not in found


def test_other_weights_under_the_record_of_a_healing_are_told_apart(
    healed: Any, child: Path, tmp_path: Path
) -> None:
    out = healed().out
    copy = shutil.copytree(child, tmp_path / "copy")
    with Checkpoint(copy) as checkpoint:
        assert inspect_healing(checkpoint) is None
    shutil.copyfile(out / "widthwise_healing.json", copy / "widthwise_healing.json")
    with Checkpoint(copy) as checkpoint:
        found = inspect_healing(checkpoint)
        assert found is not None
        assert found["verified"] is False
        (copy / "widthwise_healing.json").write_text("{}")
        with pytest.raises(CheckpointError, match="cannot be read as the record of a healing"):
            inspect_healing(checkpoint)


def test_the_numbers_are_those_of_the_written_model(healed: Any, dense: Path, text: Path) -> None:
    found = healed()
    models = [hf.AutoModelForCausalLM.from_pretrained(path) for path in (found.out, dense)]
    tokenizer = hf.AutoTokenizer.from_pretrained(dense)
    rows = read_blocks(text, tokenizer, QUICK["tokens"]).held_out
    with torch.no_grad():
        own, other = (model(rows).logits.log_softmax(-1) for model in models)
    kl = (other.exp() * (other - own)).sum(-1).mean(-1)
    assert found.after.divergence.value == pytest.approx(float(kl.mean()), rel=1e-3)
    losses = [-m[:, :-1].gather(-1, rows[:, 1:, None]).mean() for m in (own, other)]
    expected = float((losses[0] - losses[1]).exp())
    assert found.after.perplexity_ratio[0] == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_the_result_is_stored_as_the_child_is(
    dtype: str, dense: Path, text: Path, tmp_path: Path
) -> None:
    plan = make_plan(dense, width=20, align=1)
    child = prune_checkpoint(dense, tmp_path / "child", plan, dtype=dtype, max_shard_size=30_000)
    assert len(list(child.glob("*.safetensors"))) > 1
    settings = HealSettings(**QUICK)
    heal(child, dense, out=tmp_path / "out", text=text, settings=settings)
    with Checkpoint(child) as before, Checkpoint(tmp_path / "out") as after:
        assert {n: (s.file.name, s.spec) for n, s in before.tensors.items()} == {
            n: (s.file.name, s.spec) for n, s in after.tensors.items()
        }
        changed = [
            not torch.equal(before.rows(n, 0, s.spec.shape[0]), after.rows(n, 0, s.spec.shape[0]))
            for n, s in before.tensors.items()
        ]
    assert all(changed)


class _Stop(Exception):
    pass


@pytest.mark.parametrize("lora", [None, 2])
def test_an_interrupted_run_goes_on_and_ends_with_the_same_weights(
    lora: int | None, healed: Any, tmp_path: Path, monkeypatch: Any
) -> None:
    """Bit for bit, with a Ctrl-C in the second step and a kill in the third, saved after each."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    monkeypatch.setattr(api, "SAVE_SECONDS", 0.0)
    asked: dict[str, Any] = {"lora": lora, "hidden": 0.1, "tokens": 8 * BATCH}
    whole = healed("whole", **asked)

    def interrupt(step: Any, _: float) -> None:
        if step.tokens == 2 * BATCH:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        healed(progress=interrupt, **asked)

    def die(step: Any, _: float) -> None:
        if step.tokens == 4 * BATCH:
            raise _Stop

    with pytest.raises(_Stop):
        healed(progress=die, **asked)
    assert (tmp_path / ".out.healing" / "state.safetensors").exists()
    assert not (tmp_path / "out").exists()
    steps: list[int] = []
    again = healed(progress=lambda step, _: steps.append(step.tokens // BATCH), **asked)
    torch.set_num_threads(threads)
    assert steps == [4, 5, 6, 7, 8]  # the fourth was not saved before the kill
    assert [s.loss for s in again.curve] == [s.loss for s in whole.curve]
    assert again.before == whole.before
    assert again.after == whole.after
    files = [load_file(tmp_path / name / "model.safetensors") for name in ("whole", "out")]
    for name, value in files[0].items():
        assert torch.equal(value, files[1][name]), name
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out", "whole"]


def test_a_state_of_other_settings_is_refused(healed: Any, tmp_path: Path) -> None:
    def interrupt(*_: Any) -> None:
        os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        healed(progress=interrupt)
    with pytest.raises(
        RunError, match=r"was begun with learning_rate 0\.003, not 0\.01; give what"
    ):
        healed(learning_rate=0.01)
    file = tmp_path / ".out.healing" / "state.safetensors"
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(RunError, match=r"cannot be read .* remove .*\.out\.healing to begin anew"):
        healed()
    assert file.exists()


def test_a_loss_that_is_not_finite_keeps_the_state_before_it(
    healed: Any, tmp_path: Path, monkeypatch: Any
) -> None:
    from widthwise.prune.healing import training

    calls = []

    def breaks(own: torch.Tensor, *_: Any) -> torch.Tensor:
        calls.append(1)
        return own.sum() * (float("nan") if len(calls) > 2 else 1e-3)

    monkeypatch.setattr(training, "divergence", breaks)
    with pytest.raises(RunError, match=r"step 3: the loss is nan .*once .*\.out\.healing with the"):
        healed(micro_tokens=BATCH)
    with state_folder(tmp_path / "x", {}) as folder:
        pass
    folder.path = tmp_path / ".out.healing"
    found = folder.load()
    assert found is not None
    assert len(found[1]["curve"]) == 2
    assert all(torch.isfinite(value).all() for value in found[0].values())
    assert not (tmp_path / "out").exists()


def test_a_run_that_ends_while_measuring_loses_no_training(
    healed: Any, tmp_path: Path, monkeypatch: Any
) -> None:
    calls: list[int] = []

    def judge(*given: Any) -> Any:
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return judging.judge(*given)

    monkeypatch.setattr(api, "judge", judge)
    with pytest.raises(KeyboardInterrupt):
        healed(tokens=2 * BATCH)
    assert (tmp_path / ".out.healing" / "state.safetensors").exists()
    steps: list[Any] = []
    done = healed(tokens=2 * BATCH, progress=lambda *step: steps.append(step))
    assert steps == []
    assert len(done.curve) == 2


def test_a_first_step_that_is_not_finite_leaves_nothing_and_blames_no_rate(
    healed: Any, tmp_path: Path
) -> None:
    with pytest.raises(RunError, match=r"step 1: .*; look at the models, and at --temperature"):
        healed(hidden=1e30)
    assert list(tmp_path.iterdir()) == []


def test_a_model_that_is_ruined_is_told(healed: Any) -> None:
    assert "further from its parent than before" in healed(learning_rate=1e3).told[0]


def test_a_disk_too_small_is_refused_before_training(healed: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr("widthwise.prune.healing.writing.free_bytes", lambda _: 1000)
    with pytest.raises(OutputError, match=r"the disk is full: .* bytes are needed, 1,000 free"):
        healed(progress=lambda *_: pytest.fail("it was trained"))


@pytest.mark.parametrize(
    "wrong",
    [
        {"tokens": 1.5}, {"batch_tokens": float("nan")}, {"micro_tokens": 0.5}, {"lora": True},
        {"seed": -1}, {"minutes": float("inf")}, {"temperature": 1e-9}, {"learning_rate": "fast"},
    ],
)  # fmt: skip
def test_settings_out_of_range_are_refused_by_name(wrong: dict[str, Any]) -> None:
    with pytest.raises(RunError, match=f"{next(iter(wrong))} of a healing must be"):
        HealSettings(**wrong)


def test_a_full_disk_leaves_the_state_before(tmp_path: Path, monkeypatch: Any) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(OutputError, match=r"was not written: .*No space left"):  # noqa: PT012
        with state_folder(tmp_path / "out", {"a": 1}) as folder:
            folder.save({"w": torch.ones(2)}, {"step": 1})
            monkeypatch.setattr("widthwise.prune.healing.state._flush", full)
            folder.save({"w": torch.zeros(2)}, {"step": 2})
    monkeypatch.undo()
    with state_folder(tmp_path / "out", {"a": 1}) as folder:
        found = folder.load()
        assert found is not None
        assert found[0]["w"].tolist() == [1, 1]
        assert found[1] == {"step": 1}
        assert [p.name for p in folder.path.iterdir()] == ["state.safetensors"]


def test_two_healings_into_one_place_do_not_mix(healed: Any, tmp_path: Path) -> None:
    place = tmp_path / ".out.healing"
    place.mkdir()
    lock = os.open(place, os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_EX)
    with pytest.raises(OutputError, match="is being healed into by another process"):
        healed()
    os.close(lock)
    healed()
    assert not place.exists()


def test_what_exists_is_refused_before_any_work(
    healed: Any, child: Path, dense: Path, tmp_path: Path
) -> None:
    (tmp_path / "out").mkdir()
    result = run("heal", child, "--dense", dense, "-o", tmp_path / "out")
    assert result.exit_code == 1
    assert "already exists; pass --force to replace it" in result.stderr
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out"]
    before = contents(child)
    with pytest.raises(OutputError, match="must not lie in one another"):
        heal(child, dense, out=child / "in")
    assert contents(child) == before
    (tmp_path / "out" / "config.json").write_text("{}")
    assert (healed(force=True).out / "model.safetensors").exists()


def test_models_that_do_not_belong_together_are_told(
    child: Path, dense: Path, saved: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    with pytest.raises(CheckpointError, match="nothing was pruned, so nothing can be healed"):
        heal(dense, dense, out=out)
    with pytest.raises(CheckpointError, match=r"is narrower than .*--dense must be the wider one"):
        heal(dense, child, out=out)
    with pytest.raises(CheckpointError, match=r"is not the dense parent of .* has shape"):
        heal(child, saved, out=out)
    tiny("qwen2").save_pretrained(tmp_path / "qwen")
    with pytest.raises(CheckpointError, match="model_type is qwen2 and llama"):
        heal(child, tmp_path / "qwen", out=out)
    assert not out.exists()


def test_another_tokenizer_is_told(child: Path, dense: Path, tmp_path: Path) -> None:
    other = shutil.copytree(child, tmp_path / "other")
    file = other / "tokenizer.json"
    data = json.loads(file.read_text())
    vocabulary = data["model"]["vocab"]
    first, second = list(vocabulary)[100:102]
    vocabulary[first], vocabulary[second] = vocabulary[second], vocabulary[first]
    file.write_text(json.dumps(data))
    with pytest.raises(CheckpointError, match="do not share a tokenizer"):
        heal(other, dense, out=tmp_path / "out")
    file.unlink()
    (other / "tokenizer_config.json").unlink()
    with pytest.raises(RunError, match="its tokenizer cannot be loaded"):
        heal(other, dense, out=tmp_path / "out")


def test_a_device_that_is_not_there_is_told(child: Path, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="runs on cpu, cuda or cuda:N; got 'quantum'"):
        heal(child, child, out=tmp_path / "out", device="quantum")
    with pytest.raises(RunError, match="computes in bfloat16 or float32; got 'float16'"):
        heal(child, child, out=tmp_path / "out", dtype="float16")


def test_too_little_text_is_told(child: Path, dense: Path, text: Path, tmp_path: Path) -> None:
    few = tmp_path / "few.txt"
    few.write_text(text.read_text()[:200])
    with pytest.raises(RunError, match=r"tokens; a healing needs at least 256"):
        heal(child, dense, out=tmp_path / "out", text=few)


def test_a_text_that_is_gone_through_again_is_told(healed: Any, text: Path, tmp_path: Path) -> None:
    few = tmp_path / "few.txt"
    few.write_text(text.read_text()[:500])
    found = healed(text=few, tokens=20 * BLOCK)
    assert 1 < found.epochs < 20
    assert "more text heals better" in found.told[0]
    assert healed("other").told == ()


def test_low_rank_updates_end_in_a_plain_checkpoint(
    child: Path, dense: Path, text: Path, tmp_path: Path
) -> None:
    """Of rank 2 at most; what is no linear layer is as it was, padding too."""
    padded = shutil.copytree(child, tmp_path / "padded")
    model = hf.AutoModelForCausalLM.from_pretrained(padded)
    with torch.no_grad():
        for layer in model.model.layers:
            layer.mlp.gate_proj.weight[[3, 17]] = 0
            layer.mlp.up_proj.weight[[3, 17]] = 0
            layer.mlp.down_proj.weight[:, [3, 17]] = 0
    model.save_pretrained(padded)
    settings = HealSettings(**{**QUICK, "tokens": 12 * BATCH, "lora": 2})
    found = heal(padded, dense, out=tmp_path / "out", text=text, settings=settings, dtype="float32")
    assert found.gain.low > 0
    before, after = (load_file(p / "model.safetensors") for p in (padded, found.out))
    assert before.keys() == after.keys()
    moved = 0
    for name, value in before.items():
        change = after[name] - value
        if value.ndim < 2 or "embed" in name or "lm_head" in name:
            assert not change.any(), name
        else:
            moved += 1
            # zeroing two neurons again is a change of rank 2 more at most
            assert int(torch.linalg.matrix_rank(change, rtol=1e-5)) <= 4, name
            assert change.any(), name
        if "down_proj" in name:
            assert not after[name][:, [3, 17]].any()
            assert int((after[name] != 0).any(0).sum()) == 18
        if "gate_proj" in name or "up_proj" in name:
            assert not after[name][[3, 17]].any()
    assert moved == 3 * 7
    hf.AutoModelForCausalLM.from_pretrained(found.out)


def test_without_peft_the_extra_is_named(healed: Any, monkeypatch: Any) -> None:
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(RunError, match=r"pip install 'widthwise\[lora\]'"):
        healed(lora=2)


@pytest.mark.parametrize("lora", [None, 2])
def test_a_fused_family_is_healed(lora: int | None, text: Path, tmp_path: Path) -> None:
    dense = tmp_path / "dense"
    tiny("phi3", vocab_size=VOCABULARY, initializer_range=0.3).save_pretrained(dense)
    _write_tokenizer(dense)
    plan = make_plan(dense, width=20, align=1)
    child = prune_checkpoint(dense, tmp_path / "child", plan)
    settings = HealSettings(**{**QUICK, "lora": lora, "tokens": 24 * BATCH})
    found = heal(child, dense, out=tmp_path / "out", text=text, settings=settings, dtype="float32")
    assert found.gain.low > 0
    assert hf.AutoModelForCausalLM.from_pretrained(found.out).config.intermediate_size == 20


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--tokens", "many"], "'many' is not a number of tokens such as 500000 or 1M"),
        (["--minutes", "0"], "0.0 is not in the range x>0"),
        (["--lora", "0"], "0 is not in the range x>=1"),
    ],
)
def test_what_cannot_be_is_a_usage_error(options: list[str], message: str, tmp_path: Path) -> None:
    result = run("heal", "child", "--dense", "smollm2", *options, "-o", tmp_path / "out")
    assert result.exit_code == 2
    assert message in result.stderr
    assert list(tmp_path.iterdir()) == []
