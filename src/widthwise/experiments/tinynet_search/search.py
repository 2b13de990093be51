"""A search for small networks: drawn, trained, the best fitted by the formula, and that judged."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from ...errors import RunError, TargetError, WidthwiseError
from ...runs import Event, Executor, Processes, RunStore, WorkerFactory
from ...tinynet import (
    BUDGET_TOLERANCE,
    DIGITS,
    MIN_POINTS,
    PROXIES,
    Budget,
    Formula,
    Multipliers,
    PhotoSets,
    Sampler,
    Space,
    TrainingRecipe,
    check_space,
    family_named,
    load_photo_sets,
    sample_networks,
    shrink,
)
from .networks import best_nets, formula_of, nets_of
from .train import (
    DRAWN,
    FORMULA,
    INVERSE,
    SIEVE,
    VALIDATION,
    PhotoTrainer,
    image_size,
    photo_job,
    scale_of,
)
from .trials import FORMAT, SearchTrial, TrialJob, run_trials

SAMPLERS = ("random", "optuna")
CANDIDATES = 4  # networks that the sieve looks at for each that is trained
CHOOSING = ("nets", "seeds", "budgets")

Asked = tuple[Budget, Multipliers]


@dataclass(frozen=True, kw_only=True)
class SearchSettings:
    """What is searched, and how.

    Attributes:
        data: Photos, as `load_photo_sets` reads them.
        family: Of the networks.
        budgets: Multiply-adds of one photo.
        nets: Networks that are drawn, for the budgets in turn.
        seeds: Each network is trained once for each.
        space: What they are drawn from.
        recipe: How all networks are trained.
        sampler: `random`, or `optuna`, which draws where networks were good before.
        sieve: A proxy that keeps the best of `CANDIDATES` networks drawn; None for no sieve.
        draw_seed: Of the draws, and of the split of photos that are not split.
    """

    data: str
    family: str = "efficientnet-96"
    budgets: tuple[float, ...] = (2e6, 3.2e6, 5e6, 8e6)
    nets: int = 24
    seeds: tuple[int, ...] = (0, 1)
    space: Space = field(default_factory=Space)
    recipe: TrainingRecipe = field(default_factory=TrainingRecipe)
    sampler: str = "random"
    sieve: str | None = None
    draw_seed: int = 0

    def __post_init__(self) -> None:
        if self.sampler not in SAMPLERS:
            raise RunError(f"the sampler must be one of {SAMPLERS}; got {self.sampler!r}")
        if self.sieve is not None and (self.sieve not in PROXIES or self.sampler != "random"):
            raise RunError(
                f"the sieve must be one of {', '.join(PROXIES)}, with the sampler random; "
                f"got {self.sieve!r} with {self.sampler}"
            )
        if not self.budgets or len(set(self.budgets)) < len(self.budgets) or self.nets < 1:
            raise RunError("a search needs budgets that differ, and a network at least")
        if not self.seeds or len(set(self.seeds)) < len(self.seeds):
            raise RunError(f"seeds must differ from each other; got {self.seeds}")
        check_space(family_named(self.family), self.space)

    @property
    def is_chance(self) -> bool:
        """Whether the networks drawn are drawn by chance alone."""
        return self.sampler == "random" and self.sieve is None

    @property
    def warning(self) -> str | None:
        """What is known before any work not to come of it; None where nothing is."""
        if self.nets >= MIN_POINTS:
            return None
        return (
            f"of {self.nets} network{'s' * (self.nets > 1)} no formula is fitted: it needs at "
            f"least {MIN_POINTS}; take more --nets, now or when this search is gone on with"
        )


@dataclass(frozen=True, kw_only=True)
class SearchResult:
    """What a search gave.

    Attributes:
        trials: All trained networks: drawn, then the formula's and the baseline's.
        photos: What they learnt from and were judged on.
        notes: What could not be done, and why.
    """

    trials: tuple[SearchTrial, ...]
    photos: PhotoSets
    notes: tuple[str, ...]


class Search:
    """Draws networks, trains them, fits the formula to the best, and trains what it proposes.

    Args:
        folder: Of the trials; one that holds a part of this search is gone on with, and networks,
            seeds and budgets may be added to it.
        settings: What is searched.
        engine: Makes the engine that does the trials; None for one worker, on this machine's first
            device.
        on_trial: Called with each trial that this run adds.
        on_event: Called with each event of the engine.
        on_progress: Called with what is being done between the trials.
    """

    def __init__(
        self,
        folder: str | Path,
        settings: SearchSettings,
        *,
        engine: Callable[[WorkerFactory], Executor] | None = None,
        on_trial: Callable[[SearchTrial], None] = lambda _: None,
        on_event: Callable[[Event], None] = lambda _: None,
        on_progress: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.settings = settings
        self.notes: list[str] = []
        self._retry_failed = True
        self._engine = engine or _local
        self._store = RunStore(folder, FORMAT, on_record=on_trial)
        self._on_event = on_event
        self._on_progress = on_progress

    @cached_property
    def photos(self) -> PhotoSets:
        """What networks learn from and are judged on.

        Raises:
            AssetError: They cannot be read.
        """
        side = image_size(self.settings.space.pixels[1])
        return load_photo_sets(self.settings.data, side=side, seed=self.settings.draw_seed)

    @cached_property
    def budgets(self) -> tuple[Budget, ...]:
        return tuple(Budget("macs", amount) for amount in sorted(self.settings.budgets))

    @property
    def n_trainings(self) -> int:
        """How many trainings the whole search is, those done before among them, at most."""
        settings = self.settings
        sieved = CANDIDATES * settings.nets if settings.sieve is not None else 0
        return sieved + len(settings.seeds) * (settings.nets + 2 * len(self.budgets))

    def run(self, *, retry_failed: bool = True) -> SearchResult:
        """Do the trials that are missing, and return all of them.

        Args:
            retry_failed: Whether trials whose worker died or broke are done again.

        Raises:
            AssetError, RunError, OutputError, TargetError: Something that no network can be trained
                without is missing; or of all networks drawn none could be trained.
        """
        self._retry_failed = retry_failed
        self._on_progress("reading the photos")
        if self.photos.skipped:
            self.notes.append(_left_out(self.photos.skipped))
            self._on_progress(self.notes[-1])
        self._on_progress("training the networks that are drawn")
        drawn = self._drawn()
        failed = [trial for trial in drawn if trial.reason is not None]
        if len(failed) == len(drawn):
            raise RunError(f"no network could be trained; the first: {failed[0].reason}")
        self._on_progress("training what the formula and the baseline propose")
        compared = self._trained(self._proposed(drawn))
        return SearchResult(
            trials=(*drawn, *compared), photos=self.photos, notes=tuple(dict.fromkeys(self.notes))
        )

    def _drawn(self) -> list[SearchTrial]:
        """The networks that are drawn, trained."""
        if self.settings.sampler == "optuna":
            return self._led()
        asked = self._spread(self.settings.nets)
        if self.settings.sieve is not None:
            asked = self._sieved(self.settings.sieve)
        return self._trained([(DRAWN, *network) for network in asked])

    def _spread(self, n: int) -> list[Asked]:
        settings = self.settings
        return sample_networks(
            self._family,
            settings.space,
            self.budgets,
            n,
            classes=self._classes,
            seed=settings.draw_seed,
        )

    def _sieved(self, proxy: str) -> list[Asked]:
        """Of each `CANDIDATES` networks of a budget, the one that the proxy puts first."""
        asked = self._spread(CANDIDATES * self.settings.nets)
        jobs = [self._job(SIEVE, *network, seed=self.settings.seeds[0]) for network in asked]
        values = [trial.value(proxy) for trial in self._done(jobs)]
        kept = []
        n_budgets = len(self.budgets)
        for number in range(self.settings.nets):
            turn, budget = divmod(number, n_budgets)
            places = [budget + n_budgets * (CANDIDATES * turn + k) for k in range(CANDIDATES)]
            there = [i for i in places if i < len(asked) and values[i] is not None]
            if there:
                kept.append(asked[max(there, key=lambda i: values[i] or 0.0)])
        if not kept:
            raise RunError(f"the sieve {proxy} could be had of no network")
        return kept

    def _led(self) -> list[SearchTrial]:
        """Networks that Optuna draws, a round of all budgets after the other."""
        settings, trained = self.settings, []
        sampler = Sampler(
            self._family, settings.space, classes=self._classes, seed=settings.draw_seed
        )
        left = settings.nets
        while left > 0:
            asked = [(budget, sampler.ask(budget)) for budget in self.budgets[:left]]
            trials = self._trained([(DRAWN, *network) for network in asked])
            for budget, scale in asked:
                values = [t.value(VALIDATION) for t in trials if scale_of(t.network) == scale]
                known = [value for value in values if value is not None]
                mean = sum(known) / len(known) if len(known) == len(values) else None
                sampler.tell(budget, scale, mean)
            trained += trials
            left -= len(asked)
        return trained

    def _proposed(self, drawn: Sequence[SearchTrial]) -> Iterator[tuple[str, Budget, Multipliers]]:
        """What the formula and the baseline make of each budget; a note where they make nothing."""
        formula = self._formula(drawn)
        rules: tuple[tuple[str, Any], ...] = ((INVERSE, partial(shrink, "compound")),)
        if formula is not None:
            rules = ((FORMULA, formula.propose), *rules)
        for budget in self.budgets:
            for name, propose in rules:
                try:
                    proposed = propose(self._family, budget, classes=self._classes).scale
                    yield name, budget, self._near(proposed, budget)
                except TargetError as error:
                    self.notes.append(f"{name.removeprefix('tinynet ')}, {budget}: {error}")

    def _near(self, scale: Multipliers, budget: Budget) -> Multipliers:
        """The scale in as many digits as networks are known by; TargetError if it misses."""
        rounded = Multipliers(
            **{name: round(value, DIGITS) for name, value in asdict(scale).items()}
        )
        macs = self._family.counts(rounded, classes=self._classes).macs
        if abs(macs / budget.amount - 1) > BUDGET_TOLERANCE:
            raise TargetError(f"the nearest network has {macs:,} multiply-adds")
        return rounded

    def _formula(self, drawn: Sequence[SearchTrial]) -> Formula | None:
        nets = nets_of(drawn)
        try:
            return formula_of(best_nets(nets), self._family, self._classes)
        except WidthwiseError as error:
            self.notes.append(f"no formula: {error}")
            return None

    def _trained(
        self, asked: Sequence[tuple[str, Budget, Multipliers]] | Iterator[Any]
    ) -> list[SearchTrial]:
        """Each network once for each seed; all networks of a seed first."""
        nets = list(asked)
        seeds = self.settings.seeds
        return self._done([self._job(*net, seed=seed) for seed in seeds for net in nets])

    def _job(self, experiment: str, budget: Budget, scale: Multipliers, *, seed: int) -> TrialJob:
        return photo_job(
            experiment,
            self._family,
            scale,
            macs=budget.amount,
            seed=seed,
            recipe=self.settings.recipe,
            photos=self.photos,
        )

    def _done(self, jobs: Sequence[TrialJob]) -> list[SearchTrial]:
        settings = self.settings
        side = image_size(settings.space.pixels[1])
        data = str(Path(settings.data).resolve())
        stored = asdict(settings)
        del stored["data"]  # what was asked for is compared before the photos that came of it
        stored["data"] = self.photos.digest
        return run_trials(
            self._store,
            jobs,
            make=partial(PhotoTrainer, data, side, self.photos.digest, settings.draw_seed),
            settings=stored,
            choosing=CHOOSING,
            engine=self._engine,
            on_event=self._on_event,
            retry_failed=self._retry_failed,
        )

    @property
    def _family(self) -> Any:
        return family_named(self.settings.family)

    @property
    def _classes(self) -> int:
        return len(self.photos.classes)


def _local(make: WorkerFactory) -> Executor:
    import torch

    return Processes(make, ["cuda:0" if torch.cuda.is_available() else "cpu"])


def _left_out(skipped: Sequence[str]) -> str:
    """How many photos were left out, and the first of them by name."""
    named = "; ".join(skipped[:5]) + (" ..." if len(skipped) > 5 else "")
    return f"{len(skipped)} photo{'s' * (len(skipped) > 1)} left out: {named}"
