"""The page of meta-learning runs says what their records hold."""

from __future__ import annotations

from pathlib import Path

from maml_results import result
from run_pages import RESULTS, lines, words

from widthwise.experiments.maml import FORMAT, MamlResult, maml_page
from widthwise.runs import RESULTS as FILE


def test_maml_says_what_the_records_hold(pages: dict[str, str]) -> None:
    text = words(pages["maml"])
    found = {(x["network"], x["width"]): x for x in lines(RESULTS / "maml" / "results.jsonl")}
    test = found["finite", 2]["test"]
    low, high = (
        100 * (test["accuracy"] + z * test["standard_error"]) for z in (-1.959964, 1.959964)
    )
    assert f"{100 * test['accuracy']:.1f} % at width 2 [{low:.1f}, {high:.1f}]" in text
    assert "Shown below the limit: width 2, 8, linear kernel, ReLU GP and ReLU NTK;" in text
    assert "no difference from it is shown for width 32, 128, 512, 2048 and 8192." in text
    assert "There is one seed: how far another start" in text
    assert found["finite", 2]["settings"]["data"] in text
    assert "10000 (width 2, width 8, width 32 and 6 more); 100 (ReLU GP, ReLU NTK)" in text


def written(folder: Path, runs: list[MamlResult], **settings: int) -> str:
    text = "".join(FORMAT.to_json((run, settings)) + "\n" for run in runs)
    (folder / FILE).write_text(text)
    maml_page(folder / FILE).write(folder / "page.html")
    return (folder / "page.html").read_text()


def test_relu_networks_are_set_beside_their_kernels_seed_by_seed(tmp_path: Path) -> None:
    gains = (0.10, 0.12, 0.11)
    runs = [
        run
        for seed, gain in enumerate(gains)
        for run in (
            result(0.5 + gain, "relu", 32, seed),
            result(0.5, "gp", None, seed),
            result(0.5 + 0.01 * seed, "ntk", None, seed),
        )
    ]
    text = words(written(tmp_path, runs, ways=20, shots=5))
    # 4.303 x .01 / 3^.5 either way, Student's of two degrees of freedom.
    assert "ReLU width 32 ReLU GP +11.00 [+8.52, +13.48] above" in text
    assert "ReLU width 32 ReLU NTK +10.00 [+7.52, +12.48] above" in text
    assert "20-way 5-shot: of 20 characters never trained on, with 5 images each" in text
    assert "Chance is 5 %." in text
