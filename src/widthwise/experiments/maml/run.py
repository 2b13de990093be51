"""A run of networks, kernels and the limit on Omniglot: what is missing is meta-trained."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from ... import __version__
from ...runs import ProgressCallback, ResultUnit, run_results
from .data import Omniglot
from .recipes import MamlNetwork, MetaRecipe, recipe_of
from .results import FORMAT
from .train import MamlResult, MamlSettings, meta_train


@dataclass(frozen=True, kw_only=True)
class MamlJob(MamlNetwork):
    """A network that is to be meta-trained.

    Attributes:
        settings: How long it is trained.
        lr: Learning rate; None for that of the network's recipe.
        recipe: How it is trained, with this learning rate.

    Raises:
        LimitError: There is no such network, width or learning rate.
    """

    settings: MamlSettings
    lr: float | None = None
    recipe: MetaRecipe = field(init=False)

    def __post_init__(self) -> None:
        recipe = recipe_of(self.network, self.width)
        if self.lr is not None:
            recipe = replace(recipe, lr=self.lr)
        object.__setattr__(self, "recipe", recipe)


def run_maml(
    images: Omniglot,
    jobs: Sequence[MamlJob],
    folder: Path,
    *,
    data: str,
    on_result: Callable[[str, MamlResult], None] = lambda *_: None,
    on_progress: ProgressCallback = lambda *_: None,
) -> list[MamlResult]:
    """Results of all jobs, those that the folder holds from there; see `run_results`.

    Args:
        images: The images.
        jobs: What is asked for.
        folder: Folder of the results.
        data: sha256 of the file of images.
        on_result: Called with the label and the result of each job that is done now.
        on_progress: Called with the share of this run that is done, and what is done now.
    """
    units = [
        ResultUnit(
            keys=(job.key,),
            label=job.title,
            work=job,
            cost=job.settings.steps,
            settings={
                **asdict(job.settings),
                "recipe": asdict(job.recipe),
                "data": data,
                "widthwise": __version__,
            },
        )
        for job in jobs
    ]

    def train(unit: ResultUnit, report: ProgressCallback) -> MamlResult:
        job: MamlJob = unit.work
        return meta_train(
            images,
            job.network,
            job.width,
            seed=job.seed,
            settings=job.settings,
            recipe=job.recipe,
            on_step=lambda step: report(step / job.settings.steps, unit.label),
        )

    return run_results(folder, FORMAT, units, train, on_result=on_result, on_progress=on_progress)
