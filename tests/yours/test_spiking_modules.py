"""What spiking modules receive and send in one call of a network, against a loop written by hand."""

from __future__ import annotations

import itertools

import snntorch as snn
import torch
from snntorch import utils
from torch import Tensor, nn

from sgbench.yours.spiking_modules import spiking_calls, spiking_modules, state_names


class Counted(nn.Module):
    """A static input for four steps, hidden states, and counts."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(3, 2)
        self.lif = snn.Synaptic(0.5, 0.9, init_hidden=True)
        self.out = snn.RLeaky(0.8, linear_features=2)

    def forward(self, x: Tensor) -> Tensor:
        """Counts of the output's spikes."""
        utils.reset(self)
        spikes, potential = self.out.reset_mem()
        count = torch.zeros(len(x), 2)
        for _ in range(4):
            spikes, potential = self.out(self.lif(self.fc(x)), spikes, potential)
            count = count + spikes
        return count


def test_calls_are_those_of_a_loop_by_hand() -> None:
    """Expected: the network's own modules, called one by one; the state after a step is that before the next."""
    torch.manual_seed(0)
    network, x = Counted(), torch.rand(5, 3) * 4
    count, calls = spiking_calls(network, x)
    assert [call.name for call in calls] == ["lif", "out"] * 4
    lif, out = calls[::2], calls[1::2]
    assert torch.equal(sum(call.spikes for call in out), count)
    utils.reset(network)
    for call in lif:
        assert torch.equal(network.lif(network.fc(x)), call.spikes)
        assert torch.equal(network.lif.mem, call.potential)
    for earlier, later in itertools.pairwise(out):
        assert all(one is other for one, other in zip(earlier.after, later.before, strict=True))
    assert torch.equal(out[0].current, lif[0].spikes)
    assert "forward" not in vars(network.lif)


def test_a_subclass_is_no_module_of_snntorchs() -> None:
    """Must differ: its forward may do anything."""

    class Own(snn.Leaky):
        """A user's own."""

    network = nn.Sequential(snn.Leaky(0.9), Own(0.9))
    assert list(spiking_modules(network)) == ["0"]
    assert state_names(network[1]) == ()
