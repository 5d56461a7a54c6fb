"""Computes the energy of a user's own network on every energy target, in one call."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from torch import Tensor, nn

from sgbench.energy.modules import ModuleCounter
from sgbench.energy.price import chosen_targets
from sgbench.energy.priced import PricedNetwork
from sgbench.errors import InputError, require_count, require_number


def energy_of(  # noqa: PLR0913 - each has a default
    network: nn.Module,
    batch: Tensor,
    *,
    input_kind: str,
    steps: int = 1,
    dt_s: float = 1e-3,
    bits: int = 32,
    fold_batch_norm: bool = True,
    targets: Sequence[str] = (),
    config_dirs: Sequence[Path] = (),
) -> PricedNetwork:
    r"""Compute the energy of one inference of a torch or snnTorch module on every energy target.

    One forward pass in evaluation mode counts the operations exactly. Each kind of operation is then priced, is
    part of another price, or is left out. What is left out is named below the table, and the sum has a star.

    .. math:: E = \sum_l \sum_o \frac{n_{lo}}{\mathrm{samples}} e_o

    with :math:`n_{lo}` operations of kind o in layer l, each of energy :math:`e_o`.

    Args:
        network: a module whose `forward` takes the whole batch, with all time steps.
        batch: input [samples, ...], or with time steps [samples, steps, ...] or [steps, samples, ...].
        input_kind: "binary" for spikes, "real" for other numbers.
        steps: time steps of each sample; 1 for a network without time.
        dt_s: duration of a time step [s], which sets latency and static energy.
        bits: bits of a weight and of a state variable.
        fold_batch_norm: whether to fold batch normalisation into the weights before it.
        targets: names of energy targets; empty takes all.
        config_dirs: folders with your own targets.

    Raises:
        InputError: a layer that the counter does not know, an unknown target, or a batch whose samples and steps
            cannot be distinguished; one line that names it.

    >>> import torch
    >>> network = nn.Sequential(nn.Conv1d(1, 2, 3), nn.ReLU(), nn.MaxPool1d(2), nn.Flatten(), nn.Linear(6, 2))
    >>> energy_of(network, torch.ones(4, 1, 8), input_kind="real", targets=["horowitz_45nm", "loihi1"])
    target         evidence   dynamic energy an inference  static energy an inference  operations without a price
    horowitz_45nm  secondary  ... pJ *                     -                           -
    loihi1         secondary  -                            104 uJ                      multiply accumulate, ...
    *: a part of the dynamic energy; sgbench energy list TARGET names what else a price list leaves out
    """
    require_count("steps", steps)
    require_number("dt_s", dt_s, low=0, open_low=True)
    chosen = chosen_targets(targets, config_dirs)
    samples = _count_samples(batch, steps)
    counter = ModuleCounter(network, input_kind=input_kind, bits=bits, fold_batch_norm=fold_batch_norm)
    was_training = network.training
    network.eval()
    try:
        counter(batch, samples=samples, steps=samples * steps)
    finally:
        network.train(was_training)
    return PricedNetwork.of(counter.result(), chosen, dt_s=dt_s, title=type(network).__name__)


def _count_samples(batch: Tensor, steps: int) -> int:
    """Count the samples of a batch, along its first axis or along the axis next to that of the steps."""
    shape = tuple(batch.shape)
    if batch.dim() < 2:  # noqa: PLR2004 - an axis of samples and one of features
        raise InputError(f"the batch has shape {shape}: an axis of samples and one of features are needed")
    if steps == 1 or steps not in shape[:2]:
        return shape[0]
    if shape[0] == shape[1]:
        raise InputError(
            f"the batch has shape {shape} and {steps} steps: give another number of samples, so that the axis of "
            "the steps is known"
        )
    return shape[1] if shape[0] == steps else shape[0]
