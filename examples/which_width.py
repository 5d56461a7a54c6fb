"""The width that suits a recurrent network before any training: python examples/which_width.py."""

import snntorch as snn
import torch
from torch import Tensor, nn

import sgbench


class Recurrent(nn.Module):
    """One layer of `snn.RLeaky`, over all time steps."""

    def __init__(self, inputs: int, neurons: int) -> None:
        super().__init__()
        surrogate = sgbench.create("surrogate/triangle", width_fwhm=0.5)
        self.into = nn.Linear(inputs, neurons)
        nn.init.normal_(self.into.weight, std=0.5)
        self.spiking = snn.RLeaky(beta=0.9, linear_features=neurons, spike_grad=surrogate)

    def forward(self, x: Tensor) -> Tensor:
        """Return the spikes [T, B, neurons] that answer x [T, B, inputs]."""
        spikes, potential = self.spiking.reset_mem()
        sent = []
        for current in self.into(x):
            spikes, potential = self.spiking(current, spikes, potential)
            sent.append(spikes)
        return torch.stack(sent)


if __name__ == "__main__":
    torch.manual_seed(0)
    spikes = (torch.rand(50, 16, 20) < 0.3).float()
    print(sgbench.calibrate(network=Recurrent(20, 64), batch=spikes, surrogate="triangle"))
