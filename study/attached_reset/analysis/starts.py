"""How the networks start: the predictor of block A, and the quantity q and spikes of block B's networks.

python -m study measure attached_reset measures it anew
"""

from collections.abc import Sequence
from pathlib import Path

import torch

import sgbench
from sgbench.composition.plan import PointComposer
from sgbench.diagnosis.passing import near_share
from sgbench.records.base import Amount, Number, Strict, Text
from sgbench.records.files import read_model
from sgbench.records.spec import RunSpec
from sgbench.study_runner.definition import Study
from sgbench.surrogates.base import Surrogate
from sgbench.training.calibration import FirstPass, measure_first_pass
from study.attached_reset.analysis.heights import Condition

FILE = "starts.json"
"""Beside the study's records."""
FIRST_OF_BLOCK_B, FIRST_OF_BLOCK_A = 502, 521
"""Seeds whose weights and data are measured: the first that compare."""
BATCHES = 2
"""Batches of 50 samples of which the predictor is the mean."""
THRESHOLD = 1.0
DIGITS = 6


class Predicted(Strict):
    """Holds the predictor of one condition and peak."""

    task: Text
    width_fwhm: Amount
    beta: Amount
    peak: Amount
    mean_log_factor: Number


class NetworkStart(Strict):
    """Holds how one network starts: q of `atan` 0.5 and the spikes of its most silent layer."""

    network: Text
    q: Amount
    spikes_per_step: Amount


class NetworkStarts(Strict):
    """Holds all that was measured before training."""

    predicted: tuple[Predicted, ...]
    networks: tuple[NetworkStart, ...]

    @property
    def predictors(self) -> dict[Condition, dict[float, float]]:
        """Map task, width and decay to the predicted growth of the gradient by peak."""
        found: dict[Condition, dict[float, float]] = {}
        for one in self.predicted:
            found.setdefault(Condition(one.task, one.width_fwhm, one.beta), {})[one.peak] = one.mean_log_factor
        return found


def read_starts(folder: Path) -> NetworkStarts | None:
    """Read what was measured from a store's folder; None where nothing was."""
    path = folder / FILE
    return read_model(path, NetworkStarts) if path.is_file() else None


def mean_log_factor(centred: torch.Tensor, surrogate: Surrogate, beta: float) -> float:
    r"""Average the logarithm of a neuron's own backward factor with the reset attached, over its potentials.

    .. math:: \overline{\log |\beta - \theta \psi(u)|}
    """
    slopes = surrogate.derivative(centred.double().reshape(-1))
    return torch.log((beta - THRESHOLD * slopes).abs().clamp_min(torch.finfo(torch.float64).tiny)).mean().item()


def first_pass(composer: PointComposer, overrides: Sequence[str], seed: int, batches: int | None) -> FirstPass:
    """Pass the first `batches` of a run's data, None for all, through its network before training."""
    spec: RunSpec = composer.spec([*overrides, f"seed={seed}"])
    protocol = spec.method.protocol.model_copy(update={"tuning_seeds": (seed,)})
    method = spec.method.model_copy(update={"protocol": protocol})
    found = measure_first_pass(spec.model_copy(update={"method": method}))
    if batches is None:
        return found
    return measure_first_pass(
        spec.model_copy(update={"method": method}), found._replace(batches=found.batches[:batches], weights={})
    )


def measured_network(study: Study, name: str, composer: PointComposer) -> NetworkStart:
    """Measure q of `atan` 0.5 with the reset attached, and the rate of the most silent layer, on a task's network."""
    words = [*study.tasks[name].words, "surrogate=atan", "width_fwhm=0.5", "neuron.reset_gradient=attached"]
    found = first_pass(composer, words, FIRST_OF_BLOCK_B, None)
    q = min(near_share(layer, found.surrogate) for layer in found.layers)
    spikes = min((layer.centred > 0).double().mean().item() for layer in found.layers)
    return NetworkStart(network=name, q=_rounded(q), spikes_per_step=_rounded(spikes))


def measured_heights(
    study: Study, name: str, composer: PointComposer, places: Sequence[tuple[float, float, float]]
) -> list[Predicted]:
    """Predict the growth of a neuron's gradient for each width, decay and peak, from one first pass a decay."""
    found = []
    passes: dict[float, FirstPass] = {}
    for width, beta, peak in places:
        words = [*study.tasks[name].words, f"neuron.beta={beta}"]
        if beta not in passes:
            passes[beta] = first_pass(composer, [*words, "width_fwhm=0.5"], FIRST_OF_BLOCK_A, BATCHES)
        own = sgbench.create("surrogate/triangle", width_fwhm=width, scale=peak)
        (layer,) = passes[beta].layers
        number = mean_log_factor(layer.centred, own, beta)
        task = name.removesuffix("_height")
        found.append(Predicted(task=task, width_fwhm=width, beta=beta, peak=peak, mean_log_factor=_rounded(number)))
    return found


def _rounded(number: float) -> float:
    return float(f"{number:.{DIGITS}g}")
