"""Potentials of somebody's own recurrent layers, whether they return their state or keep it."""

from __future__ import annotations

import snntorch as snn
import torch
from torch import Tensor, nn

from sgbench.errors import InputError
from sgbench.recommendation.start import recurrent_layers
from tests.messages import raises_naming


class Recurrent(nn.Module):
    """Runs a recurrent layer over all steps; it keeps its own state where that is hidden."""

    def __init__(self, *, is_hidden: bool) -> None:
        super().__init__()
        self.is_hidden = is_hidden
        self.inward = nn.Linear(6, 5)
        self.hidden = snn.RLeaky(beta=0.9, linear_features=5, init_hidden=is_hidden)

    def forward(self, x: Tensor) -> Tensor:
        if self.is_hidden:
            self.hidden.reset_mem()
            return torch.stack([self.hidden(self.inward(step)) for step in x])
        spikes, potential = self.hidden.init_rleaky()
        sent = []
        for step in x:
            spikes, potential = self.hidden(self.inward(step), spikes, potential)
            sent.append(spikes)
        return torch.stack(sent)


def test_a_hidden_state_is_heard_as_a_returned_one(no_snntorch_neurons_left: None) -> None:
    """Must match: the same weights and batch have the same potentials, samples and spikes."""
    returned, hidden = Recurrent(is_hidden=False), Recurrent(is_hidden=True)
    hidden.load_state_dict(returned.state_dict())
    batch = 3 * torch.rand(20, 4, 6, generator=torch.Generator().manual_seed(1))
    (one,), samples, fired = recurrent_layers(returned, batch)
    (other,), other_samples, other_fired = recurrent_layers(hidden, batch)
    assert fired > 0
    assert (samples, fired) == (other_samples, other_fired)
    assert torch.equal(one.centred, other.centred)


def test_a_layer_that_shows_no_potential_is_refused(no_snntorch_neurons_left: None) -> None:
    """Must differ: where something hides the state there is nothing to measure."""
    network = Recurrent(is_hidden=True)
    network.hidden.register_forward_hook(lambda layer, *_: setattr(layer, "mem", torch.zeros(())))
    with raises_naming(InputError, "RLeaky", "membrane potential", "output=True"):
        recurrent_layers(network, torch.rand(3, 2, 6))
