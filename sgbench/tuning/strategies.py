"""Strategies by which a study chooses its next setting: at random, evenly spread, or from earlier scores."""

import warnings
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np

from sgbench.errors import InputError
from sgbench.records.files import Strategy
from sgbench.tuning.space import Interval, Setting, setting_at

STRATEGIES: tuple[Strategy, ...] = ("sobol", "random", "tpe")
RANDOM_FIRST = 2
"""Settings of a study that TPE draws at random before it uses results; AlgoPerf's studies have five."""


@dataclass(frozen=True)
class TriedSetting:
    """Holds a setting that a study has tried, with its result."""

    setting: Setting  # maps keys of searched numbers to values
    state: Literal["finished", "failed", "pruned", "open"]  # "open" while its runs are not all ended
    score: float | None  # mean validation score, larger is better; None if failed or open


class SearchStrategy(Protocol):
    """Chooses the settings that a search tries next."""

    ignores_results: bool
    """Whether its settings do not depend on results, so that all are known before any has run."""

    def ask(self, study: int, tried: Sequence[TriedSetting]) -> Setting:
        """Return the next setting of a study."""
        ...


class Random:
    """Draws settings uniformly over the search space.

    A study draws the same points for every method, so that no method is luckier than another.

    `space`: maps keys of the method's searched numbers to their intervals. `keys`: all keys that the protocol lets be
    searched; the method may lack some. `name`: name of the protocol, which seeds the random numbers.
    """

    ignores_results = True

    def __init__(self, space: Mapping[str, Interval], keys: Sequence[str], name: str) -> None:
        self.space = space
        self.keys = tuple(keys)
        self.name = name

    def ask(self, study: int, tried: Sequence[TriedSetting]) -> Setting:
        return setting_at(self.space, dict(zip(self.keys, self._point(study, len(tried)), strict=True)))

    def _point(self, study: int, number: int) -> list[float]:
        """Return point `number` of a study's sequence in the unit cube, a coordinate for each key."""
        return _generator(self.name, study).random((number + 1, len(self.keys)))[number].tolist()


class Sobol(Random):
    """Spreads settings evenly over the search space, by a scrambled Sobol sequence for each study.

    Source: Sobol 1967; Owen 1998, J. Complexity 14, for the scrambling.
    """

    def _point(self, study: int, number: int) -> list[float]:
        from scipy.stats import qmc

        points = qmc.Sobol(len(self.keys), scramble=True, rng=_generator(self.name, study))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # scipy warns if the number of points is no power of two
            return points.random(number + 1)[number].tolist()


class Tpe:
    """Chooses settings by Optuna's tree-structured Parzen estimator, from the results of its study so far.

    Optuna stores nothing: each call gets all results from the records. Settings that still run count as bad, so
    that a second worker tries others.

    Source: Bergstra et al. 2011, NeurIPS 24.
    """

    ignores_results = False

    def __init__(self, space: Mapping[str, Interval], name: str) -> None:
        try:
            import optuna
        except ImportError as error:
            raise InputError(
                "--by tpe: needs Optuna: pip install 'sgbench[tune]'; --by sobol and --by random need nothing"
            ) from error
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self.optuna, self.space, self.name = optuna, space, name
        self.distributions: dict[str, Any] = {
            key: optuna_distribution(optuna, interval) for key, interval in space.items()
        }

    def ask(self, study: int, tried: Sequence[TriedSetting]) -> Setting:
        """Return the estimator's next suggestion after all trials so far."""
        optuna = self.optuna
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Optuna warns of experimental options
            sampler = optuna.samplers.TPESampler(
                seed=int(_generator(self.name, study).integers(2**31)) + len(tried),
                n_startup_trials=RANDOM_FIRST,
                multivariate=True,
                constant_liar=True,
            )
            optuna_study = optuna.create_study(direction="maximize", sampler=sampler)
            for tried_setting in tried:
                optuna_study.add_trial(self._optuna_trial(tried_setting))
        chosen = optuna_study.ask(self.distributions).params
        return {key: interval.rounded(chosen[key]) for key, interval in self.space.items()}

    def _optuna_trial(self, tried: TriedSetting) -> Any:
        """Convert a setting and its result to a trial of Optuna, which takes a pruned one's score as intermediate."""
        state = self.optuna.trial.TrialState
        states = {"finished": state.COMPLETE, "failed": state.FAIL, "open": state.RUNNING, "pruned": state.PRUNED}
        is_pruned = tried.state == "pruned"
        return self.optuna.trial.create_trial(
            params=tried.setting,
            distributions=self.distributions,
            state=states[tried.state],
            value=None if is_pruned else tried.score,
            intermediate_values={0: tried.score or 0.0} if is_pruned else None,
        )


def optuna_distribution(optuna: Any, interval: Interval) -> Any:
    """Convert an interval of a search space to a distribution of Optuna, whose classes had other names before 3."""
    distributions = optuna.distributions
    if hasattr(distributions, "FloatDistribution"):
        return distributions.FloatDistribution(interval.low, interval.high, log=interval.is_log)
    older_class = distributions.LogUniformDistribution if interval.is_log else distributions.UniformDistribution
    return older_class(interval.low, interval.high)


def make_strategy(strategy: Strategy, space: Mapping[str, Interval], keys: Sequence[str], name: str) -> SearchStrategy:
    """Build the strategy of this name; the other arguments are those of `Random`."""
    if strategy == "tpe":
        return Tpe(space, name)
    return (Sobol if strategy == "sobol" else Random)(space, keys, name)


def _generator(name: str, study: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence([zlib.crc32(name.encode()), study])))
