"""Strategies by which a study chooses its next setting: at random, evenly spread, or from earlier scores."""

from __future__ import annotations

import warnings
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np

from sgbench.errors import InputError
from sgbench.records.tuning import Strategy
from sgbench.tuning.space import Interval, Setting, setting_at

STRATEGIES: tuple[Strategy, ...] = ("sobol", "random", "tpe")
STARTUP = 2
"""Settings of a study that are drawn at random before results are used; AlgoPerf's studies have five."""


@dataclass(frozen=True)
class Tried:
    """Holds the result of a setting that a study has asked for.

    Args:
        setting: its numbers.
        state: "finished", "failed", "pruned", or "open" while it runs.
        score: the mean of what validation selects by, the larger the better; None of failed and open ones.
    """

    setting: Setting
    state: Literal["finished", "failed", "pruned", "open"]
    score: float | None


class Asker(Protocol):
    """Chooses the settings that a search tries next."""

    ahead: bool
    """Whether all of its settings are known before any of them has run."""

    def ask(self, study: int, tried: Sequence[Tried]) -> Setting:
        """Return the next setting of a study.

        Args:
            study: its number.
            tried: what it has asked for so far, in order.
        """
        ...


class Random:
    """Draws settings evenly at random over the search space.

    The same study draws the same point of the space for every method, so that methods differ in what they make of
    it and not in their luck.

    Args:
        space: the numbers of the method.
        keys: all numbers that the protocol opens, those that this method lacks included.
        name: of the protocol.
    """

    ahead = True

    def __init__(self, space: Mapping[str, Interval], keys: Sequence[str], name: str) -> None:
        self.space = space
        self.keys = tuple(keys)
        self.name = name

    def ask(self, study: int, tried: Sequence[Tried]) -> Setting:
        """Return the setting at the next random point."""
        return setting_at(self.space, dict(zip(self.keys, self._shares(study, len(tried)), strict=True)))

    def _shares(self, study: int, number: int) -> list[float]:
        return _stream(self.name, study).random((number + 1, len(self.keys)))[-1].tolist()


class Sobol(Random):
    """Spreads settings evenly: a scrambled sequence of Sobol's for each study.

    Source: Sobol 1967; Owen 1998, J. Complexity 14, for the scrambling.
    """

    def _shares(self, study: int, number: int) -> list[float]:
        from scipy.stats import qmc

        points = qmc.Sobol(len(self.keys), scramble=True, rng=_stream(self.name, study))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a number of points that is no power of two
            return points.random(number + 1)[-1].tolist()


class Tpe:
    """Asks Optuna's tree-structured Parzen estimator, which is given all that its study has tried.

    Optuna remembers nothing: each question comes with its history, so records and journal are all there is. What
    still runs counts as bad, so that a second worker looks elsewhere.

    Source: Bergstra et al. 2011, NeurIPS 24.

    Raises:
        InputError: Optuna is not installed.
    """

    ahead = False

    def __init__(self, space: Mapping[str, Interval], name: str) -> None:
        try:
            import optuna
        except ImportError as error:
            raise InputError(
                "--by tpe: needs Optuna: pip install 'sgbench[tune]'; --by sobol and --by random need nothing"
            ) from error
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self.optuna = optuna
        self.space = space
        self.name = name
        self.distributions: dict[str, Any] = {
            key: distribution_of(optuna, interval) for key, interval in space.items()
        }

    def ask(self, study: int, tried: Sequence[Tried]) -> Setting:
        """Return the estimator's next suggestion after all trials so far."""
        optuna = self.optuna
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what is called experimental
            sampler = optuna.samplers.TPESampler(
                seed=int(_stream(self.name, study).integers(2**31)) + len(tried),
                n_startup_trials=STARTUP,
                multivariate=True,
                constant_liar=True,
            )
            asked = optuna.create_study(direction="maximize", sampler=sampler)
            for trial in tried:
                asked.add_trial(self._optuna_trial(trial))
        drawn = asked.ask(self.distributions).params
        return {key: interval.rounded(drawn[key]) for key, interval in self.space.items()}

    def _optuna_trial(self, trial: Tried) -> Any:
        states = self.optuna.trial.TrialState
        state = {"finished": states.COMPLETE, "failed": states.FAIL, "open": states.RUNNING}
        is_pruned = trial.state == "pruned"
        return self.optuna.trial.create_trial(
            params=trial.setting,
            distributions=self.distributions,
            state=states.PRUNED if is_pruned else state[trial.state],
            value=None if is_pruned else trial.score,
            intermediate_values={0: trial.score or 0.0} if is_pruned else None,
        )


def distribution_of(optuna: Any, interval: Interval) -> Any:
    """Turn an interval of a search space into a distribution of Optuna, whose classes have other names before 3."""
    kinds = optuna.distributions
    if hasattr(kinds, "FloatDistribution"):
        return kinds.FloatDistribution(interval.low, interval.high, log=interval.is_log)
    kind = kinds.LogUniformDistribution if interval.is_log else kinds.UniformDistribution
    return kind(interval.low, interval.high)


def asker_of(strategy: Strategy, space: Mapping[str, Interval], keys: Sequence[str], name: str) -> Asker:
    """Build the strategy that chooses settings.

    Raises:
        InputError: what it needs is not installed.
    """
    if strategy == "tpe":
        return Tpe(space, name)
    return (Sobol if strategy == "sobol" else Random)(space, keys, name)


def _stream(name: str, study: int) -> np.random.Generator:
    """Return the random stream of a study of a protocol, whatever the method."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence([zlib.crc32(name.encode()), study])))
