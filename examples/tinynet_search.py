"""A small search: how should an image network spend one or two million multiply-adds?

    python examples/tinynet_search.py FOLDER

Draws eight networks, trains each of them twice, fits the tiny formula to the best of them, and
compares the formula's network with others of the same cost. The pictures are scikit-learn's
digits, so few that all of it takes less than a minute; docs/tinynet-search.md describes a search on
photos of yours. Run again, it goes on with what FOLDER holds.
"""

from __future__ import annotations

import sys
from pathlib import Path

from PIL import Image
from sklearn.datasets import load_digits

from widthwise.experiments.tinynet_search import Search, SearchSettings, search_text
from widthwise.experiments.tinynet_search.findings import tiny_findings
from widthwise.tinynet import Space, TrainingRecipe

PICTURES = 500


def save_pictures(folder: Path) -> None:
    """Write a folder of pictures for each digit."""
    images, labels = load_digits(return_X_y=True)
    for number in range(PICTURES):
        picture = Image.fromarray((images[number].reshape(8, 8) * 15).astype("uint8"))
        path = folder / str(labels[number]) / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        picture.convert("RGB").resize((32, 32)).save(path)


def main(folder: Path) -> None:
    save_pictures(folder / "pictures")
    settings = SearchSettings(
        data=str(folder / "pictures"),
        family="resnet18",
        budgets=(1e6, 2e6),
        nets=8,
        seeds=(0, 1),
        space=Space(pixels=(32, 48)),
        recipe=TrainingRecipe(epochs=3),
    )
    result = Search(folder / "search", settings).run()
    print(search_text(tiny_findings(result.trials, classes=len(result.photos.classes))))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
