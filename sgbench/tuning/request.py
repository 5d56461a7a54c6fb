"""Checks the request for a search of settings before anything runs."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sgbench.composition.overrides import Overrides
from sgbench.composition.plan import PointComposer
from sgbench.errors import InputError
from sgbench.leaderboard.deviation import References, setting_deviations
from sgbench.leaderboard.score import Measure
from sgbench.records.files import Strategy
from sgbench.records.method import method_id
from sgbench.records.spec import Protocol, RunSpec
from sgbench.tables import ranges
from sgbench.tuning.space import Interval, search_space, setting_overrides

TUNING_OVERRIDES = ("trainer.progress=false", "trainer.test_tuning_seeds=false")
"""Overrides of every run of a search: no progress bar, and no evaluation on the test split."""
FIRST_SEEDS = 3
"""Default number of tuning seeds that each setting is tried with."""


@dataclass(frozen=True)
class Request:
    """Names the method and the budget of a search."""

    overrides: Overrides  # Hydra overrides of the method; no seed and none of the searched numbers
    studies: int = 3  # independent searches
    trials: int = 5  # settings of each study
    strategy: Strategy = "sobol"  # how settings are chosen
    prune: bool = False  # whether runs that fall behind are stopped early
    seeds: int | None = None  # tuning seeds of each setting; None is three, or all if the same seeds report
    config_dirs: tuple[Path, ...] = ()  # folders with entries of the user's own
    allow_targets: tuple[str, ...] = ()  # exact names of classes outside the catalogue that may be imported


@dataclass(frozen=True)
class Task:
    """Holds a checked request for a search, with its protocol and search space."""

    request: Request
    composer: PointComposer
    base: RunSpec  # the run in the middle of the search space, with the first tuning seed
    protocol: Protocol  # as the catalogue states it
    space: dict[str, Interval]  # maps keys of searched numbers to their intervals
    measure: Measure  # accuracy or loss, by which the protocol compares methods

    @property
    def base_id(self) -> str:
        """Return the id of the method in the middle of the search space, which names the search's journal."""
        return method_id(self.base.method)

    @property
    def first_seeds(self) -> tuple[int, ...]:
        """Return the seeds that each setting is tried with, before the best of a study is run with all of them."""
        seeds = self.protocol.trial_seeds
        default = len(seeds) if self.protocol.tuning_seeds is None else FIRST_SEEDS
        return seeds[: self.request.seeds or default]

    @property
    def folder(self) -> Path:
        return Path(self.base.paths.runs_dir) / self.protocol.name

    def specs(self, setting: dict[str, float], seeds: Sequence[int]) -> tuple[RunSpec, ...]:
        """Compose one run for each seed with a setting, which maps keys of searched numbers to values."""
        added = [*setting_overrides(setting), *TUNING_OVERRIDES, f"seed={seeds[0]}"]
        try:
            first_spec = self.composer.spec(self.request.overrides.plus(added))
        except InputError as error:
            raise InputError(f"setting {' '.join(setting_overrides(setting))}: {error}") from error
        return tuple(first_spec.model_copy(update={"seed": seed}) for seed in seeds)


def make_task(request: Request) -> Task:
    """Check that a request fits its protocol's search space, seeds and budget, and that the method could be ranked."""
    _check_overrides(request.overrides)
    for name, number in (("--studies", request.studies), ("--trials", request.trials)):
        if number < 1:
            raise InputError(f"{name} {number}: at least 1 is needed")
    composer = PointComposer(request.config_dirs, request.allow_targets)
    spec = composer.spec(request.overrides)
    name = spec.method.protocol.name
    reference = References(request.config_dirs, request.allow_targets).of(name)
    protocol = reference.protocol
    space = search_space(spec.method, protocol)
    for override in request.overrides.parsed:
        if override.key_or_group in {*space, "width_fwhm"}:
            raise InputError(f"{override.input_line}: is what is searched under {name}; leave it out")
    if request.seeds is not None and not 1 <= request.seeds <= len(protocol.trial_seeds):
        raise InputError(
            f"--seeds {request.seeds}: {name} has settings chosen with {len(protocol.trial_seeds)} seeds, "
            f"{ranges(protocol.trial_seeds)}; ask for 1 to all of them"
        )
    settings, allowed = request.studies * request.trials, protocol.tuning_trials or 0
    if settings > allowed:
        raise InputError(
            f"--studies {request.studies} --trials {request.trials}: {settings} settings, {name} allows {allowed}"
        )
    middle = setting_overrides({key: interval.at(0.5) for key, interval in space.items()})
    base = composer.spec(request.overrides.plus([*middle, f"seed={protocol.trial_seeds[0]}"]))
    deviation = next(setting_deviations(base.method, reference), None)
    if deviation is not None:
        raise InputError(f"{name}: {deviation.text}; no board would rank what comes of it, so leave that out")
    return Task(request, composer, base, protocol, space, reference.measure)


def _check_overrides(overrides: Overrides) -> None:
    """Raise an InputError for an override that sweeps, sets a seed, or configures Hydra."""
    for override in overrides.parsed:
        line = override.input_line or ""
        if override.is_sweep_override():
            raise InputError(f"{line}: one method is tuned at a time; name one value")
        if override.key_or_group == "seed":
            raise InputError(f"{line}: the protocol says with which seeds settings are chosen; leave it out")
        if override.key_or_group.startswith("hydra"):
            raise InputError(f"{line}: the search runs its own rounds as replicas; leave it out")
