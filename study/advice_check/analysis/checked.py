"""What the better of the printed tries loses on one network."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from sgbench.recommendation.answer import AdvisedSetting
from sgbench.study_runner.scores import Score
from study.reporting.evidence import TriedSettings

HOLDS = 5.0
"""Points that the better try may lose."""


@dataclass(frozen=True)
class CheckedNetwork(TriedSettings):
    """Holds each setting's runs on one network at its own learning rate, by the words of the setting."""

    name: str
    runs: Mapping[str, Mapping[int, Score]]
    tries: tuple[str, ...]

    @property
    def kept(self) -> float:
        """Average the test accuracy of the better try by validation, seed by seed [points]."""
        return self.mean_kept(*self.tries)

    @property
    def best(self) -> str:
        return max(self.runs, key=self.mean)

    @property
    def loss(self) -> float:
        """Return what the better try loses to the best setting [points]."""
        return self.mean(self.best) - self.kept

    @property
    def loss_to_chosen(self) -> float:
        """Return what it loses to the setting with the best mean validation accuracy [points]."""
        return self.mean(max(self.runs, key=lambda one: _validation(self.runs[one].values()))) - self.kept

    @property
    def holds(self) -> bool:
        return self.loss <= HOLDS


def words_of(cell: Mapping[str, object]) -> str:
    """Write a cell's setting as `sgbench recommend` prints it.

    >>> words_of({"surrogate": "atan", "width_fwhm": 0.5, "neuron.reset_gradient": "attached", "optimizer.lr": 0.02})
    'neuron.reset_gradient=attached surrogate=atan width_fwhm=0.5'
    """
    setting = {key.rpartition(".")[2]: cell[key] for key in ("surrogate", "width_fwhm", "neuron.reset_gradient")}
    return " ".join(AdvisedSetting.model_validate({**setting, "rests_on": "this check"}).words)


def checked(runs: Iterable[Score], tries: Mapping[str, Sequence[str]]) -> list[CheckedNetwork]:
    """Choose each setting's learning rate by mean validation accuracy, on every network.

    `runs`: of all networks. `tries`: by network, the words that are printed.
    """
    found: dict[str, dict[str, dict[object, dict[int, Score]]]] = {}
    for run in runs:
        rates = found.setdefault(run.task, {}).setdefault(words_of(run.cell), {})
        rates.setdefault(run.cell["optimizer.lr"], {})[run.seed] = run
    return [
        CheckedNetwork(
            name,
            {words: max(rates.values(), key=lambda rate: _validation(rate.values())) for words, rates in own.items()},
            tuple(tries[name]),
        )
        for name in tries
        if (own := found.get(name)) is not None
    ]


def _validation(runs: Iterable[Score]) -> float:
    return round(fmean(run.validation for run in runs), 9)
