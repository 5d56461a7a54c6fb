"""Computes the energy of a user's own network on every energy target, in one call."""

import functools
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from sgbench.energy.modules import ModuleCounter
from sgbench.energy.price import chosen_targets
from sgbench.energy.priced import PricedNetwork
from sgbench.errors import InputError, require_count, require_number
from sgbench.networks.watching import Watcher, is_snntorch, run, takes_all_steps, tensors_in, undisturbed, watched


def energy_of(  # noqa: PLR0913 - each has a default
    network: nn.Module,
    batch: Any,
    *,
    input_kind: str,
    steps: int | None = None,
    dt_s: float = 1e-3,
    bits: int = 32,
    fold_batch_norm: bool = True,
    targets: Sequence[str] = (),
    config_dirs: Sequence[Path] = (),
) -> PricedNetwork:
    r"""Compute the energy of one inference of a torch or snnTorch module on every energy target.

    One forward pass, as the module's author wrote it, in evaluation mode and from rest, counts the operations
    exactly. Each kind of operation is then priced, is part of another price, or is left out. Layers and functions
    that are not known are left out, too. What is left out is named below the table, and the sum has a star.

    .. math:: E = \sum_l \sum_o \frac{n_{lo}}{\mathrm{samples}} e_o

    with :math:`n_{lo}` operations of kind o in layer l, each of energy :math:`e_o`.

    Args:
        network: a module whose `forward` takes the whole batch, with all time steps.
        batch: input [samples, ...], or with time steps [samples, steps, ...] or [steps, samples, ...]; a tuple is
            several arguments, of which the first tensor is meant.
        input_kind: "binary" for spikes, which are 0, 1 or -1; "real" for other numbers.
        steps: time steps of each sample; None takes the calls of the network's spiking layers, 1 without any. Give
            them where one module serves several layers of one size.
        dt_s: duration of a time step [s], which sets latency and static energy.
        bits: bits of a weight and of a state variable.
        fold_batch_norm: whether to fold batch normalisation into the weights before it.
        targets: names of energy targets; empty takes all.
        config_dirs: folders with your own targets.

    Raises:
        InputError: an unknown target, real input that is called binary, NaN, a network that does not take the
            batch, or a batch whose samples and steps cannot be distinguished; one line that names it.

    >>> import torch
    >>> network = nn.Sequential(nn.Conv1d(1, 2, 3), nn.ReLU(), nn.MaxPool1d(2), nn.Flatten(), nn.Linear(6, 2))
    >>> print(energy_of(network, torch.ones(4, 1, 8), input_kind="real", targets=["horowitz_45nm", "loihi1"]))
    target         evidence   dynamic energy an inference  static energy an inference  operations without a price
    horowitz_45nm  secondary  ... pJ *                     -                           -
    loihi1         secondary  -                            104 uJ                      multiply accumulate, ...
    *: a part of the dynamic energy; sgbench energy list TARGET names what else a price list leaves out
    """
    if steps is not None:
        require_count("steps", steps)
    require_number("dt_s", dt_s, low=0, open_low=True)
    chosen = chosen_targets(targets, config_dirs)
    counter = ModuleCounter(network, input_kind=input_kind, bits=bits, fold_batch_norm=fold_batch_norm, leave_out=True)
    first = _checked_input(batch, input_kind)
    if steps is not None:
        _count_samples(first, steps)  # raises before the network runs if the axes cannot be told apart
    calls: Counter[Any] = Counter()  # by shape, since a module may serve several layers

    def count_call(layer: nn.Module, current: Tensor, __: Any) -> None:
        calls[layer, current.shape] += len(current) if takes_all_steps(layer) else 1

    layers = [module for module in network.modules() if is_snntorch(module)]
    with undisturbed(network), watched({layer: Watcher(count_call) for layer in layers}):
        network.eval()
        # Samples and steps are known once the layers have run.
        run(functools.partial(counter, samples=0, steps=0), batch, type(network).__name__)
    called = max(calls.values(), default=1)
    steps = called if steps is None else steps
    # A module that serves several layers runs several times in each step.
    if called > 1 and steps != called and (steps == 1 or called % steps or steps not in first.shape[:2]):
        raise InputError(f"steps={steps}: the spiking layers ran {called} times; leave steps out")
    counter.samples = _count_samples(first, steps)
    counter.steps = counter.samples * steps
    left_out = tuple(f"{name} ({reason})" for name, reason in counter.unknown.items())
    return PricedNetwork.of(counter.result(), chosen, dt_s=dt_s, title=type(network).__name__, left_out=left_out)


def _checked_input(batch: Any, input_kind: str) -> Tensor:
    """Return the first tensor of a batch; an InputError if the batch is not finite, or not what it is called."""
    tensors = list(tensors_in(batch))
    if not tensors:
        raise InputError(f"the batch is a {type(batch).__name__}: tensors are needed")
    for x in tensors:
        if not bool(x.isfinite().all()):
            raise InputError("the batch holds NaN or infinity, so nothing can be counted")
        others = no_spikes(x)
        if input_kind == "binary" and others.numel():
            raise InputError(
                f"input_kind='binary': the batch holds {others.flatten()[0].item():g}, and spikes are 0, 1 or -1; "
                f"give input_kind='real'"
            )
    return tensors[0]


def no_spikes(x: Tensor) -> Tensor:
    """Return the values that are no spikes, which are 0, 1 or -1."""
    return x[(x != 0) & (x.abs() != 1)]


def _count_samples(batch: Tensor, steps: int) -> int:
    """Return the size of the axis of samples, the first or, if the first has the size of `steps`, the second."""
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
