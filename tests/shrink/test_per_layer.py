"""Widths by layers: what is written and said of them, and what cannot have them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import transformers as hf
from every_family import tiny_model
from gguf import GGUFReader
from shrink_runs import made, quick_runs

from widthwise.cut.checkpoint import resolve_model
from widthwise.errors import OutputError, PlanError, RunError, UnsupportedModelError
from widthwise.prune import prune
from widthwise.shrink import Shrink, ShrinkResult
from widthwise.shrink.plan import plan_shrink


@pytest.fixture(scope="module")
def by_layers(text: Path, tmp_path_factory: pytest.TempPathFactory) -> ShrinkResult:
    folder = tmp_path_factory.mktemp("by-layers")
    with quick_runs():
        return Shrink(folder / "out", made(folder, text, per_layer=True)).run()


def test_layers_have_widths_of_their_own_within_the_same_parameters(
    by_layers: ShrinkResult,
) -> None:
    with resolve_model(by_layers.model).checkpoint as checkpoint:
        assert checkpoint.is_compact
        widths = checkpoint.widths
    sizes = by_layers.plan.sizes
    assert len(set(widths)) > 1, "all layers came out alike: nothing is shown by this"
    assert by_layers.parameters <= sizes.parameters
    assert by_layers.neurons == f"{min(widths)} to {max(widths)}"
    model = hf.AutoModelForCausalLM.from_pretrained(by_layers.model, trust_remote_code=True)
    assert sum(each.numel() for each in model.parameters()) == by_layers.parameters


def test_the_pages_say_so_and_how_to_load_it(by_layers: ShrinkResult) -> None:
    page = (by_layers.folder / "report.html").read_text()
    readme = (by_layers.folder / "README.md").read_text()
    assert f"(widths {by_layers.neurons} of 53" in by_layers.verdict
    assert by_layers.neurons in readme
    assert "trust_remote_code=True" in readme
    assert "trust_remote_code=True" in page
    assert {speed.metric for speed in by_layers.speeds} == {"ttft", "tpot", "throughput"}
    assert "on average, in widths by layers" in by_layers.plan.words


def test_a_finished_one_is_read_again_and_is_no_other(by_layers: ShrinkResult) -> None:
    with quick_runs():
        again = Shrink(by_layers.folder, by_layers.settings).run()
    assert again.verdict == by_layers.verdict
    with pytest.raises(RunError, match="per_layer"):
        Shrink(by_layers.folder, replace(by_layers.settings, per_layer=False)).run()


def test_what_cannot_have_them_is_refused_first(text: Path, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="--max-loss 2% tries one width for all layers"):
        made(tmp_path, text, max_loss="2%", per_layer=True)
    tiny_model("qwen2").save_pretrained(tmp_path / "qwen")
    asked = replace(made(tmp_path, text, per_layer=True), model=str(tmp_path / "qwen"))
    assert plan_shrink(asked).per_layer
    with pytest.raises(UnsupportedModelError, match="one width for all layers of qwen2; drop"):
        plan_shrink(replace(asked, gguf="f16"))
    tiny_model("mixtral").save_pretrained(tmp_path / "mixtral")
    with pytest.raises(UnsupportedModelError, match="--per-layer"):
        plan_shrink(replace(asked, model=str(tmp_path / "mixtral")))


def test_prune_refuses_them_where_they_cannot_be_stored_or_chosen(tmp_path: Path) -> None:
    model = tmp_path / "dense"
    tiny_model("llama").save_pretrained(model)
    with pytest.raises(PlanError, match="leave the refit in"):
        prune(model, remove="40%", out=tmp_path / "out", criterion="ppm", per_layer=True)
    with pytest.raises((OutputError, UnsupportedModelError)):
        prune(model, remove="40%", out=tmp_path / "out.gguf", per_layer=True)
    assert not [*tmp_path.glob("out*")]


@pytest.mark.long
@pytest.mark.demo
def test_llama_cpp_reads_the_file_of_widths_by_layers(
    text: Path, all_words: Path, tmp_path: Path
) -> None:
    pytest.importorskip("sentencepiece")
    asked = {"model": str(all_words), "gguf": "f16", "minutes": 0.001, "per_layer": True}
    with quick_runs():
        result = Shrink(tmp_path / "out", made(tmp_path, text, **asked)).run()
    with resolve_model(result.model).checkpoint as checkpoint:
        widths = checkpoint.widths
    fields = GGUFReader(result.file).fields
    (field,) = (fields[name] for name in fields if name.endswith(".feed_forward_length"))
    assert tuple(int(field.parts[place][0]) for place in field.data) == widths
    assert len(set(widths)) > 1
    assert {speed.metric for speed in result.speeds} == {"prefill", "decode", "throughput"}
    assert result.file_bytes <= result.plan.planned_bytes
