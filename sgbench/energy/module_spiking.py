"""What snnTorch's neurons do in one step; they are told by their names, so that snnTorch is not needed."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sgbench.energy.stored import StoredWeights
from sgbench.energy.tally import Tally
from sgbench.neurons.base import Operations

KNOWN: dict[str, Operations] = {
    "snntorch._neurons.leaky.Leaky": Operations(1, 2, 1, 1),  # beta u; + I, - theta s; > theta; u
    "snntorch._neurons.rleaky.RLeaky": Operations(1, 3, 1, 1),  # the same, and V s joins
    "snntorch._neurons.synaptic.Synaptic": Operations(2, 3, 1, 2),  # alpha i, beta u; + I, + i, - theta s
    "snntorch._neurons.rsynaptic.RSynaptic": Operations(2, 4, 1, 2),
}
ONE_TO_ONE = "RecurrentOneToOne"


def full_name(module: nn.Module) -> str:
    """Return where a module's class is defined, as its full name.

    >>> full_name(nn.ReLU())
    'torch.nn.modules.activation.ReLU'
    """
    return f"{type(module).__module__}.{type(module).__qualname__}"


def neurons(module: nn.Module, current: Tensor, spikes: Tensor, tally: Tally) -> None:
    """Count one step of a layer of spiking neurons; a current that is not 0 counts as input."""
    done = KNOWN[full_name(module)]
    updates = spikes.numel()
    tally.counts["neuron_updates"] += updates
    tally.counts["neuron_updates_with_input"] += int(torch.count_nonzero(current))
    tally.counts["neuron_multiplications"] += done.multiplications * updates
    tally.counts["neuron_additions"] += done.additions * updates
    tally.counts["neuron_comparisons"] += done.comparisons * updates
    tally.counts["state_reads"] += done.state_words * updates
    tally.counts["state_writes"] += done.state_words * updates
    tally.counts["spikes_sent"] += int(torch.count_nonzero(spikes))


def one_to_one(module: nn.Module, x: Tensor, source: str, tally: Tally) -> None:
    """Count the operations of one-to-one recurrent weights: each spike reaches the neuron that sent it."""
    weights = StoredWeights(
        sum(weight.numel() for weight in module.parameters()),
        sum(int((weight == 0).sum()) for weight in module.parameters()),
    )
    active = int(torch.count_nonzero(x))
    tally.connect(
        source, "one_to_one", "binary", effective=active, dense=x.numel(), weights=weights, fan_in=1
    )
