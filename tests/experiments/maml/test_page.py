"""The page of meta-learning runs says what their records hold."""

from __future__ import annotations

from pathlib import Path

from maml_results import result
from run_pages import RESULTS, lines, words

from widthwise.experiments.limit_differences import mean_share
from widthwise.experiments.maml import FORMAT, MamlResult, maml_page
from widthwise.runs import RESULTS as FILE


def test_maml_says_what_the_records_hold(pages: dict[str, str]) -> None:
    text = words(pages["maml"])
    runs = lines(RESULTS / "maml" / "results.jsonl")
    shares = [x["test"]["accuracy"] for x in runs if x["network"] == "limit"]
    assert len(shares) == 3
    value, low, high = (100 * x for x in mean_share(shares))
    assert f"{value:.1f} % by the limit [{low:.1f}, {high:.1f}]" in text
    below = "ReLU width 128, ReLU width 512, linear kernel, ReLU GP and ReLU NTK;"
    assert f"Shown below the limit: {below}" in text
    assert "no difference from it is shown for width 2, 8, 32, 128, 512, 2048 and 8192." in text
    assert "width 2, seed 2 collapsed: in validation 17." in text
    assert "width 128, seed 1 collapsed: in validation 17.3 % after 10,000 meta-steps" in text
    assert runs[0]["settings"]["data"] in text
    assert "10000 (width 2, width 8, width 32 and 8 more); 100 (ReLU GP, ReLU NTK)" in text


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
    assert "more steps may help: ReLU width 32, ReLU GP and ReLU NTK." in text
    assert "20-way 5-shot: of 20 characters never trained on, with 5 images each" in text
    assert "Chance is 5 %." in text
