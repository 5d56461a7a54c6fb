"""Metrics of spiking networks for torchmetrics: they sum over batches and processes, and draw themselves."""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric

from sgbench.energy.operations import NEEDED
from sgbench.energy.price import chosen_targets, price
from sgbench.errors import InputError, require_number
from sgbench.records.counts import OpCounts
from sgbench.training.evaluation import spikes_and_steps

__path__: list[str] = []  # once a package: `sgbench.moved` answers to its modules for one release


class SummedMetric(Metric):
    """Holds sums over batches, which processes add up."""

    full_state_update = False
    is_differentiable = False

    def add_sum(self, name: str, *shape: int) -> None:
        """Add a sum that begins at 0, in double precision, since counts of spikes outgrow single precision."""
        self.add_state(name, default=torch.zeros(shape, dtype=torch.float64), dist_reduce_fx="sum")

    def plot(self, val: Any = None, ax: Any = None) -> Any:
        """Draw one value, or a sequence of values over steps; see `torchmetrics.Metric.plot`.

        Returns:
            The matplotlib figure and its axes.
        """
        return self._plot(val, ax)


class SpikeRate(SummedMetric):
    r"""Computes the mean number of spikes of a neuron in a step, or in a second.

    .. math:: r = \frac{1}{N \sum_b T_b} \sum_{b, n} \sum_{t < T_b} [s_{bn}[t] \ne 0]

    Args:
        dt_s: duration of a step [s], for a rate in Hz; None for spikes per step.

    Raises:
        InputError: on update, spikes that are no tensor [T, B, ...].

    >>> rate = SpikeRate(dt_s=0.001)
    >>> rate.update(torch.tensor([[[1.0, 0.0]], [[1.0, 0.0]]]))  # two steps of one sample
    >>> rate.compute().item()
    500.0
    """

    higher_is_better = None
    plot_lower_bound = 0.0
    spikes: Tensor
    points: Tensor

    def __init__(self, *, dt_s: float | None = None, **options: Any) -> None:
        super().__init__(**options)
        self.dt_s = 1.0 if dt_s is None else require_number("dt_s", dt_s, low=0, open_low=True)
        self.add_sum("spikes")
        self.add_sum("points")

    def update(self, spikes: Tensor, lengths: Tensor | None = None) -> None:
        """Add the spikes [T, B, ...] of a batch; lengths: valid steps of each sample [B], None for all."""
        flat = _flat(spikes)
        sent, steps = spikes_and_steps(flat, _lengths(flat, lengths))
        self.spikes += sent.sum()
        self.points += steps * flat.shape[2]

    def compute(self) -> Tensor:
        """Return the rate, a scalar; NaN before the first update."""
        return (self.spikes / self.points / self.dt_s).float()


class TimeToFirstSpike(SummedMetric):
    r"""Computes the mean time after which any neuron of a layer, as a rule the output, fires first.

    .. math:: \frac{\Delta t}{B} \sum_b \min \{t : \sum_n |s_{bn}[t]| > 0\}

    Steps count from 0. A sample in which none fires counts with the duration of all its steps.

    Args:
        dt_s: duration of a step [s], for a time in seconds; None for steps.

    Raises:
        InputError: on update, spikes that are no tensor [T, B, ...].

    >>> time = TimeToFirstSpike()
    >>> time.update(torch.tensor([[[0.0], [0.0]], [[1.0], [0.0]]]))  # the second sample stays silent
    >>> time.compute().item()
    1.5
    """

    higher_is_better = False
    plot_lower_bound = 0.0
    steps: Tensor
    samples: Tensor

    def __init__(self, *, dt_s: float | None = None, **options: Any) -> None:
        super().__init__(**options)
        self.dt_s = 1.0 if dt_s is None else require_number("dt_s", dt_s, low=0, open_low=True)
        self.add_sum("steps")
        self.add_sum("samples")

    def update(self, spikes: Tensor, lengths: Tensor | None = None) -> None:
        """Add the spikes [T, B, ...] of a batch; lengths: valid steps of each sample [B], None for all."""
        fired = (_flat(spikes) != 0).any(2)  # whether any neuron does [T, B]
        ends = _lengths(fired, lengths)
        first = torch.where(fired.any(0), fired.int().argmax(0), ends)
        self.steps += torch.minimum(first, ends).sum()
        self.samples += fired.shape[1]

    def compute(self) -> Tensor:
        """Return the mean time, a scalar; NaN before the first update."""
        return (self.steps / self.samples * self.dt_s).float()


class SynapticOperations(SummedMetric):
    """Computes the synaptic operations of an inference: weights that arriving spikes or values make a layer add.

    Args:
        dense: whether to count what a clocked machine does, zeros too; else what spikes cause.

    Raises:
        InputError: on update, counts in which such operations were not counted.

    >>> import sgbench
    >>> network = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.ReLU())
    >>> operations = SynapticOperations()
    >>> operations.update(sgbench.energy_of(network, torch.eye(3), input_kind="binary").counts)
    >>> operations.compute().item()  # one spike a sample, to four neurons
    4.0
    """

    higher_is_better = False
    plot_lower_bound = 0.0
    operations: Tensor
    samples: Tensor

    def __init__(self, *, dense: bool = False, **options: Any) -> None:
        super().__init__(**options)
        self.dense = dense
        self.add_sum("operations")
        self.add_sum("samples")

    def update(self, counts: OpCounts) -> None:
        """Add the operations of a batch, as `sgbench.energy_of(network, batch, ...).counts` has counted them."""
        groups = [group for layer in counts.layers for group in layer.synapses]
        for count in (group.dense if self.dense else group.effective for group in groups):
            if count.total is None:
                raise InputError(f"SynapticOperations: {count.reason}")
            self.operations += count.total
        self.samples += counts.samples

    def compute(self) -> Tensor:
        """Return the operations of an inference, a scalar; NaN before the first update."""
        return (self.operations / self.samples).float()


class EnergyPerInference(SummedMetric):
    r"""Computes the dynamic energy of an inference on a chip [nJ].

    .. math:: E = \frac{1}{\mathrm{samples}} \sum_o n_o e_o

    with :math:`n_o` operations of kind o, each of the energy :math:`e_o` that the chip's source gives.

    Args:
        chip: name of an energy target, e.g. "loihi1"; `sgbench list energy` names them.
        partial: whether operations without a price are left out; else they are an error.
        config_dirs: folders with energy targets of your own.

    Raises:
        InputError: an unknown chip; on update, operations without a price, by name.

    >>> import sgbench
    >>> network = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.ReLU())
    >>> energy = EnergyPerInference("horowitz_45nm", partial=True)
    >>> energy.update(sgbench.energy_of(network, torch.eye(3), input_kind="binary").counts)
    >>> round(energy.compute().item(), 4)  # 0.9 pJ: four additions of weights, of biases, and in ReLU
    0.0108
    """

    higher_is_better = False
    plot_lower_bound = 0.0
    energy_nj: Tensor
    samples: Tensor

    def __init__(self, chip: str, *, partial: bool = False, config_dirs: Sequence[Path] = (), **options: Any) -> None:
        super().__init__(**options)
        (self.target,) = chosen_targets([chip], config_dirs).values()
        self.partial = partial
        self.add_sum("energy_nj")
        self.add_sum("samples")

    def update(self, counts: OpCounts) -> None:
        """Add the operations of a batch, as `sgbench.energy_of(network, batch, ...).counts` has counted them."""
        estimate = price(counts, target=self.target, dt_s=1.0)  # dynamic energy does not depend on the step
        energy = estimate.priced_nj if self.partial else estimate.dynamic_nj
        if energy is None:
            names = (item.partition(":")[0] for item in (*estimate.missing, *estimate.reasons))
            missing = ", ".join(name for name in dict.fromkeys(names) if name in NEEDED)
            raise InputError(
                f"EnergyPerInference: {estimate.target} has no price of {missing}; partial=True leaves out"
            )
        self.energy_nj += energy.value * counts.samples
        self.samples += counts.samples

    def compute(self) -> Tensor:
        """Return the energy of an inference [nJ], a scalar; NaN before the first update."""
        return (self.energy_nj / self.samples).float()


class Robustness(SummedMetric):
    r"""Computes which share of its accuracy a classifier keeps under a disturbance, over all severities.

    .. math:: R = \frac{1}{K a_0} \sum_{k=1}^{K} \frac{a_{k-1} + a_k}{2}

    with the accuracy :math:`a_k` at severity k, of which the first, 0, is undisturbed.
    `sgbench diagnose robustness` computes the same area of a run.

    Args:
        severities: how many, with the undisturbed one; at least 2.

    Raises:
        InputError: fewer than two severities; on update, one that is not there; on compute, one without a sample.

    >>> robustness = Robustness(2)
    >>> right, wrong, target = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]]), torch.tensor([0])
    >>> robustness.update(right, target, 0)
    >>> robustness.update(wrong, target, 1)
    >>> robustness.compute().item()
    0.5
    """

    higher_is_better = True
    plot_lower_bound = 0.0
    plot_upper_bound = 1.0
    hits: Tensor
    samples: Tensor

    def __init__(self, severities: int, **options: Any) -> None:
        super().__init__(**options)
        self.severities = int(require_number("severities", severities, low=2))
        self.add_sum("hits", self.severities)
        self.add_sum("samples", self.severities)

    def update(self, logits: Tensor, target: Tensor, severity: int) -> None:
        """Add a batch of class scores [B, C] and classes [B] at a severity, counted from 0, the undisturbed one."""
        if not 0 <= severity < self.severities:
            raise InputError(f"Robustness: severity={severity} is not one of 0 to {self.severities - 1}")
        self.hits[severity] += (logits.argmax(1) == target).sum()
        self.samples[severity] += len(target)

    def compute(self) -> Tensor:
        """Return the share, a scalar; NaN where no sample is right undisturbed."""
        if bool((self.samples == 0).any()):
            raise InputError("Robustness: a severity has no sample yet")
        accuracies = (self.hits / self.samples).unbind()  # by severity
        means = [(left + right) / 2 for left, right in pairwise(accuracies)]
        return (torch.stack(means).mean() / accuracies[0]).float()


def _flat(spikes: Tensor) -> Tensor:
    """Return spikes [T, B, ...] as [T, B, N]."""
    if spikes.dim() < 2:  # noqa: PLR2004 - time and samples
        raise InputError(f"spikes have shape {tuple(spikes.shape)}: [steps, samples, ...] is needed")
    return spikes.reshape(*spikes.shape[:2], -1)


def _lengths(spikes: Tensor, lengths: Tensor | None) -> Tensor:
    """Return the valid steps of each sample [B]: `lengths`, or without them all steps."""
    return torch.full((spikes.shape[1],), len(spikes), device=spikes.device) if lengths is None else lengths
